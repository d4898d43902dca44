//! A request to the token endpoint: a query or a form (Docker's "Token Authentication Specification" and "OAuth2
//! Token Authentication").

use secrecy::SecretString;
use url::form_urlencoded;

/// What a client asks for.
#[derive(Debug, Default)]
pub struct TokenRequest {
    /// What the token is to be for.
    pub service: Option<String>,
    /// The scopes, each text as it was sent: with one or several of them.
    pub scopes: Vec<String>,
    /// `grant_type`, of OAuth2.
    pub grant_type: Option<String>,
    /// `username`
    pub username: Option<String>,
    /// `password`
    pub password: Option<SecretString>,
    /// `refresh_token`
    pub refresh_token: Option<SecretString>,
    /// Whether the login is to continue without its password.
    pub is_offline: bool,
}

impl TokenRequest {
    /// Reads a query or a form. What is not known is of no interest: clients send much that is not. Of what may stand only
    /// once the last counts.
    pub fn read(form: &[u8]) -> Self {
        let mut request = Self::default();
        for (name, value) in form_urlencoded::parse(form) {
            match &*name {
                // An empty one is how some clients leave it out.
                "service" => request.service = Some(value.into_owned()).filter(|service| !service.is_empty()),
                "scope" => request.scopes.push(value.into_owned()),
                "grant_type" => request.grant_type = Some(value.into_owned()),
                "username" => request.username = Some(value.into_owned()),
                "password" => request.password = Some(value.into_owned().into()),
                "refresh_token" => request.refresh_token = Some(value.into_owned().into()),
                "offline_token" => request.is_offline |= value == "true" || value == "1",
                "access_type" => request.is_offline |= value == "offline",
                _ => {}
            }
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn an_empty_service_is_none() {
        let service = |form: &[u8]| TokenRequest::read(form).service;
        assert_eq!(service(b"service=door"), Some("door".to_owned()));
        for absent in [b"".as_slice(), b"service", b"service=", b"service=&scope=a"] {
            assert_eq!(service(absent), None);
        }
    }

    #[test]
    fn a_form_is_read_with_all_its_scopes_and_shows_no_secret() {
        let form = b"grant_type=password&username=a%40b&password=p%26w&scope=x:y:pull&scope=z%3Ay:push+q:r:pull&access_type=offline";
        let request = TokenRequest::read(form);
        assert_eq!(request.scopes, ["x:y:pull", "z:y:push q:r:pull"]);
        assert_eq!((request.username.as_deref(), request.is_offline), (Some("a@b"), true));
        assert_eq!(request.password.as_ref().map(|password| password.expose_secret()), Some("p&w"));
        assert!(!format!("{request:?}").contains("p&w"));
    }
}
