//! Brakes on guessing passwords. Who guesses at one account from one address waits longer after each failure; who guesses at
//! one account from everywhere slows down all who have not proved before, from where they are, that they know it; and who
//! guesses at many accounts from one address is answered slower and slower, while nobody else behind the same address is
//! kept from logging in.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;

use super::subject::UserName;

/// How many accounts and addresses are remembered.
const REMEMBERED: u64 = 100_000;
/// Failures of one account from one address that cost nothing: people mistype.
const FREE: u32 = 3;
/// Failures of one account from everywhere that cost nothing.
const FREE_FROM_EVERYWHERE: u32 = 50;
/// Failures of one address at whatever accounts that cost nothing.
const FREE_FROM_ADDRESS: u32 = 30;
/// The first delay; each further failure doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// How much later the first attempt is looked at that an address pays for, and the last; each further failure doubles it.
/// Nobody is refused for the address alone, since others may be behind it.
const SLOWER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Counts failures.
pub struct Lockout {
    /// The longest delay; zero turns all off.
    longest: Duration,
    pairs: Cache<Pair, Failures>,
    accounts: Cache<UserName, Failures>,
    addresses: Cache<IpAddr, Failures>,
    /// Who has logged in from where of late.
    proven: Cache<Pair, ()>,
    /// Attempts are counted one after the other.
    counting: Mutex<()>,
}

type Pair = (IpAddr, UserName);

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// An attempt to log in. It counts as a failure from its beginning, so that many at once are as many guesses; what is known
/// to be none has to be said. One that is dropped stays counted.
pub struct Attempt<'a> {
    lockout: &'a Lockout,
    pair: Pair,
    /// How long to wait before it is looked at.
    pub delay: Duration,
}

impl Lockout {
    /// With delays up to this; what is counted is forgotten after it.
    pub fn new(longest: Duration) -> Self {
        let forget = longest.max(Duration::from_secs(1)) * 2;
        let proven = Duration::from_secs(24 * 60 * 60);
        Self {
            longest,
            pairs: Cache::builder().max_capacity(REMEMBERED).time_to_live(forget).build(),
            accounts: Cache::builder().max_capacity(REMEMBERED).time_to_live(forget).build(),
            addresses: Cache::builder().max_capacity(REMEMBERED).time_to_live(forget).build(),
            proven: Cache::builder().max_capacity(REMEMBERED).time_to_live(proven).build(),
            counting: Mutex::default(),
        }
    }

    /// Whether somebody may try at all.
    ///
    /// # Errors
    /// How long they have to wait.
    pub fn admit(&self, address: IpAddr, name: &UserName, now: Instant) -> Result<(), Duration> {
        let pair = (address, name.clone());
        let mut wait = self.wait(self.pairs.get(&pair), FREE, now);
        if !self.proven.contains_key(&pair) {
            wait = wait.max(self.wait(self.accounts.get(name), FREE_FROM_EVERYWHERE, now));
        }
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// Begins an attempt.
    ///
    /// # Errors
    /// How long they have to wait.
    pub fn begin(&self, address: IpAddr, name: &UserName, now: Instant) -> Result<Attempt<'_>, Duration> {
        let _counting = self.counting();
        self.admit(address, name, now)?;
        let pair = (address, name.clone());
        let mut delay = Duration::ZERO;
        if !self.longest.is_zero() {
            let at_address = more(&self.addresses, &address, now);
            if at_address > FREE_FROM_ADDRESS && !self.proven.contains_key(&pair) {
                delay = doubled(SLOWER.0, at_address - FREE_FROM_ADDRESS).min(SLOWER.1);
            }
            more(&self.accounts, name, now);
            more(&self.pairs, &pair, now);
        }
        Ok(Attempt { lockout: self, pair, delay })
    }

    fn wait(&self, failures: Option<Failures>, free: u32, now: Instant) -> Duration {
        let Some(Failures { count, last }) = failures.filter(|failures| failures.count > free) else {
            return Duration::ZERO;
        };
        let delay = doubled(FIRST, count - free).min(self.longest);
        (last + delay).saturating_duration_since(now)
    }

    fn counting(&self) -> MutexGuard<'_, ()> {
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// They have proved who they are.
    pub fn succeeded(self) {
        let Self { lockout, pair, .. } = self;
        let _counting = lockout.counting();
        less(&lockout.addresses, &pair.0);
        less(&lockout.accounts, &pair.1);
        lockout.pairs.invalidate(&pair);
        lockout.proven.insert(pair, ());
    }

    /// It was not looked at, and tells nothing.
    pub fn came_to_nothing(self) {
        let Self { lockout, pair, .. } = self;
        let _counting = lockout.counting();
        less(&lockout.addresses, &pair.0);
        less(&lockout.accounts, &pair.1);
        less(&lockout.pairs, &pair);
    }
}

/// Counts one failure more; answers how many there are.
fn more<K: Hash + Eq + Clone + Send + Sync + 'static>(
    failures: &Cache<K, Failures>,
    of: &K,
    now: Instant,
) -> u32 {
    let count = failures.get(of).map_or(0, |failures| failures.count).saturating_add(1);
    failures.insert(of.clone(), Failures { count, last: now });
    count
}

