//! Who asks for what the door itself answers, and what of it they may see.

use std::sync::Arc;

use super::gate::Gate;
use super::subject::Subject;
use super::token::Token;
use crate::oci::Access;

/// Somebody who asks.
#[derive(Clone, Default)]
pub enum Viewer {
    /// Somebody of whom nothing is known. They see what is for everybody.
    #[default]
    Nobody,
    /// Whoever reaches an open door, or its socket: they see everything.
    Unrestricted,
    /// The bearer of a token, which says what they may.
    Bearer(Arc<Token>),
    /// Somebody who has logged in with this request. The rules say what they may.
    Somebody(Arc<Gate>, Subject),
}

impl Viewer {
    /// Whether they may do this, or all that can be done here.
    pub fn may(&self, access: &Access) -> bool {
        self.has(access) || self.has(&Access::Admin)
    }

    fn has(&self, access: &Access) -> bool {
        match self {
            Self::Nobody => false,
            Self::Unrestricted => true,
            Self::Bearer(token) => token.grants(access),
            Self::Somebody(gate, subject) => gate.allows(subject, access),
        }
    }

    /// By which name the gate knows them.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Nobody | Self::Unrestricted => None,
            Self::Bearer(token) => token.subject.as_deref(),
            Self::Somebody(_, subject) => subject.name().map(super::UserName::as_str),
        }
    }

    /// Whether they may know who did something, and from where: not so whoever has not logged in.
    pub fn may_see_persons(&self) -> bool {
        match self {
            Self::Unrestricted => true,
            Self::Nobody | Self::Bearer(_) | Self::Somebody(..) => self.name().is_some(),
        }
    }
}
