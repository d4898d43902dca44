//! Brakes on guessing passwords. An attacker who guesses at one account from one network waits longer after each failure; one
//! who guesses at one account from many networks slows down all callers that have not proved before, from their network, that
//! they know the password; and one who guesses at many accounts from one network is answered slower and slower, a few guesses
//! at a time. An access token, which cannot be guessed, has a brake of its own at each network and none everywhere.
//!
//! A failure is a password that was hashed and is wrong: what ends before that leaves nothing behind, so that the tables cannot
//! be filled faster than hashes are computed. A brake that is in force is never forgotten for another one.

mod failures;
mod flight;
mod locks;
mod table;

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use self::locks::{InvalidLockId, LockId, LockKind};
pub(super) use self::locks::{Lock, Unlocked};
pub(super) use self::table::Table;

use self::failures::{Counted, Failures};
use self::flight::{Flight, Marks};
use super::fingerprint::{Fingerprint, Fingerprints};
use super::hashing::Ticket;
use super::network::Network;
use super::subject::UserName;
use crate::clock::Backoff;
use crate::telemetry::CounterFamily;

pub(super) static FAILURES_UNCOUNTED: CounterFamily = CounterFamily {
    name: "portreeve_login_failures_uncounted_total",
    help: "Failed logins that no brake had room for; each was delayed as long as any before it was looked at",
    labels: &[],
};

/// How many are remembered of each kind: 15 MB, unless they have long names.
pub(super) const REMEMBERED: usize = 50_000;
/// How many access tokens: a failure costs no hash, so the table is filled quickly, and nothing depends on it.
pub(super) const REMEMBERED_TOKENS: usize = 10_000;
/// How long is remembered who has logged in from where.
pub(super) const KNOWN: Duration = Duration::from_hours(24);
/// Failures of one account from one network that cost nothing: people mistype.
const FREE: u32 = 3;
/// Failures of one account from everywhere that cost nothing.
const FREE_FROM_EVERYWHERE: u32 = 50;
/// Failures of one network at whatever accounts that cost nothing.
const FREE_FROM_NETWORK: u32 = 30;
/// The delay after each failure beyond the free ones, up to the longest that the operator wants.
const DELAYS: Backoff = Backoff::new(Duration::from_secs(1), Duration::MAX);
/// How much later an attempt is looked at that a network pays for.
/// No caller is refused for others behind the same network, unless there are too many at once.
const SLOWER: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
/// How many attempts of one network are under way at once.
const AT_ONCE: usize = 128;
/// How many of one that is answered slower.
const AT_ONCE_SLOWER: usize = 4;
/// After which time a caller should come again who comes while too many are under way.
const SOON: Duration = Duration::from_secs(1);

/// Counts failures.
pub(super) struct Lockout {
    /// The longest delay; zero turns delays off.
    longest: Duration,
    fingerprints: Fingerprints,
    state: Mutex<State>,
}

/// What a caller tries to log in with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    /// The password of a user.
    Password(&'a UserName),
    /// The secret of an access token, by the token's name.
    Token(&'a str),
}

struct State {
    pairs: Table<Fingerprint, Counted>,
    accounts: Table<Fingerprint, Counted>,
    networks: Table<Network, Failures>,
    tokens: Table<Fingerprint, Counted>,
    /// Who has logged in from where of late.
    known: Table<Fingerprint, ()>,
    flight: Flight,
}

/// An attempt to log in, under way until it is dropped. It counts as a failure meanwhile, so that many at once are as many
/// guesses. One that is dropped without a word stays a failure if a hash was computed for it.
pub(super) struct Attempt<'a> {
    lockout: &'a Lockout,
    marks: Marks,
    /// The user or the access token, where there is one of that name.
    named: Option<Box<str>>,
    begun: Instant,
    outcome: LoginOutcome,
    ticket: Ticket,
    /// How long to wait before it is looked at.
    pub(super) delay: Duration,
}

#[derive(Clone, Copy)]
enum LoginOutcome {
    Unsaid,
    Succeeded,
    Failed,
    Nothing,
}

