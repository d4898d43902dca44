//! What happened at the gate: logins, refusals, tokens, administrative acts. Kept beside the history of the registry, for as
//! long as is wanted, and never with a secret in it.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Sequence;
use crate::clock::Timestamp;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthEventKind {
    /// A client was given a token.
    Token,
    /// A client has proved who it is.
    Login,
    /// A client could not prove who it is.
    LoginFailed,
    /// A client was refused what it asked for.
    Refused,
    /// Users or access tokens were changed.
    Account,
    /// Rules or keys were changed, or removals were accepted.
    Policy,
    /// A browser was signed out.
    SignedOut,
}

impl AuthEventKind {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Token,
        Self::Login,
        Self::LoginFailed,
        Self::Refused,
        Self::Account,
        Self::Policy,
        Self::SignedOut,
    ];
}

/// Something that happened at the gate, once or several times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthEvent {
    /// When, the last time.
    pub time: Timestamp,
    /// When, the first time, if that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// What.
    pub kind: AuthEventKind,
    /// Who, as far as is known; of a failed login who they said they are, if anybody has that name, else what stands for it.
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
    /// At most so many of each kind.
    pub most: Quotas,
    /// None from before this.
    pub since: Timestamp,
}

/// So many events of a kind are purged at once: pushes wait for it. Those beyond go with the next ones.
const MOST_PURGED: usize = 2_000;

impl Retention {
    /// Which events of a kind go, of so many that are kept, oldest first: those that are too many, and those that are too old.
    ///
    /// # Errors
    /// When an event cannot be read.
    pub(super) fn purged<E>(
        &self,
        kind: AuthEventKind,
        count: u64,
        oldest_first: impl Iterator<Item = Result<(Sequence, Timestamp), E>>,
    ) -> Result<Vec<Sequence>, E> {
        let mut excess = count.saturating_sub(self.most.of(kind));
        let mut gone = Vec::new();
        for event in oldest_first {
            let (number, time) = event?;
            if (excess == 0 && time >= self.since) || gone.len() == MOST_PURGED {
                break;
            }
            gone.push(number);
            excess = excess.saturating_sub(1);
        }
        Ok(gone)
    }
}

/// A number for each kind. None is pushed out by another: a client can make as many failures as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Of tokens.
    pub tokens: u64,
    /// Of logins, and as many of their ends.
    pub logins: u64,
    /// Of failed logins.
    pub failures: u64,
    /// Of refusals.
    pub refusals: u64,
    /// Of changes of users and access tokens.
    pub accounts: u64,
    /// Of changes of rules and keys.
    pub policies: u64,
}

impl Quotas {
    /// That of a kind.
    pub const fn of(&self, kind: AuthEventKind) -> u64 {
        match kind {
            AuthEventKind::Token => self.tokens,
            AuthEventKind::Login | AuthEventKind::SignedOut => self.logins,
            AuthEventKind::LoginFailed => self.failures,
            AuthEventKind::Refused => self.refusals,
            AuthEventKind::Account => self.accounts,
            AuthEventKind::Policy => self.policies,
        }
    }
}

/// Makes what stands for a name that no user has: people type passwords where a name is asked for. The same name looks the same
/// as long as this lives; no one else can try names against it.
#[derive(Debug, Default)]
pub struct NameMask(RandomState);

impl NameMask {
    /// What stands for a name: a part of a keyed hash, and how many characters it has. No user has such a name.
    pub fn mask(&self, name: &str) -> String {
        format!("nobody:{:08x}:{}", self.0.hash_one(name) >> 32, name.chars().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_name_tells_its_length_and_whether_it_is_the_same() {
        let mask = NameMask::default();
        let one = mask.mask("hunter2ü");
        assert!(one.starts_with("nobody:") && one.ends_with(":8") && one.len() == 17, "{one}");
        assert_eq!(one, mask.mask("hunter2ü"));
        assert_ne!(one, mask.mask("hunter3ü"));
        assert_ne!(one, NameMask::default().mask("hunter2ü"), "nobody can try names elsewhere");
    }
}
