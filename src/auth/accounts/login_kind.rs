//! How a login goes on without its password.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::store::AccountKind;

/// How a login goes on without its password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginKind {
    /// By a refresh token, which `docker login` keeps.
    RefreshToken,
    /// By the cookie of a browser, which is signed in to the pages.
    Session,
}

impl LoginKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::RefreshToken, Self::Session];

    /// As it is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::Session => "session",
        }
    }

    /// As what the store keeps it.
    pub(super) const fn account_kind(self) -> AccountKind {
        match self {
            Self::RefreshToken => AccountKind::RefreshToken,
            Self::Session => AccountKind::Session,
        }
    }

    /// How many of one user are kept; those that were used last.
    pub(super) const fn kept(self) -> usize {
        match self {
            Self::RefreshToken => 100,
            Self::Session => 20,
        }
    }

    /// How often the last use is written down.
    pub(super) const fn note_every(self) -> Duration {
        match self {
            Self::RefreshToken => Duration::from_hours(1),
            Self::Session => Duration::from_mins(5),
        }
    }
}

impl Serialize for LoginKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