impl Lockout {
    /// With delays up to this; what is counted is forgotten after twice that.
    pub(super) fn new(longest: Duration, fingerprints: Fingerprints) -> Self {
        let forget = longest.max(Duration::from_secs(1)) * 2;
        let state = State {
            pairs: Table::new(REMEMBERED, forget),
            accounts: Table::new(REMEMBERED, forget),
            networks: Table::new(REMEMBERED, forget),
            tokens: Table::new(REMEMBERED_TOKENS, forget),
            known: Table::new(REMEMBERED, KNOWN),
            flight: Flight::default(),
        };
        Self { longest, fingerprints, state: Mutex::new(state) }
    }

    /// Begins an attempt with a credential.
    ///
    /// # Errors
    /// How long they have to wait.
    pub(super) fn begin(
        &self,
        network: Network,
        target: Target<'_>,
        credential: Fingerprint,
        now: Instant,
    ) -> Result<Attempt<'_>, Duration> {
        let marks = self.marks(network, target, credential);
        let mut state = self.state();
        let (wait, delay) = match marks.account {
            Some(account) => self.look(&state, &marks, &account, now)?,
            None => (self.at_pair(&state.tokens, &state, &marks, now), Duration::ZERO),
        };
        if !wait.is_zero() {
            return Err(wait);
        }
        state.flight.begin(&marks, now);
        let failures = state.networks.get(&network, now).map_or(0, |failures| failures.count);
        let is_known = state.known.get(&marks.pair, now).is_some();
        let ticket = match failures > FREE && !is_known {
            true => Ticket::after_failures(network),
            false => Ticket::new(network),
        };
        Ok(Attempt {
            lockout: self,
            marks,
            named: None,
            begun: now,
            outcome: LoginOutcome::Unsaid,
            ticket,
            delay,
        })
    }

    /// How long to wait before a password may be tried, and how much later it is looked at then.
    fn look(
        &self,
        state: &State,
        marks: &Marks,
        account: &Fingerprint,
        now: Instant,
    ) -> Result<(Duration, Duration), Duration> {
        let is_known = state.known.get(&marks.pair, now).is_some();
        let mut wait = self.at_pair(&state.pairs, state, marks, now);
        let mut delay = Duration::ZERO;
        if !is_known {
            let counted = state.accounts.get(account, now).map(|counted| counted.failures);
            let failures = sum(counted, state.flight.at_account(account, &marks.credential));
            wait = wait.max(self.wait(failures, FREE_FROM_EVERYWHERE, now));
            delay = self.delay(state, marks, account, now);
        }
        let at_once = if delay.is_zero() { AT_ONCE } else { AT_ONCE_SLOWER };
        if wait.is_zero() && state.flight.from(marks.network) >= at_once {
            return Err(SOON);
        }
        Ok((wait, delay))
    }

    fn at_pair(
        &self,
        table: &Table<Fingerprint, Counted>,
        state: &State,
        marks: &Marks,
        now: Instant,
    ) -> Duration {
        let counted = table.get(&marks.pair, now).map(|counted| counted.failures);
        self.wait(sum(counted, state.flight.at(&marks.pair)), FREE, now)
    }

    fn wait(&self, failures: Option<Failures>, free: u32, now: Instant) -> Duration {
        failures
            .map_or(Duration::ZERO, |failures| self.in_force(failures, free).saturating_duration_since(now))
    }

    /// Until when a brake is in force.
    fn in_force(&self, Failures { count, last }: Failures, free: u32) -> Instant {
        last + DELAYS.up_to(self.longest).pause(count.saturating_sub(free))
    }

    fn delay(&self, state: &State, marks: &Marks, account: &Fingerprint, now: Instant) -> Duration {
        if self.longest.is_zero() {
            return Duration::ZERO;
        }
        // Where no failure can be counted any more, each is paid for as the dearest.
        let is_counted = state.pairs.has_room(&marks.pair, now)
            && state.accounts.has_room(account, now)
            && state.networks.has_room(&marks.network, now);
        if !is_counted {
            return SLOWER.max;
        }
        let failures = state.networks.get(&marks.network, now).map_or(0, |failures| failures.count);
        let paid = failures.saturating_add(1).saturating_sub(FREE_FROM_NETWORK);
        SLOWER.pause(paid)
    }

    fn marks(&self, network: Network, target: Target<'_>, credential: Fingerprint) -> Marks {
        let (kind, name) = match target {
            Target::Password(name) => ("password", name.as_str()),
            Target::Token(id) => ("token", id),
        };
        let from = match network {
            Network::V4(address) => address.octets().to_vec(),
            Network::V6(prefix) => prefix.to_be_bytes().to_vec(),
        };
        let account = match target {
            Target::Password(name) => Some(self.account(name)),
            Target::Token(_) => None,
        };
        Marks { network, pair: self.fingerprints.of(kind, &[&from, name.as_bytes()]), account, credential }
    }

    /// By what a name is known, wherever its password is guessed at.
    fn account(&self, name: &UserName) -> Fingerprint {
        self.fingerprints.of("account", &[name.as_str().as_bytes()])
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a failure. What there is no room for was paid for before it was tried.
    fn count(&self, state: &mut State, marks: &Marks, named: Option<&str>, begun: Instant) {
        if self.longest.is_zero() {
            return;
        }
        let more = |counted: Option<&Failures>| Failures {
            count: counted.map_or(0, |failures| failures.count).saturating_add(1),
            last: counted.map_or(begun, |failures| failures.last.max(begun)),
        };
        let mut is_lost = false;
        let mut put = |table: &mut Table<Fingerprint, Counted>, key: Fingerprint, network, free: u32| {
            let before = table.get(&key, begun);
            let failures = more(before.map(|before| &before.failures));
            let known = || before.and_then(|before| before.named.clone());
            let named = named.map(Box::from).or_else(known);
            let counted = Counted { failures, named, network, account: marks.account };
            is_lost |= table.put(key, counted, failures.last, self.in_force(failures, free)).is_err();
        };
        match marks.account {
            None => put(&mut state.tokens, marks.pair, Some(marks.network), FREE),
            Some(account) => {
                put(&mut state.pairs, marks.pair, Some(marks.network), FREE);
                put(&mut state.accounts, account, None, FREE_FROM_EVERYWHERE);
                let failures = more(state.networks.get(&marks.network, begun));
                let pays = failures.count >= FREE_FROM_NETWORK;
                let until = failures.last + if pays { self.longest } else { Duration::ZERO };
                is_lost |= state.networks.put(marks.network, failures, failures.last, until).is_err();
            }
        }
        if is_lost {
            FAILURES_UNCOUNTED.with([]).increment(1);
        }
    }
}

