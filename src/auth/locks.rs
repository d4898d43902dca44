//! Locks after failed logins, as administrators see them and let go of them. They are in the memory of one process: each door
//! has its own, and none outlives it.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::accounts::Author;
use super::gate::Gate;
use super::lockout::{InvalidLockId, Lock, LockId, LockKind, Unlocked};
use super::network::Network;
use super::subject::UserName;
use crate::clock::Timestamp;
use crate::store::{AuthEventKind, Page, PageRequest};

/// A lock, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockShown {
    /// By which it is let go of.
    pub id: LockId,
    /// The user, or the identifier of the access token; nothing where nobody has the name: it may be a password.
    pub named: Option<String>,
    /// From where; nothing if it is from everywhere.
    pub network: Option<Network>,
    /// How many logins failed.
    pub failures: u32,
    /// When the last one did.
    pub last: Timestamp,
    /// Until when it lasts, unless more fail.
    pub until: Timestamp,
}

/// A position in the list of locks: those with a name come first, in the order of the names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockCursor {
    is_unnamed: bool,
    named: Option<String>,
    id: LockId,
}

impl LockCursor {
    fn of(lock: &Lock) -> Self {
        Self { is_unnamed: lock.named.is_none(), named: lock.named.clone(), id: lock.id }
    }
}

impl fmt::Display for LockCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { named, id, .. } = self;
        write!(formatter, "{id}")?;
        named.as_ref().map_or(Ok(()), |named| write!(formatter, ".{named}"))
    }
}

impl FromStr for LockCursor {
    type Err = InvalidLockId;

    fn from_str(text: &str) -> Result<Self, InvalidLockId> {
        let (id, named) = match text.split_once('.') {
            Some((id, named)) => (id, Some(named.to_owned())),
            None => (text, None),
        };
        Ok(Self { is_unnamed: named.is_none(), named, id: id.parse()? })
    }
}

/// Which locks to let go of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedUnlock {
    /// This one.
    Lock(LockId),
    /// All at the password of this name.
    User(UserName),
}

impl Gate {
    /// A part of the locks that are in force; of those of one user, if one is named.
    pub fn locks(
        &self,
        user: Option<&UserName>,
        page: PageRequest<LockCursor>,
    ) -> Page<LockShown, LockCursor> {
        let PageRequest { after, limit } = page;
        let (now, time) = (Instant::now(), self.clock.now());
        let mut locks: Vec<(LockCursor, Lock)> =
            self.locks_of(user, now).map(|lock| (LockCursor::of(&lock), lock)).collect();
        locks.retain(|(cursor, _)| after.as_ref().is_none_or(|after| cursor > after));
        locks.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let goes_on = locks.len() > limit;
        locks.truncate(limit);
        let next = locks.last().filter(|_| goes_on).map(|(cursor, _)| cursor.clone());
        let shown = |Lock { id, named, network, failures, last, until }: Lock| LockShown {
            id,
            named,
            network,
            failures,
            last: time.shifted(-in_milliseconds(now.saturating_duration_since(last))),
            until: time.later_by(until.saturating_duration_since(now)),
        };
        Page { items: locks.into_iter().map(|(_, lock)| shown(lock)).collect(), next }
    }

    fn locks_of(&self, user: Option<&UserName>, now: Instant) -> impl Iterator<Item = Lock> {
        let locks = self.authenticator.lockout().locks(now).into_iter();
        locks.filter(move |lock| {
            user.is_none_or(|user| is_of_users(lock) && lock.named.as_deref() == Some(user.as_str()))
        })
    }

    /// The users whose password is locked, from everywhere or from somewhere.
    pub fn locked_users(&self) -> HashSet<String> {
        self.locks_of(None, Instant::now()).filter(is_of_users).filter_map(|lock| lock.named).collect()
    }

    /// Forgets the failed logins behind locks. Answers whether any were counted; `by` wants it, as far as is known.
    pub fn unlock(&self, wanted: &WantedUnlock, by: Option<&Author>) -> bool {
        let lockout = self.authenticator.lockout();
        let about = match wanted {
            WantedUnlock::User(name) => {
                lockout.forget_user(name).then(|| format!("the user {name} was unlocked"))
            }
            WantedUnlock::Lock(id) => lockout.forget(*id).map(|unlocked| in_words(id.kind(), &unlocked)),
        };
        let Some(about) = about else { return false };
        let (name, address) = by.map_or((None, None), |by| (Some(by.name.as_str()), by.address));
        self.journal().note(AuthEventKind::Account, name, address, about);
        true
    }
}

fn in_milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Whether it is the password of a user that is locked.
fn is_of_users(lock: &Lock) -> bool {
    matches!(lock.id.kind(), LockKind::User | LockKind::UserAtNetwork)
}

/// What was let go of, for the journal.
fn in_words(kind: LockKind, Unlocked { named, network }: &Unlocked) -> String {
    let what = match (kind, named) {
        (LockKind::User | LockKind::UserAtNetwork, Some(name)) => format!("the user {name} was unlocked"),
        (LockKind::User | LockKind::UserAtNetwork, None) => "a name that nobody has was unlocked".to_owned(),
        (LockKind::AccessToken, Some(id)) => format!("the access token {id} was unlocked"),
        (LockKind::AccessToken, None) => "an access token that is none was unlocked".to_owned(),
        (LockKind::Network, _) => "logins are answered at once again".to_owned(),
    };
    match network {
        Some(network) => format!("{what} at {network}"),
        None => what,
    }
}
