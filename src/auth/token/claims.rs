//! The claims of an access token, as they are written (Docker's "Token Authentication Implementation", RFC 7519).

use serde::{Deserialize, Serialize};

use crate::oci::Access;

#[derive(Serialize, Deserialize)]
pub(super) struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub exp: u64,
    pub nbf: u64,
    pub iat: u64,
    pub jti: String,
    pub access: Vec<AccessClaim>,
    /// The door's own: no registry reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// What a token was given for, where that can be revoked by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The access token with this identifier.
    AccessToken(String),
    /// The login that is kept under this key.
    Login(String),
}

/// An entry of a token's `access` claim (Docker's "Token Authentication Implementation").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AccessClaim {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    actions: Vec<String>,
}

impl From<&Access> for AccessClaim {
    fn from(access: &Access) -> Self {
        let (kind, name, actions) = match access {
            Access::Repository { name, actions } => (
                "repository",
                name.to_string(),
                actions.iter().map(|action| action.as_str().to_owned()).collect(),
            ),
            Access::Catalog => ("registry", "catalog".to_owned(), vec!["*".to_owned()]),
            Access::VisibleCatalog => ("registry", "catalog".to_owned(), vec!["pull".to_owned()]),
            Access::Admin => ("registry", "admin".to_owned(), vec!["*".to_owned()]),
        };
        Self { kind: kind.to_owned(), name, actions }
    }
}

impl AccessClaim {
    /// The access that it grants; none if it names nothing that a registry has.
    pub(super) fn access(&self) -> Option<Access> {
        Access::parse(&format!("{}:{}:{}", self.kind, self.name, self.actions.join(",")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Actions;

    #[test]
    fn an_access_claim_grants_what_it_was_made_from() {
        let scopes = [
            "repository:a/b:pull,push",
            "repository:c:*",
            "registry:catalog:*",
            "registry:catalog:pull",
            "registry:admin:*",
        ];
        for access in scopes.map(|scope| Access::parse(scope).unwrap()) {
            assert_eq!(AccessClaim::from(&access).access(), Some(access));
        }
        let Some(Access::Repository { name, .. }) = Access::parse("repository:a:pull") else { panic!() };
        let nothing = Access::to(name, Actions::NONE);
        assert_eq!(AccessClaim::from(&nothing).access(), Some(nothing));
    }
}