impl Attempt<'_> {
    /// With which hashes are computed for it.
    pub(super) const fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// The same, at a user or an access token that there is: an administrator is told of whom.
    pub(super) fn named(mut self, name: &str) -> Self {
        self.named = Some(name.into());
        self
    }

    /// They have proved who they are.
    pub(super) fn succeeded(mut self) {
        self.outcome = LoginOutcome::Succeeded;
    }

    /// They have not.
    pub(super) fn failed(mut self) {
        self.outcome = LoginOutcome::Failed;
    }

    /// It tells nothing: the same was refused before, or it was not looked at.
    pub(super) fn came_to_nothing(mut self) {
        self.outcome = LoginOutcome::Nothing;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Self { lockout, marks, named, begun, .. } = self;
        let mut state = lockout.state();
        state.flight.end(marks);
        let is_failure = match self.outcome {
            LoginOutcome::Succeeded => {
                match marks.account {
                    Some(_) => {
                        state.pairs.remove(&marks.pair);
                        // A network that finds no room there is a stranger, as before.
                        let _ = state.known.put(marks.pair, (), *begun, *begun);
                    }
                    None => drop(state.tokens.remove(&marks.pair)),
                }
                false
            }
            LoginOutcome::Failed => true,
            LoginOutcome::Nothing => false,
            LoginOutcome::Unsaid => self.ticket.has_begun.load(Ordering::Acquire),
        };
        if is_failure {
            lockout.count(&mut state, marks, named.as_deref(), *begun);
        }
    }
}

/// What was counted with what is under way.
fn sum(counted: Option<Failures>, under_way: Option<Failures>) -> Option<Failures> {
    match (counted, under_way) {
        (Some(counted), Some(under_way)) => Some(Failures {
            count: counted.count.saturating_add(under_way.count),
            last: counted.last.max(under_way.last),
        }),
        (counted, under_way) => counted.or(under_way),
    }
}

#[cfg(test)]
mod tests;
