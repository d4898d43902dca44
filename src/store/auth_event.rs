//! What happened at the gate: logins, refusals, tokens, administrative acts. Kept beside the history of the registry, for as
//! long as is wanted, and never with a secret in it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthEventKind {
    /// Somebody was given a token.
    Token,
    /// Somebody has proved who they are.
    Login,
    /// Somebody could not prove who they are.
    LoginFailed,
    /// Somebody was not let do something.
    Refused,
    /// Users or access tokens were changed.
    Account,
    /// Rules or keys were changed.
    Policy,
}

impl AuthEventKind {
    /// Whether it is an act of whoever runs the door. Such events are few, and whoever knocks at the gate must not be able to
    /// push them out by making many of the others.
    pub const fn is_administrative(self) -> bool {
        match self {
            Self::Account | Self::Policy => true,
            Self::Token | Self::Login | Self::LoginFailed | Self::Refused => false,
        }
    }
}

/// Something that happened at the gate, once or several times in a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthEvent {
    /// When, the last time.
    pub time: Timestamp,
    /// What.
    pub kind: AuthEventKind,
    /// Who, as far as is known; of a failed login who they said they are.
    pub user: Option<String>,
    /// From where.
    pub address: Option<IpAddr>,
    /// What it was about: scopes, an account.
    pub about: String,
    /// How often.
    pub count: u64,
}

/// How many of them are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// At most so many; administrative ones go last.
    pub most: u64,
    /// None from before this.
    pub since: Timestamp,
}
