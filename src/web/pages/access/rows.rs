//! Access tokens and logins in lists, as the API shows them.

use super::super::super::logins::LoginItem;
use super::super::super::tokens::TokenItem;
use super::super::format::Time;
use super::super::visit::Visit;
use crate::auth::LoginKind;

/// An access token.
pub(super) struct TokenRow {
    pub id: String,
    pub name: String,
    pub label: Option<String>,
    pub repositories: String,
    pub actions: String,
    pub created: Time,
    pub expires: Option<Time>,
    pub is_expired: bool,
    pub last_use: Option<Time>,
}

impl TokenRow {
    /// What people know it by.
    pub(super) fn title(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

    pub(super) fn new(token: TokenItem, visit: &Visit) -> Self {
        let name = token.name.to_string();
        Self {
            id: token.id,
            // Of a robot it is the name.
            label: token.label.filter(|label| *label != name),
            name,
            repositories: token.repositories.unwrap_or_default().join(" "),
            actions: token.actions.unwrap_or_default().join(", "),
            created: visit.time(token.created),
            expires: token.expires.map(|time| visit.time(time)),
            is_expired: token.expired,
            last_use: token.last_use.map(|time| visit.time(time)),
        }
    }
}

/// A login that goes on by a password that was shown once.
pub(super) struct LoginRow {
    pub id: String,
    pub kind: &'static str,
    pub icon: &'static str,
    pub agent: String,
    pub address: String,
    pub created: Time,
    pub last_use: Time,
    pub expires: Time,
    pub is_expired: bool,
    /// Whether it is the one that the page is shown by.
    pub is_present: bool,
}

impl LoginRow {
    pub(super) fn new(login: LoginItem, visit: &Visit) -> Self {
        let (kind, icon) = match login.kind {
            LoginKind::Session => ("Browser", "monitor"),
            LoginKind::RefreshToken => ("docker login", "package"),
        };
        Self {
            id: login.id,
            kind,
            icon,
            agent: login.agent.unwrap_or_default(),
            address: login.address.unwrap_or_default(),
            created: visit.time(login.created),
            last_use: visit.time(login.last_use),
            expires: visit.time(login.expires),
            is_expired: login.expired,
            is_present: login.present,
        }
    }
}
