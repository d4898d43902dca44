//! Which brakes are in force, for administrators, and letting go of them.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use serde::{Serialize, Serializer};

use super::failures::{Counted, Failures};
use super::{FREE_FROM_NETWORK, Lockout};
use crate::auth::fingerprint::Fingerprint;
use crate::auth::network::Network;
use crate::auth::subject::UserName;

/// What is braked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKind {
    /// Logins by the password of a name from everywhere, except where its user has logged in within a day.
    User,
    /// Logins by the password of a name from one network.
    UserAtNetwork,
    /// Logins by an access token from one network.
    AccessToken,
    /// Logins of one network by any password: they are not refused but answered later.
    Network,
}

impl LockKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::User, Self::UserAtNetwork, Self::AccessToken, Self::Network];

    /// As it is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::UserAtNetwork => "user_at_network",
            Self::AccessToken => "access_token",
            Self::Network => "network",
        }
    }
}

impl Serialize for LockKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// By what a brake is named. It is another one in each process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockId {
    kind: LockKind,
    key: Key,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Name(Fingerprint),
    Network(Network),
}

/// A text that names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no lock's identifier; the list of locks shows them")]
pub struct InvalidLockId;

impl LockId {
    /// What is braked.
    pub const fn kind(self) -> LockKind {
        self.kind
    }
}

impl fmt::Display for LockId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str();
        match self.key {
            Key::Name(name) => write!(formatter, "{kind}-{}", name.to_hex()),
            Key::Network(Network::V4(address)) => write!(formatter, "{kind}-{:08x}", address.to_bits()),
            Key::Network(Network::V6(prefix)) => write!(formatter, "{kind}-{prefix:016x}"),
        }
    }
}

impl FromStr for LockId {
    type Err = InvalidLockId;

    fn from_str(text: &str) -> Result<Self, InvalidLockId> {
        let (kind, key) = text.split_once('-').ok_or(InvalidLockId)?;
        let kind = LockKind::ALL.into_iter().find(|known| known.as_str() == kind).ok_or(InvalidLockId)?;
        let key = match (kind, key.len()) {
            (LockKind::Network, 8) => u32::from_str_radix(key, 16).ok().map(|bits| Network::V4(bits.into())),
            (LockKind::Network, 16) => u64::from_str_radix(key, 16).ok().map(Network::V6),
            (LockKind::Network, _) => None,
            (LockKind::User | LockKind::UserAtNetwork | LockKind::AccessToken, _) => {
                let name = Fingerprint::from_hex(key).ok_or(InvalidLockId)?;
                return Ok(Self { kind, key: Key::Name(name) });
            }
        };
        Ok(Self { kind, key: Key::Network(key.ok_or(InvalidLockId)?) })
    }
}

/// A brake that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::auth) struct Lock {
    pub id: LockId,
    /// A user, or the identifier of an access token; nothing where nobody has the name.
    pub named: Option<String>,
    /// From where; nothing if it is from everywhere.
    pub network: Option<Network>,
    /// How many logins failed.
    pub failures: u32,
    /// When the last one did.
    pub last: Instant,
    /// Until when it is in force.
    pub until: Instant,
}

/// What was let go of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::auth) struct Unlocked {
    /// A user, or the identifier of an access token.
    pub named: Option<String>,
    /// From where.
    pub network: Option<Network>,
}

impl Unlocked {
    fn of(counted: Counted) -> Self {
        Self { named: counted.named.map(String::from), network: counted.network }
    }
}

impl Lock {
    fn of(kind: LockKind, (key, counted, until): (&Fingerprint, &Counted, Instant)) -> Self {
        let Counted { failures: Failures { count, last }, named, network, account: _ } = counted;
        Self {
            id: LockId { kind, key: Key::Name(*key) },
            named: named.as_deref().map(str::to_owned),
            network: *network,
            failures: *count,
            last: *last,
            until,
        }
    }
}

impl Lockout {
    /// The brakes in force.
    pub(in crate::auth) fn locks(&self, now: Instant) -> Vec<Lock> {
        let state = self.state();
        let by_name = [
            (LockKind::User, &state.accounts),
            (LockKind::UserAtNetwork, &state.pairs),
            (LockKind::AccessToken, &state.tokens),
        ];
        let by_name = by_name
            .into_iter()
            .flat_map(|(kind, table)| table.in_force(now).map(move |entry| Lock::of(kind, entry)));
        // The one before the first that pays is in force already, so that it is not pushed out.
        let paying =
            state.networks.in_force(now).filter(|(_, failures, _)| failures.count >= FREE_FROM_NETWORK);
        let of_networks = paying.map(|(network, failures, until)| Lock {
            id: LockId { kind: LockKind::Network, key: Key::Network(*network) },
            named: None,
            network: Some(*network),
            failures: failures.count,
            last: failures.last,
            until,
        });
        by_name.chain(of_networks).collect()
    }

    /// Forgets all failures at the password of this name, from wherever. Answers whether any were counted.
    pub(in crate::auth) fn forget_user(&self, name: &UserName) -> bool {
        let account = self.account(name);
        let mut state = self.state();
        let from_everywhere = state.accounts.remove(&account).is_some();
        let from_networks = state.pairs.remove_where(|counted| counted.account == Some(account));
        from_everywhere || from_networks > 0
    }

    /// Forgets the failures behind a brake. Answers whose they were, if any were counted.
    pub(in crate::auth) fn forget(&self, lock: LockId) -> Option<Unlocked> {
        let mut state = self.state();
        match (lock.kind, lock.key) {
            (LockKind::User, Key::Name(key)) => state.accounts.remove(&key).map(Unlocked::of),
            (LockKind::UserAtNetwork, Key::Name(key)) => state.pairs.remove(&key).map(Unlocked::of),
            (LockKind::AccessToken, Key::Name(key)) => state.tokens.remove(&key).map(Unlocked::of),
            (LockKind::Network, Key::Network(network)) => {
                let unlocked = |_| Unlocked { named: None, network: Some(network) };
                state.networks.remove(&network).map(unlocked)
            }
            (LockKind::Network, Key::Name(_))
            | (LockKind::User | LockKind::UserAtNetwork | LockKind::AccessToken, Key::Network(_)) => None,
        }
    }
}
