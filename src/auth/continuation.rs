//! Callers whose answer goes on for long, such as a stream of events: whether they may still have it. The rules, the users and
//! their tokens may all change meanwhile.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::authenticator::LoginError;
use super::gate::{Gate, PolicyVersion};
use super::signed_in_by::SignedInBy;
use super::subject::{Identity, Subject, UserName};
use super::token::{Origin, Token};
use super::viewer::Viewer;

/// A caller whose answer goes on.
pub struct Continuation {
    /// None for an open door.
    gate: Option<Arc<Gate>>,
    viewer: Viewer,
    shown: Shown,
    /// What rules and users were at when the caller was looked at last.
    version: Option<PolicyVersion>,
}

/// What a caller has shown with the request itself.
enum Shown {
    /// A token of the door's, a session, or nothing.
    Nothing,
    /// A password, which is another one if this is another text.
    Password(Option<String>),
    /// An access token.
    AccessToken(Origin),
}

impl Continuation {
    /// Begins with the caller whom the gate has found, and with what the request's head has shown.
    ///
    /// # Errors
    /// When the user cannot be looked up.
    pub async fn begin(
        gate: Option<&Arc<Gate>>,
        viewer: Viewer,
        headers: &HeaderMap,
    ) -> Result<Self, LoginError> {
        let version = gate.map(|gate| gate.version());
        let shown = match &viewer {
            Viewer::SignedIn(gate, Subject::Known(identity)) => match SignedInBy::of(&viewer, headers) {
                SignedInBy::AccessToken(id) => Shown::AccessToken(Origin::AccessToken(id)),
                SignedInBy::Nothing
                | SignedInBy::Password
                | SignedInBy::Session(_)
                | SignedInBy::Token(_) => {
                    let found = gate.authenticator.find(&identity.name).await?;
                    Shown::Password(found.map(|found| found.proof))
                }
            },
            Viewer::SignedIn(_, Subject::Anonymous)
            | Viewer::Anonymous
            | Viewer::Unrestricted
            | Viewer::InSession(..)
            | Viewer::Bearer(_) => Shown::Nothing,
        };
        Ok(Self { gate: gate.cloned(), viewer, shown, version })
    }

    /// The caller, as they were looked at last.
    pub const fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// Whether rules and users are what they were when the caller was looked at last. Cheap.
    pub fn is_current(&self) -> bool {
        self.gate.as_ref().map(|gate| gate.version()) == self.version
    }

    /// How long their token is good from now on; nothing where they have shown none.
    pub fn time_left(&self) -> Option<Duration> {
        match (&self.viewer, &self.gate) {
            (Viewer::Bearer(token), Some(gate)) => Some(gate.issuer.time_left(token)),
            _ => None,
        }
    }

    /// Looks at the caller again: their groups, and whether they and what they have shown are still good. Answers whether the
    /// answer may go on.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn renew(&mut self) -> Result<bool, LoginError> {
        let Some(gate) = self.gate.clone() else { return Ok(true) };
        let version = gate.version();
        let renewed = match &self.viewer {
            Viewer::Anonymous | Viewer::Unrestricted | Viewer::SignedIn(_, Subject::Anonymous) => {
                Some(self.viewer.clone())
            }
            Viewer::Bearer(token) => still_good(&gate, token).await?.then(|| self.viewer.clone()),
            Viewer::InSession(_, session) => {
                let session = gate.session_again(session).await?;
                session.map(|session| Viewer::InSession(Arc::clone(&gate), Arc::new(session)))
            }
            Viewer::SignedIn(_, Subject::Known(identity)) => {
                let identity = self.shown.identity(&gate, identity.name.clone()).await?;
                identity.map(|identity| Viewer::SignedIn(Arc::clone(&gate), Subject::Known(identity)))
            }
        };
        self.version = Some(version);
        let goes_on = renewed.is_some();
        self.viewer = renewed.unwrap_or_default();
        Ok(goes_on)
    }
}

impl Shown {
    /// Who it is by now, if that is still good.
    async fn identity(&self, gate: &Gate, name: UserName) -> Result<Option<Identity>, LoginError> {
        match self {
            Self::Nothing => Ok(None),
            Self::AccessToken(origin) => gate.still_known(name, Some(origin)).await,
            Self::Password(proof) => {
                let found = gate.authenticator.find(&name).await?;
                let found = found.filter(|found| Some(&found.proof) == proof.as_ref());
                Ok(found.map(|found| gate.with_groups(found.identity)))
            }
        }
    }
}

/// Whether a token's time is not over, and its user, and what it was given for, are still there.
async fn still_good(gate: &Gate, token: &Token) -> Result<bool, LoginError> {
    if gate.issuer.time_left(token).is_zero() {
        return Ok(false);
    }
    let Some(name) = &token.subject else { return Ok(true) };
    let Ok(name) = UserName::parse(name) else { return Ok(false) };
    Ok(gate.still_known(name, token.origin.as_ref()).await?.is_some())
}
