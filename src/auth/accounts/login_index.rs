//! Which logins each user has, in memory: the store keeps them by their tokens, and how many a user has must be known when
//! one more is made.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::login_kind::LoginKind;
use crate::auth::subject::UserName;
use crate::clock::Timestamp;

/// How many make way at once. There are more only in a store that was filled without this limit, which is purged hourly.
const AT_ONCE: usize = 500;

/// How many users' logins can be made at once.
const PARTS: usize = 64;

/// An index for each kind of login, made when the first one is.
#[derive(Default)]
pub(super) struct LoginIndexes {
    refresh_tokens: OnceCell<LoginIndex>,
    sessions: OnceCell<LoginIndex>,
}

impl LoginIndexes {
    pub(super) fn of(&self, kind: LoginKind) -> &OnceCell<LoginIndex> {
        match kind {
            LoginKind::RefreshToken => &self.refresh_tokens,
            LoginKind::Session => &self.sessions,
        }
    }
}

/// Logins by their users. Of one user they are made one after the other, so that none ends before it is kept.
pub(super) struct LoginIndex {
    hashing: RandomState,
    parts: [Mutex<LoginsByUser>; PARTS],
}

/// Logins by their users, with their last use.
#[derive(Default)]
pub(super) struct LoginsByUser(HashMap<UserName, HashMap<LoginKey, Timestamp>>);

/// What a login is kept by: the hash of its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LoginKey([u8; 32]);

impl LoginKey {
    /// Reads one as the store has it. None for what was not written here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut key = [0; 32];
        hex::decode_to_slice(text, &mut key).is_ok().then_some(Self(key))
    }

    /// As the store has it.
    pub(super) fn to_text(self) -> String {
        hex::encode(self.0)
    }
}

impl LoginIndex {
    pub(super) fn new() -> Self {
        Self { hashing: RandomState::new(), parts: std::array::from_fn(|_| Mutex::default()) }
    }

    /// The part with a user's logins. No other login of theirs is made until it is dropped.
    pub(super) async fn of(&self, user: &UserName) -> MutexGuard<'_, LoginsByUser> {
        let hash = self.hashing.hash_one(user);
        // A remainder of 64 fits.
        let part = usize::try_from(hash % PARTS as u64).unwrap_or_default();
        self.parts[part].lock().await
    }
}

impl LoginsByUser {
    /// What the logins of a user are kept by.
    pub(super) fn keys_of(&self, user: &UserName) -> impl Iterator<Item = LoginKey> + '_ {
        self.0.get(user).into_iter().flat_map(|logins| logins.keys().copied())
    }

    /// Notes a login that there is.
    pub(super) fn note(&mut self, user: &UserName, key: LoginKey, last_use: Timestamp) {
        self.0.entry(user.clone()).or_default().insert(key, last_use);
    }

    /// Notes the use of a login, unless it has ended meanwhile.
    pub(super) fn note_use(&mut self, user: &UserName, key: &str, now: Timestamp) {
        let login = LoginKey::parse(key).and_then(|key| self.0.get_mut(user)?.get_mut(&key));
        if let Some(last_use) = login {
            *last_use = now;
        }
    }

    /// Notes a new login. Those that make way for it, so that not more than `kept` are left, are answered, and forgotten.
    pub(super) fn add(
        &mut self,
        user: &UserName,
        key: LoginKey,
        now: Timestamp,
        kept: usize,
    ) -> Vec<(LoginKey, Timestamp)> {
        self.note(user, key, now);
        let Some(logins) = self.0.get_mut(user).filter(|logins| logins.len() > kept) else {
            return Vec::new();
        };
        let mut others: Vec<_> = logins
            .iter()
            .map(|(other, last_use)| (*other, *last_use))
            .filter(|(other, _)| *other != key)
            .collect();
        others.sort_unstable_by_key(|(other, last_use)| (*last_use, *other));
        others.truncate((logins.len() - kept).min(AT_ONCE));
        for (other, _) in &others {
            logins.remove(other);
        }
        others
    }

    /// A user has these logins, and no others.
    pub(super) fn replace(&mut self, user: &UserName, logins: HashMap<LoginKey, Timestamp>) {
        if logins.is_empty() {
            self.0.remove(user);
        } else {
            self.0.insert(user.clone(), logins);
        }
    }

    /// Forgets a login.
    pub(super) fn forget(&mut self, user: &UserName, key: &str) {
        let Some(logins) = self.0.get_mut(user) else { return };
        if let Some(key) = LoginKey::parse(key) {
            logins.remove(&key);
        }
        if logins.is_empty() {
            self.0.remove(user);
        }
    }

    /// Forgets all logins of a user.
    pub(super) fn forget_user(&mut self, user: &UserName) {
        self.0.remove(user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> LoginKey {
        LoginKey([number; 32])
    }

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_milliseconds(milliseconds)
    }

    #[test]
    fn what_was_used_longest_ago_makes_way_and_never_the_new_one() {
        let (mut index, alice) = (LoginsByUser::default(), UserName::parse("alice").unwrap());
        for number in 0..100 {
            assert!(index.add(&alice, key(number), at(u64::from(number)), 100).is_empty());
        }
        index.note_use(&alice, &key(0).to_text(), at(1_000));
        index.note_use(&alice, &key(200).to_text(), at(1_000));
        assert_eq!(index.add(&alice, key(100), at(1_001), 100), [(key(1), at(1))]);
        // With a clock that was set back.
        assert_eq!(index.add(&alice, key(101), at(0), 100), [(key(2), at(2))]);
        assert!(index.add(&UserName::parse("bob").unwrap(), key(102), at(0), 100).is_empty());
    }

    #[test]
    fn what_is_forgotten_takes_no_room() {
        let (mut index, alice) = (LoginsByUser::default(), UserName::parse("alice").unwrap());
        for number in 0..250 {
            assert!(index.add(&alice, key(number), at(0), 100).is_empty());
            index.forget(&alice, &key(number).to_text());
        }
        assert!(index.0.is_empty());
    }

    #[test]
    fn a_key_is_written_as_it_was_read() {
        let text = "0f".repeat(32);
        assert_eq!(LoginKey::parse(&text).unwrap().to_text(), text);
        assert_eq!(LoginKey::parse("0f"), None);
    }
}
