//! Accounts as the store keeps them: one JSON document each.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::command::{TokenShown, UserShown};
use crate::auth::subject::UserName;
use crate::clock::Timestamp;

/// A user that the store keeps.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredUser {
    pub hash: String,
    #[serde(default)]
    pub groups: Vec<String>,
    pub created: Timestamp,
    /// Whether the file of users had the name while a door ran: the password here is an older one, and is good no more.
    #[serde(default)]
    pub is_superseded: bool,
}

/// That a user is disabled.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredDisabling {
    pub since: Timestamp,
}

/// An access token that the store keeps.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredToken {
    /// By which name its bearer logs in: that of its owner, or its own.
    pub name: UserName,
    /// Whether it belongs to a user; else it is a robot's.
    pub is_personal: bool,
    pub label: String,
    /// SHA-256 of the secret.
    pub secret: String,
    pub repositories: Vec<String>,
    pub actions: Vec<String>,
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
    #[serde(default)]
    pub last_use: Option<Timestamp>,
}

impl StoredUser {
    /// What is shown of them; nothing if their name is none.
    pub(super) fn shown(self, name: &str) -> Option<UserShown> {
        let Self { groups, created, is_superseded, hash: _ } = self;
        Some(UserShown { name: UserName::parse(name).ok()?, groups, created, is_superseded })
    }
}

impl StoredToken {
    /// What is shown of it.
    pub(super) fn shown(self, id: String, now: Timestamp) -> TokenShown {
        let (is_expired, is_robots) = (self.is_expired(now), !self.is_personal);
        let Self { name, label, repositories, actions, created, expires, last_use, .. } = self;
        TokenShown {
            id,
            name,
            is_robots,
            label,
            repositories,
            actions,
            created,
            expires,
            is_expired,
            last_use,
        }
    }

    /// Whether its time is over.
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

/// The login that a refresh token or a session continues.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredLogin {
    pub user: UserName,
    pub service: String,
    /// What their password was known by.
    pub proof: String,
    pub created: Timestamp,
    pub last_use: Timestamp,
    /// Where it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// With what it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}
