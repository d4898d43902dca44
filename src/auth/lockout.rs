//! Brakes on guessing passwords. Who guesses at one account from one address waits longer after each failure; who guesses at
//! one account from everywhere slows down all who have not just proved that they know it; and nobody else behind the same
//! address is kept from logging in.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use moka::sync::Cache;

use super::subject::UserName;

/// How many accounts and addresses are remembered.
const REMEMBERED: u64 = 100_000;
/// Failures of one account from one address that cost nothing: people mistype.
const FREE: u32 = 3;
/// Failures of one account from everywhere that cost nothing.
const FREE_FROM_EVERYWHERE: u32 = 50;
/// The first delay; each further failure doubles it.
const FIRST: Duration = Duration::from_secs(1);

/// Counts failures.
pub struct Lockout {
    /// The longest delay; zero turns all off.
    longest: Duration,
    pairs: Cache<(IpAddr, UserName), Failures>,
    accounts: Cache<UserName, Failures>,
    /// Who has logged in from where of late.
    proven: Cache<(IpAddr, UserName), ()>,
    /// Failures are counted one after the other.
    counting: Mutex<()>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
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
            proven: Cache::builder().max_capacity(REMEMBERED).time_to_live(proven).build(),
            counting: Mutex::default(),
        }
    }

    /// Whether somebody may try, and if not, when they may.
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

    fn wait(&self, failures: Option<Failures>, free: u32, now: Instant) -> Duration {
        let Some(Failures { count, last }) = failures.filter(|failures| failures.count > free) else {
            return Duration::ZERO;
        };
        let delay = FIRST.saturating_mul(1 << (count - free - 1).min(20)).min(self.longest);
        (last + delay).saturating_duration_since(now)
    }

    /// Somebody has failed.
    pub fn note_failure(&self, address: IpAddr, name: &UserName, now: Instant) {
        let _counting = self.counting.lock();
        let more = |failures: Option<Failures>| Failures {
            count: failures.map_or(0, |failures| failures.count).saturating_add(1),
            last: now,
        };
        let pair = (address, name.clone());
        let failures = more(self.pairs.get(&pair));
        self.pairs.insert(pair, failures);
        self.accounts.insert(name.clone(), more(self.accounts.get(name)));
    }

    /// Somebody has proved who they are.
    pub fn note_success(&self, address: IpAddr, name: &UserName) {
        let pair = (address, name.clone());
        self.pairs.invalidate(&pair);
        self.proven.insert(pair, ());
    }
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

    fn fail(lockout: &Lockout, times: u32, from: u8, who: &str, now: Instant) {
        for _ in 0..times {
            lockout.note_failure(address(from), &name(who), now);
        }
    }

    #[test]
    fn some_mistakes_are_free_and_then_each_costs_twice_as_much_up_to_the_longest() {
        let (lockout, now) = (Lockout::new(LONGEST), Instant::now());
        fail(&lockout, FREE, 1, "alice", now);
        assert_eq!(lockout.admit(address(1), &name("alice"), now), Ok(()));
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            fail(&lockout, 1, 1, "alice", now);
            let wait = Duration::from_secs(expected);
            assert_eq!(lockout.admit(address(1), &name("alice"), now), Err(wait));
            assert_eq!(lockout.admit(address(1), &name("alice"), now + wait), Ok(()));
        }
    }

    #[test]
    fn others_behind_the_same_address_and_the_same_account_elsewhere_go_on() {
        let (lockout, now) = (Lockout::new(LONGEST), Instant::now());
        fail(&lockout, 40, 1, "alice", now);
        assert!(lockout.admit(address(1), &name("alice"), now).is_err());
        assert_eq!(lockout.admit(address(1), &name("bob"), now), Ok(()));
        assert_eq!(lockout.admit(address(2), &name("alice"), now), Ok(()));
    }

    #[test]
    fn guessing_from_everywhere_slows_down_strangers_but_not_who_has_logged_in_before() {
        let (lockout, now) = (Lockout::new(LONGEST), Instant::now());
        lockout.note_success(address(200), &name("alice"));
        for from in 0..100 {
            fail(&lockout, 1, from, "alice", now);
        }
        assert!(lockout.admit(address(201), &name("alice"), now).is_err());
        assert_eq!(lockout.admit(address(200), &name("alice"), now), Ok(()));
    }

    #[test]
    fn a_success_forgets_the_mistakes_before_it() {
        let (lockout, now) = (Lockout::new(LONGEST), Instant::now());
        fail(&lockout, 10, 1, "alice", now);
        lockout.note_success(address(1), &name("alice"));
        assert_eq!(lockout.admit(address(1), &name("alice"), now), Ok(()));
    }

    #[test]
    fn it_can_be_off() {
        let (lockout, now) = (Lockout::new(Duration::ZERO), Instant::now());
        fail(&lockout, 1_000, 1, "alice", now);
        assert_eq!(lockout.admit(address(1), &name("alice"), now), Ok(()));
    }
}
