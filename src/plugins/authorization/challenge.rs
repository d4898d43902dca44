//! What a caller is told who is not let in: RFC 6750 and Docker's "Token Authentication Specification".

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderValue;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};

use crate::door::Refusal;
use crate::oci::{Access, ErrorCode};

/// What to tell.
pub(super) struct Challenge<'a> {
    /// Where tokens are to be had.
    pub realm: String,
    /// What they are for.
    pub service: &'a str,
    /// What the request needs.
    pub needed: Option<&'a Access>,
    /// What a mount needs beside that.
    pub source: Option<&'a Access>,
}

impl Challenge<'_> {
    /// No credentials were sent.
    pub(super) fn no_credentials(&self) -> Refusal {
        let message = "authentication required; log in, for example with `docker login`";
        self.refusal(ErrorCode::Unauthorized, message, None)
    }

    /// A token that is no good.
    pub(super) fn invalid_token(&self, message: impl Into<Cow<'static, str>>) -> Refusal {
        self.refusal(ErrorCode::Unauthorized, message, Some("invalid_token"))
    }

    /// Wrong name or password. Without a word on tokens, since none was sent.
    pub(super) fn refused(&self, message: impl Into<Cow<'static, str>>) -> Refusal {
        self.refusal(ErrorCode::Unauthorized, message, None)
    }

    /// The caller may not do this.
    pub(super) fn insufficient(&self, user: Option<&str>) -> Refusal {
        let who = user.map_or("nobody without logging in".to_owned(), str::to_owned);
        let message = match self.needed {
            Some(Access::Repository { name, actions }) if user.is_some() => {
                let may = actions.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(" and ");
                format!("{who} may not {may} here, or the token is not for that: {name}")
            }
            Some(Access::Repository { name, .. }) => {
                format!("this needs a login that may do it, for example by `docker login`: {name}")
            }
            Some(Access::Catalog | Access::VisibleCatalog) if user.is_some() => {
                format!("{who} may not list repositories, or the token is not for that")
            }
            Some(Access::Catalog | Access::VisibleCatalog) => "listing repositories needs a login".to_owned(),
            Some(Access::Admin) if user.is_some() => {
                format!("{who} does not administer this door, or the token is not for that")
            }
            Some(Access::Admin) => "this is for whoever administers this door, and needs a login".to_owned(),
            None if user.is_some() => format!("{who} may not do this"),
            None => "this needs a login".to_owned(),
        };
        self.refusal(ErrorCode::Denied, message, Some("insufficient_scope"))
            .with_status(http::StatusCode::UNAUTHORIZED)
    }

    fn refusal(
        &self,
        code: ErrorCode,
        message: impl Into<Cow<'static, str>>,
        error: Option<&str>,
    ) -> Refusal {
        let refusal = Refusal::new(code, message);
        match HeaderValue::try_from(self.header(error)) {
            Ok(header) => refusal.with_header(WWW_AUTHENTICATE, header),
            // A host that is no header's value has not got this far.
            Err(error) => refusal.because(error),
        }
    }

    fn header(&self, error: Option<&str>) -> String {
        let mut header = format!("Bearer realm=\"{}\",service=\"{}\"", self.realm, self.service);
        let scopes: Vec<String> =
            self.needed.into_iter().chain(self.source).map(ToString::to_string).collect();
        if !scopes.is_empty() {
            header.push_str(&format!(",scope=\"{}\"", scopes.join(" ")));
        }
        if let Some(error) = error {
            header.push_str(&format!(",error=\"{error}\""));
        }
        header
    }
}

/// Says when to come again.
pub(super) fn retry_after(refusal: Refusal, wait: Duration) -> Refusal {
    refusal.with_header(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(needed: &[&str], error: Option<&str>) -> String {
        let mut needed = needed.iter().map(|scope| Access::parse(scope).unwrap());
        let (needed, source) = (needed.next(), needed.next());
        let realm = "https://door.example/token".to_owned();
        Challenge { realm, service: "door", needed: needed.as_ref(), source: source.as_ref() }.header(error)
    }

    #[test]
    fn a_challenge_has_the_form_that_clients_know() {
        let start = r#"Bearer realm="https://door.example/token",service="door""#;
        assert_eq!(header(&[], None), start);
        let scope = "repository:a/b:pull,push";
        assert_eq!(header(&[scope], None), format!(r#"{start},scope="{scope}""#));
        let both = format!(r#"{start},scope="{scope} repository:c:pull",error="insufficient_scope""#);
        assert_eq!(header(&[scope, "repository:c:pull"], Some("insufficient_scope")), both);
    }
}
