//! What a caller of the API has shown that they are known by.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::accounts::Accounts;
use super::header::{Authorization, read_only};
use super::subject::{Identity, Subject};
use super::token::Origin;
use super::viewer::Viewer;

/// What a caller has shown with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedInBy {
    /// Nothing: a caller of whom nothing is known, or of whom nothing is asked.
    Nothing,
    /// Their password.
    Password,
    /// The session with this identifier, which began with their password.
    Session(String),
    /// The access token with this identifier, in place of a password.
    AccessToken(String),
    /// A token of the door's, and what that was given for, where it was not a password.
    Token(Option<Origin>),
}

impl SignedInBy {
    /// What the caller whom the gate has found has shown in the request's head.
    pub fn of(viewer: &Viewer, headers: &HeaderMap) -> Self {
        match viewer {
            Viewer::Anonymous | Viewer::Unrestricted | Viewer::SignedIn(_, Subject::Anonymous) => {
                Self::Nothing
            }
            Viewer::Bearer(token) => Self::Token(token.origin.clone()),
            Viewer::InSession(_, session) => Self::Session(session.id().to_owned()),
            Viewer::SignedIn(_, Subject::Known(Identity { limits: None, .. })) => Self::Password,
            Viewer::SignedIn(_, Subject::Known(Identity { limits: Some(_), .. })) => {
                access_token(headers).map_or(Self::Token(None), Self::AccessToken)
            }
        }
    }

    /// The access token that all this began with, if it was one.
    pub fn access_token(&self) -> Option<&str> {
        match self {
            Self::AccessToken(id) | Self::Token(Some(Origin::AccessToken(id))) => Some(id),
            Self::Nothing | Self::Password | Self::Session(_) | Self::Token(_) => None,
        }
    }
}

/// The access token that stands in a request's head in place of a password.
fn access_token(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(AUTHORIZATION).iter().map(|value| value.as_bytes());
    match read_only(values).ok()? {
        Authorization::Basic(credentials) => Accounts::id_of_access_token(&credentials.password),
        Authorization::None | Authorization::Bearer(_) => None,
    }
}
