//! The caller of what the door itself answers, and what of it they may see.

use std::sync::Arc;

use super::gate::{Gate, PolicyVersion};
use super::requirement::Requirement;
use super::sessions::Session;
use super::subject::Subject;
use super::token::Token;
use crate::oci::{Access, RepositoryName};

/// A caller.
#[derive(Clone, Default)]
pub enum Viewer {
    /// A caller of whom nothing is known, who sees what is public.
    #[default]
    Anonymous,
    /// A caller of an open door, or of its socket, who sees everything.
    Unrestricted,
    /// The bearer of a token, which says what they may.
    Bearer(Arc<Token>),
    /// A caller who has logged in with this request. The rules say what they may.
    SignedIn(Arc<Gate>, Subject),
    /// A caller who has signed in to the pages, and goes on by a browser's cookie. The rules say what they may.
    InSession(Arc<Gate>, Arc<Session>),
}

/// What a caller may see, to be compared: callers with equal rights see the same repositories. What is found out for one may be
/// told to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights(RightsOf);

#[derive(Clone, Debug, PartialEq, Eq)]
enum RightsOf {
    Everything,
    /// No more than this.
    Granted(Vec<Access>),
    /// What the rules say of them, as they stand.
    Ruled(Subject, PolicyVersion),
}

impl Viewer {
    /// Whether they may do this, or all that can be done here.
    pub fn may(&self, access: &Access) -> bool {
        self.has(access) || self.has(&Access::Admin)
    }

    /// Whether they may ask for what requires this.
    pub fn meets(&self, requirement: &Requirement) -> bool {
        match requirement {
            Requirement::Probe | Requirement::Public | Requirement::Page | Requirement::Filtered => true,
            Requirement::SignedIn => self.name().is_some(),
            Requirement::Access(needed) => self.may(needed),
        }
    }

    /// Whether nobody is known behind the request, at a door that asks who its callers are.
    pub fn is_nobody(&self) -> bool {
        match self {
            Self::Unrestricted => false,
            Self::Anonymous | Self::Bearer(_) | Self::SignedIn(..) | Self::InSession(..) => {
                self.name().is_none()
            }
        }
    }

    fn has(&self, access: &Access) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Unrestricted => true,
            Self::Bearer(token) => token.grants(access),
            Self::SignedIn(gate, subject) => gate.allows(subject, access),
            Self::InSession(gate, session) => gate.allows(session.subject(), access),
        }
    }

    /// Which repositories they may pull from: for lists over all of them.
    pub fn sees(&self) -> Box<dyn FnMut(&RepositoryName) -> bool + Send> {
        if self.has(&Access::Admin) {
            return Box::new(|_| true);
        }
        let viewer = self.clone();
        Box::new(move |name| viewer.has(&Access::to_pull(name.clone())))
    }

    /// What [`sees`](Self::sees) goes by.
    pub fn rights(&self) -> Rights {
        Rights(match self {
            viewer if viewer.has(&Access::Admin) => RightsOf::Everything,
            Self::Unrestricted => RightsOf::Everything,
            Self::Anonymous => RightsOf::Granted(Vec::new()),
            Self::Bearer(token) => RightsOf::Granted(token.access.clone()),
            Self::SignedIn(gate, subject) => RightsOf::Ruled(subject.clone(), gate.version()),
            Self::InSession(gate, session) => RightsOf::Ruled(session.subject().clone(), gate.version()),
        })
    }

    /// The name by which the gate knows them.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anonymous | Self::Unrestricted => None,
            Self::Bearer(token) => token.subject.as_deref(),
            Self::SignedIn(_, subject) => subject.name().map(super::UserName::as_str),
            Self::InSession(_, session) => session.subject().name().map(super::UserName::as_str),
        }
    }

    /// Whether they may know who did something, and from where: only callers who have logged in may.
    pub fn may_see_actors(&self) -> bool {
        match self {
            Self::Unrestricted => true,
            Self::Anonymous | Self::Bearer(_) | Self::SignedIn(..) | Self::InSession(..) => {
                self.name().is_some()
            }
        }
    }
}
