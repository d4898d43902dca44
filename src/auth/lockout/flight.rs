//! Attempts under way. There are as many as requests that wait for one, and nothing is left of them when they are over.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use super::failures::Failures;
use crate::auth::fingerprint::Fingerprint;
use crate::auth::network::Network;

/// What an attempt is counted by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    /// Where it comes from.
    pub network: Network,
    /// What is guessed at, from there.
    pub pair: Fingerprint,
    /// What is guessed at, from anywhere; none for a secret that cannot be guessed.
    pub account: Option<Fingerprint>,
    /// With what.
    pub credential: Fingerprint,
}

#[derive(Default)]
pub(super) struct Flight {
    networks: HashMap<Network, usize>,
    pairs: HashMap<Fingerprint, Failures>,
    accounts: HashMap<Fingerprint, Account>,
}

struct Account {
    /// The same password from many places at once is one guess.
    credentials: HashMap<Fingerprint, usize>,
    last: Instant,
}

impl Flight {
    /// How many passwords from there.
    pub(super) fn from(&self, network: Network) -> usize {
        self.networks.get(&network).copied().unwrap_or_default()
    }

    /// Guesses at that, from there.
    pub(super) fn at(&self, pair: &Fingerprint) -> Option<Failures> {
        self.pairs.get(pair).copied()
    }

    /// Other guesses at that than this one, from anywhere.
    pub(super) fn at_account(&self, account: &Fingerprint, credential: &Fingerprint) -> Option<Failures> {
        let Account { credentials, last } = self.accounts.get(account)?;
        let others = credentials.len() - usize::from(credentials.contains_key(credential));
        let count = u32::try_from(others).unwrap_or(u32::MAX);
        (count > 0).then_some(Failures { count, last: *last })
    }

    pub(super) fn begin(&mut self, marks: &Marks, now: Instant) {
        let pair = self.pairs.entry(marks.pair).or_insert(Failures { count: 0, last: now });
        *pair = Failures { count: pair.count.saturating_add(1), last: pair.last.max(now) };
        // A secret that cannot be guessed costs no hash, and takes no turn of another caller.
        if let Some(account) = marks.account {
            *self.networks.entry(marks.network).or_default() += 1;
            let account = self.accounts.entry(account);
            let account = account.or_insert_with(|| Account { credentials: HashMap::new(), last: now });
            account.last = account.last.max(now);
            *account.credentials.entry(marks.credential).or_default() += 1;
        }
    }

    pub(super) fn end(&mut self, marks: &Marks) {
        less(&mut self.pairs, marks.pair, |failures| {
            failures.count = failures.count.saturating_sub(1);
            failures.count == 0
        });
        if let Some(account) = marks.account {
            less(&mut self.networks, marks.network, |count| {
                *count = count.saturating_sub(1);
                *count == 0
            });
            less(&mut self.accounts, account, |account| {
                less(&mut account.credentials, marks.credential, |count| {
                    *count = count.saturating_sub(1);
                    *count == 0
                });
                account.credentials.is_empty()
            });
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.pairs.is_empty() && self.accounts.is_empty()
    }
}

/// Takes one away, and the entry with the last one.
fn less<K: Eq + Hash, V>(counts: &mut HashMap<K, V>, key: K, is_over: impl FnOnce(&mut V) -> bool) {
    if counts.get_mut(&key).is_some_and(is_over) {
        counts.remove(&key);
    }
}
