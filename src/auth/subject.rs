//! The caller: a user, a robot, or anonymous.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pattern::{Pattern, Variables};
use crate::oci::Actions;

/// The name of a user or robot: 1 to 255 visible characters without a colon, which ends it in HTTP Basic (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

/// Why a name is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user name has 1 to 255 characters, none of them a colon, a space or a control character")]
pub struct InvalidUserName;

impl UserName {
    /// The longest name, in bytes.
    pub const MAXIMUM_BYTES: usize = 255;

    /// Reads a name. Names are compared byte by byte.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character that it must not have.
    pub fn parse(text: &str) -> Result<Self, InvalidUserName> {
        let is_allowed =
            |character: char| character != ':' && !character.is_control() && !character.is_whitespace();
        if text.is_empty() || text.len() > Self::MAXIMUM_BYTES || !text.chars().all(is_allowed) {
            return Err(InvalidUserName);
        }
        Ok(Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(text: &str) -> Result<Self, InvalidUserName> {
        Self::parse(text)
    }
}

impl TryFrom<String> for UserName {
    type Error = InvalidUserName;

    fn try_from(text: String) -> Result<Self, InvalidUserName> {
        Self::parse(&text)
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

/// A user or robot whom an identity source knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The authenticated name.
    pub name: UserName,
    /// The groups that they are in.
    pub groups: Vec<String>,
    /// What they may do at most, or at all, if they came with an access token.
    pub limits: Option<Limits>,
}

/// What the bearer of an access token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Repositories, as patterns.
    pub repositories: Arc<[Pattern]>,
    /// Actions on them.
    pub actions: Actions,
    /// Whether that is theirs by itself, as a robot's; else it is the part of what the rules allow to their owner.
    pub is_own: bool,
}

impl Identity {
    /// A user without limits of their own.
    pub fn new(name: UserName, groups: Vec<String>) -> Self {
        Self { name, groups, limits: None }
    }
}

/// The caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A caller who gave no credentials.
    Anonymous,
    /// A caller who has proved who they are.
    Known(Identity),
}

impl Subject {
    /// The name, if there is one.
    pub fn name(&self) -> Option<&UserName> {
        match self {
            Self::Anonymous => None,
            Self::Known(identity) => Some(&identity.name),
        }
    }

    /// What the variables of patterns stand for; none for a caller who has not logged in.
    pub fn variables(&self) -> Option<Variables<'_>> {
        match self {
            Self::Anonymous => None,
            Self::Known(Identity { name, groups, .. }) => Some(Variables { user: name.as_str(), groups }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_visible_and_has_no_colon() {
        for good in ["alice", "Alice", "a@example.com", "ci-bot_1", "ü"] {
            assert_eq!(UserName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a:b", "a b", "a\nb", "\u{7f}", &"x".repeat(256)] {
            assert_eq!(UserName::parse(bad), Err(InvalidUserName), "{bad}");
        }
    }
}