/// Counts one failure less.
fn less<K: Hash + Eq + Clone + Send + Sync + 'static>(failures: &Cache<K, Failures>, of: &K) {
    if let Some(Failures { count, last }) = failures.get(of) {
        failures.insert(of.clone(), Failures { count: count.saturating_sub(1), last });
    }
}

/// The first delay, doubled for each time beyond the first.
fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.saturating_sub(1).min(20))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn begin<'a>(lockout: &'a Lockout, from: u8, who: &str, now: Instant) -> Attempt<'a> {
        lockout.begin(address(from), &name(who), now).unwrap_or_else(|wait| panic!("{who} waits {wait:?}"))
    }

    /// Fails so many times, and waits before each as long as it has to. When it was done.
    fn fail(lockout: &Lockout, times: u32, from: u8, who: &str, mut now: Instant) -> Instant {
        for _ in 0..times {
            if let Err(wait) = lockout.admit(address(from), &name(who), now) {
                now += wait;
            }
            drop(begin(lockout, from, who, now));
        }
        now
    }

    fn succeed(lockout: &Lockout, from: u8, who: &str, now: Instant) {
        begin(lockout, from, who, now).succeeded();
    }

    #[test]
    fn some_mistakes_are_free_and_then_each_costs_twice_as_much_up_to_the_longest() {
        let (lockout, mut now) = (Lockout::new(LONGEST), Instant::now());
        fail(&lockout, FREE, 1, "alice", now);
        assert_eq!(lockout.admit(address(1), &name("alice"), now), Ok(()));
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            now = fail(&lockout, 1, 1, "alice", now);
            let wait = Duration::from_secs(expected);
            assert_eq!(lockout.admit(address(1), &name("alice"), now), Err(wait));
            assert_eq!(lockout.admit(address(1), &name("alice"), now + wait), Ok(()));
        }
    }

    #[test]
    fn attempts_at_once_are_as_many_guesses() {
        let (lockout, now) = (Lockout::new(LONGEST), Instant::now());
        let begun: Vec<_> =
            (0..100).filter_map(|_| lockout.begin(address(1), &name("alice"), now).ok()).collect();
        assert_eq!(begun.len(), FREE as usize + 1);
    }

    #[test]
    fn others_behind_the_same_address_and_the_same_account_elsewhere_go_on() {
        let (lockout, now) = (Lockout::new(LONGEST), Instant::now());
        let now = fail(&lockout, 10, 1, "alice", now);
        assert!(lockout.admit(address(1), &name("alice"), now).is_err());
        assert_eq!(lockout.admit(address(1), &name("bob"), now), Ok(()));
        assert_eq!(lockout.admit(address(2), &name("alice"), now), Ok(()));
    }

    #[test]
    fn guessing_from_everywhere_slows_down_strangers_but_not_who_has_logged_in_before() {
        let (lockout, now) = (Lockout::new(LONGEST), Instant::now());
        succeed(&lockout, 200, "alice", now);
        for from in 0..100 {
            let _ = lockout.begin(address(from), &name("alice"), now);
        }
        assert!(lockout.admit(address(201), &name("alice"), now).is_err());
        assert_eq!(lockout.admit(address(200), &name("alice"), now), Ok(()));
    }

    #[test]
    fn guessing_at_many_accounts_from_one_address_is_slow_but_not_for_who_is_known_there() {
        let (lockout, now) = (Lockout::new(LONGEST), Instant::now());
        succeed(&lockout, 1, "alice", now);
        let delay = |who: &str| begin(&lockout, 1, who, now).delay;
        let delays: Vec<_> = (0..40).map(|number| delay(&format!("user{number}"))).collect();
        assert!(delays[..FREE_FROM_ADDRESS as usize].iter().all(Duration::is_zero));
        let paid: Vec<_> = delays[FREE_FROM_ADDRESS as usize..].iter().map(Duration::as_millis).collect();
        assert_eq!(paid, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000]);
        assert_eq!(delay("alice"), Duration::ZERO);
        assert_eq!(begin(&lockout, 2, "bob", now).delay, Duration::ZERO);
    }

    #[test]
    fn a_success_forgets_the_mistakes_before_it_and_counts_as_none() {
        let (lockout, now) = (Lockout::new(LONGEST), Instant::now());
        let now = fail(&lockout, 10, 1, "alice", now) + LONGEST;
        succeed(&lockout, 1, "alice", now);
        assert_eq!(lockout.admit(address(1), &name("alice"), now), Ok(()));
        for _ in 0..200 {
            succeed(&lockout, 2, "bob", now);
        }
        let stranger = begin(&lockout, 2, "carol", now);
        assert!(stranger.delay.is_zero() && lockout.admit(address(3), &name("bob"), now).is_ok());
    }

    #[test]
    fn what_was_not_looked_at_counts_as_nothing() {
        let (lockout, now) = (Lockout::new(LONGEST), Instant::now());
        for _ in 0..200 {
            begin(&lockout, 1, "alice", now).came_to_nothing();
        }
        assert_eq!(lockout.admit(address(1), &name("alice"), now), Ok(()));
    }

    #[test]
    fn it_can_be_off() {
        let (lockout, now) = (Lockout::new(Duration::ZERO), Instant::now());
        for _ in 0..1_000 {
            assert_eq!(begin(&lockout, 1, "alice", now).delay, Duration::ZERO);
        }
    }
}
