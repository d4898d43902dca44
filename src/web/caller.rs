//! Who asks about accounts, and whether what they have shown is enough to change any.
//!
//! What is changed lasts longer than a token, so that no token is enough for it: neither an access token, which is for a part of
//! what its user may do, nor one of `/token`, which is for minutes and for what it names. Who changes accounts sends their
//! name and password with the request, or is signed in to the pages, where a session began with the password.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::command_peer::{MaybePeer, local_user};
use super::error::ApiError;
use super::state::WebState;
use crate::auth::{Author, Gate, Identity, SignedInBy, Subject, UserName, Viewer};
use crate::oci::Access;
use crate::store::AuthEventKind;

/// A caller of the API.
pub(super) struct Caller {
    gate: Option<Arc<Gate>>,
    viewer: Viewer,
    signed_in_by: SignedInBy,
    /// None on the socket.
    address: Option<IpAddr>,
    peer: MaybePeer,
}

impl FromRequestParts<WebState> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Infallible> {
        let viewer = Viewer::from_request_parts(parts, state).await?;
        Ok(Self {
            gate: state.gate.clone(),
            signed_in_by: SignedInBy::of(&viewer, &parts.headers),
            viewer,
            address: parts.extensions.get().copied(),
            peer: parts.extensions.get().copied().map(Extension),
        })
    }
}

impl Caller {
    /// The gate, whose accounts they ask about.
    ///
    /// # Errors
    /// When the door is open.
    pub(super) fn gate(&self) -> Result<&Arc<Gate>, ApiError> {
        self.gate.as_ref().ok_or(ApiError::AccountsOff)
    }

    /// What they have shown.
    pub(super) const fn signed_in_by(&self) -> &SignedInBy {
        &self.signed_in_by
    }

    /// Where they are. Whoever uses the socket is on this machine.
    pub(super) fn address(&self) -> IpAddr {
        self.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Whether this request may do what is for administrators.
    pub(super) fn is_administrator(&self) -> bool {
        self.viewer.may(&Access::Admin)
    }

    /// Who it is, as the sources of users know them now; nobody on the socket, and at an open door.
    ///
    /// # Errors
    /// When they are gone, or cannot be looked up.
    pub(super) async fn identity(&self) -> Result<Option<Identity>, ApiError> {
        let login = ApiError::LoginRequired { what: "this" };
        match (&self.viewer, &self.gate) {
            (Viewer::Unrestricted, _) => Ok(None),
            (Viewer::SignedIn(_, Subject::Known(identity)), _) => Ok(Some(identity.clone())),
            (Viewer::InSession(_, session), _) => match session.subject() {
                Subject::Known(identity) => Ok(Some(identity.clone())),
                Subject::Anonymous => Err(login),
            },
            (Viewer::Bearer(token), Some(gate)) => match gate.subject_of(token).await? {
                Some(Subject::Known(identity)) => Ok(Some(identity)),
                Some(Subject::Anonymous) | None => Err(login),
            },
            (Viewer::Anonymous | Viewer::Bearer(_) | Viewer::SignedIn(_, Subject::Anonymous), _) => {
                Err(login)
            }
        }
    }

    /// Whether it is this user or robot.
    pub(super) fn is_called(&self, name: &UserName) -> bool {
        self.viewer.name() == Some(name.as_str())
    }

    /// Makes sure that what they have shown is enough to change accounts. The socket itself is.
    ///
    /// # Errors
    /// When it was neither their password nor a session.
    pub(super) fn require_password(&self) -> Result<(), ApiError> {
        if self.has_password() {
            return Ok(());
        }
        self.note_refusal("a change of accounts without a password");
        Err(ApiError::PasswordRequired)
    }

    /// Whether what they have shown is enough to change accounts.
    pub(super) const fn has_password(&self) -> bool {
        match (&self.viewer, &self.signed_in_by) {
            (Viewer::Unrestricted, _) | (_, SignedInBy::Password | SignedInBy::Session(_)) => true,
            (_, SignedInBy::Nothing | SignedInBy::AccessToken(_) | SignedInBy::Token(_)) => false,
        }
    }

    /// Makes sure that they administer the door, and that what they have shown is enough to change accounts.
    ///
    /// # Errors
    /// When they do not, or it is not.
    pub(super) fn require_administrator(&self, what: &'static str) -> Result<(), ApiError> {
        if !self.is_administrator() {
            self.note_refusal(what);
            return Err(ApiError::Forbidden { what });
        }
        self.require_password()
    }

    fn note_refusal(&self, about: &str) {
        if let Some(gate) = &self.gate {
            gate.journal().note(AuthEventKind::Refused, self.viewer.name(), self.address, about);
        }
    }

    /// As the journal names them.
    pub(super) async fn author(&self) -> Option<Author> {
        match self.viewer.name() {
            Some(name) => Some(Author { name: name.to_owned(), address: self.address }),
            None => local_user(self.peer).await.as_ref().map(Author::from),
        }
    }
}

/// The name of whoever this is; there is none on the socket.
pub(super) fn name(identity: Option<&Identity>) -> Option<&UserName> {
    identity.map(|identity| &identity.name)
}

/// Whether it is a robot.
pub(super) fn is_robot(identity: &Identity) -> bool {
    identity.limits.as_ref().is_some_and(|limits| limits.is_own)
}
