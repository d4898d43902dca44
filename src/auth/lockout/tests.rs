//! Brakes at times of the tests' choosing.

mod locks;

use std::net::IpAddr;

use super::*;

const LONGEST: Duration = Duration::from_mins(1);

fn lockout() -> Lockout {
    Lockout::new(LONGEST, Fingerprints::new().unwrap())
}

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

fn network(last: u8) -> Network {
    Network::of(IpAddr::from([192, 0, 2, last]))
}

/// A number of networks as large as it may get.
fn any_network(number: u32) -> Network {
    Network::of(IpAddr::from((0x0a00_0000_u32 + number).to_be_bytes()))
}

fn try_from<'a>(
    lockout: &'a Lockout,
    from: Network,
    who: &str,
    password: &str,
    now: Instant,
) -> Result<Attempt<'a>, Duration> {
    let credential = lockout.fingerprints.of("credentials", &[who.as_bytes(), password.as_bytes()]);
    lockout.begin(from, Target::Password(&name(who)), credential, now)
}

/// Every password is another one.
fn try_at<'a>(lockout: &'a Lockout, from: u8, who: &str, now: Instant) -> Result<Attempt<'a>, Duration> {
    try_from(lockout, network(from), who, &fastrand::u64(..).to_string(), now)
}

fn begin<'a>(lockout: &'a Lockout, from: u8, who: &str, now: Instant) -> Attempt<'a> {
    try_at(lockout, from, who, now).unwrap_or_else(|wait| panic!("{who} waits {wait:?}"))
}

fn wait(lockout: &Lockout, from: u8, who: &str, now: Instant) -> Duration {
    match try_at(lockout, from, who, now) {
        Ok(attempt) => {
            attempt.came_to_nothing();
            Duration::ZERO
        }
        Err(wait) => wait,
    }
}

/// Fails so many times, and waits before each as long as it has to. When it was done.
fn fail(lockout: &Lockout, times: u32, from: u8, who: &str, mut now: Instant) -> Instant {
    for _ in 0..times {
        now += wait(lockout, from, who, now);
        begin(lockout, from, who, now).failed();
    }
    now
}

fn succeed(lockout: &Lockout, from: u8, who: &str, now: Instant) {
    begin(lockout, from, who, now).succeeded();
}

/// How many entries there are of pairs, accounts, networks and tokens; nothing must be under way.
fn entries(lockout: &Lockout) -> [usize; 4] {
    let state = lockout.state();
    assert!(state.flight.is_empty());
    [state.pairs.len(), state.accounts.len(), state.networks.len(), state.tokens.len()]
}

#[test]
fn some_mistakes_are_free_and_then_each_costs_twice_as_much_up_to_the_longest() {
    let (lockout, mut now) = (lockout(), Instant::now());
    fail(&lockout, FREE, 1, "alice", now);
    assert_eq!(wait(&lockout, 1, "alice", now), Duration::ZERO);
    for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
        now = fail(&lockout, 1, 1, "alice", now);
        let expected = Duration::from_secs(expected);
        assert_eq!(wait(&lockout, 1, "alice", now), expected);
        assert_eq!(wait(&lockout, 1, "alice", now + expected), Duration::ZERO);
    }
}

#[test]
fn attempts_at_once_are_as_many_guesses() {
    let (lockout, now) = (lockout(), Instant::now());
    let begun: Vec<_> = (0..100).filter_map(|_| try_at(&lockout, 1, "alice", now).ok()).collect();
    assert_eq!(begun.len(), FREE as usize + 1);
}

#[test]
fn others_behind_the_same_address_and_the_same_account_elsewhere_go_on() {
    let (lockout, now) = (lockout(), Instant::now());
    let now = fail(&lockout, 10, 1, "alice", now);
    assert!(!wait(&lockout, 1, "alice", now).is_zero());
    assert_eq!(wait(&lockout, 1, "bob", now), Duration::ZERO);
    assert_eq!(wait(&lockout, 2, "alice", now), Duration::ZERO);
}

#[test]
fn a_64_of_ipv6_is_one_address() {
    let (lockout, now) = (lockout(), Instant::now());
    let at = |address: &str| try_from(&lockout, Network::of(address.parse().unwrap()), "alice", "x", now);
    for number in 0..=FREE {
        at(&format!("2001:db8::{number:x}")).unwrap().failed();
    }
    assert!(at("2001:db8::ffff:1").is_err());
    assert!(at("2001:db8:0:1::1").is_ok());
}

#[test]
fn guessing_from_everywhere_slows_down_strangers_but_not_who_has_logged_in_before() {
    let (lockout, now) = (lockout(), Instant::now());
    succeed(&lockout, 200, "alice", now);
    for from in 0..100 {
        if let Ok(attempt) = try_at(&lockout, from, "alice", now) {
            attempt.failed();
        }
    }
    assert!(!wait(&lockout, 201, "alice", now).is_zero());
    assert_eq!(wait(&lockout, 200, "alice", now), Duration::ZERO);
}

#[test]
fn guesses_from_everywhere_at_once_are_as_many_and_the_same_password_from_everywhere_is_one() {
    let (lockout, now) = (lockout(), Instant::now());
    let guesses: Vec<_> = (0..100).filter_map(|from| try_at(&lockout, from, "alice", now).ok()).collect();
    assert_eq!(guesses.len(), FREE_FROM_EVERYWHERE as usize + 1);
    // A hundred nodes that start with the password of one robot.
    let nodes: Vec<_> =
        (0..100).filter_map(|from| try_from(&lockout, network(from), "ci", "its", now).ok()).collect();
    assert_eq!(nodes.len(), 100);
}

#[test]
fn guessing_at_many_accounts_from_one_network_is_slow_but_not_for_who_is_known_there() {
    let (lockout, now) = (lockout(), Instant::now());
    succeed(&lockout, 1, "alice", now);
    let delay = |who: &str| {
        let attempt = begin(&lockout, 1, who, now);
        let delay = attempt.delay;
        attempt.failed();
        delay
    };
    let delays: Vec<_> = (0..40).map(|number| delay(&format!("user{number}"))).collect();
    assert!(delays[..FREE_FROM_NETWORK as usize].iter().all(Duration::is_zero));
    let paid: Vec<_> = delays[FREE_FROM_NETWORK as usize..].iter().map(Duration::as_millis).collect();
    assert_eq!(paid, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000]);
    assert_eq!(begin(&lockout, 1, "alice", now).delay, Duration::ZERO);
    assert_eq!(begin(&lockout, 2, "bob", now).delay, Duration::ZERO);
}

#[test]
fn a_few_attempts_of_one_network_are_under_way_and_fewer_of_one_that_guesses() {
    let (lockout, now) = (lockout(), Instant::now());
    let at_once = |from: u8| {
        let try_one = |number: usize| try_at(&lockout, from, &format!("user{number}"), now);
        let begun: Vec<_> = (0..500).map(try_one).collect();
        assert!(begun.iter().all(|begun| begun.as_ref().err().is_none_or(|wait| *wait == SOON)));
        begun.iter().filter(|begun| begun.is_ok()).count()
    };
    assert_eq!(at_once(1), AT_ONCE);
    assert_eq!(at_once(1), AT_ONCE, "those before are over");
    succeed(&lockout, 1, "alice", now);
    for number in 0..FREE_FROM_NETWORK {
        fail(&lockout, 1, 1, &format!("user{number}"), now);
    }
    let guesses: Vec<_> =
        (0..500).filter_map(|number| try_at(&lockout, 1, &format!("guess{number}"), now).ok()).collect();
    assert_eq!(guesses.len(), AT_ONCE_SLOWER);
    assert_eq!(wait(&lockout, 1, "alice", now), Duration::ZERO, "who is known there");
    assert_eq!(wait(&lockout, 2, "bob", now), Duration::ZERO);
}

#[test]
fn a_success_forgets_the_mistakes_before_it_and_counts_as_none() {
    let (lockout, now) = (lockout(), Instant::now());
    let now = fail(&lockout, 10, 1, "alice", now) + LONGEST;
    succeed(&lockout, 1, "alice", now);
    assert_eq!(wait(&lockout, 1, "alice", now), Duration::ZERO);
    for _ in 0..200 {
        succeed(&lockout, 2, "bob", now);
    }
    let stranger = begin(&lockout, 2, "carol", now);
    assert!(stranger.delay.is_zero() && wait(&lockout, 3, "bob", now).is_zero());
}

#[test]
fn what_was_not_hashed_leaves_nothing_and_what_was_counts_though_nobody_waits_for_it() {
    let (lockout, now) = (lockout(), Instant::now());
    for number in 0..200 {
        begin(&lockout, 1, &format!("user{number}"), now).came_to_nothing();
        // The client has left before it was its turn.
        drop(begin(&lockout, 1, "alice", now));
    }
    assert_eq!(entries(&lockout), [0; 4]);
    let attempt = begin(&lockout, 1, "alice", now);
    attempt.ticket().has_begun.store(true, Ordering::Release);
    drop(attempt);
    assert_eq!(entries(&lockout), [1, 1, 1, 0]);
}

#[test]
fn whoever_is_refused_without_a_look_leaves_nothing() {
    let (lockout, now) = (lockout(), Instant::now());
    let now = fail(&lockout, 10, 1, "alice", now);
    let before = entries(&lockout);
    let until = wait(&lockout, 1, "alice", now);
    for _ in 0..1_000 {
        assert_eq!(wait(&lockout, 1, "alice", now), until, "nor makes the lock longer");
    }
    assert_eq!(entries(&lockout), before);
}

#[test]
fn invented_names_push_no_lock_out_that_is_in_force() {
    let (lockout, now) = (lockout(), Instant::now());
    let now = fail(&lockout, 10, 1, "alice", now);
    for number in 0..u32::try_from(REMEMBERED).unwrap() + 1_000 {
        let from = any_network(number);
        try_from(&lockout, from, &format!("user{number}"), "x", now).unwrap().failed();
    }
    assert_eq!(entries(&lockout)[..3], [REMEMBERED; 3]);
    assert!(!wait(&lockout, 1, "alice", now).is_zero());
}

#[test]
fn when_every_lock_is_in_force_whoever_cannot_be_counted_is_slow_and_who_is_known_is_not() {
    let (lockout, now) = (lockout(), Instant::now());
    succeed(&lockout, 7, "alice", now);
    {
        let mut state = lockout.state();
        for number in 0..REMEMBERED {
            let key = lockout.fingerprints.of("password", &[&number.to_be_bytes()]);
            let failures = Failures { count: 20, last: now };
            let counted = Counted { failures, named: None, network: None, account: None };
            state.pairs.put(key, counted, now, now + LONGEST).unwrap();
        }
    }
    let stranger = begin(&lockout, 1, "bob", now);
    assert_eq!(stranger.delay, SLOWER.max);
    stranger.failed();
    assert_eq!(begin(&lockout, 7, "alice", now).delay, Duration::ZERO);
    assert_eq!(begin(&lockout, 1, "bob", now + LONGEST).delay, Duration::ZERO);
}

#[test]
fn a_token_is_braked_at_its_network_and_nowhere_else_and_brakes_nobody() {
    let (lockout, now) = (lockout(), Instant::now());
    let token = |from: Network, id: &str| {
        let credential = lockout.fingerprints.of("credentials", &[&fastrand::u64(..).to_be_bytes()]);
        lockout.begin(from, Target::Token(id), credential, now)
    };
    for _ in 0..=FREE {
        token(network(1), "one").unwrap().failed();
    }
    assert!(token(network(1), "one").is_err());
    assert!(token(network(1), "other").is_ok());
    for number in 0..1_000 {
        token(any_network(number), "one").unwrap().failed();
    }
    assert!(token(network(2), "one").is_ok());
    for number in 0..u32::try_from(REMEMBERED_TOKENS).unwrap() {
        token(network(1), &number.to_string()).unwrap().failed();
    }
    // Not even a user who is called as the token is.
    assert_eq!(begin(&lockout, 1, "one", now).delay, Duration::ZERO);
    assert_eq!(entries(&lockout), [0, 0, 0, REMEMBERED_TOKENS]);
}

#[test]
fn it_can_be_off_and_still_only_a_few_are_under_way() {
    let (lockout, now) = (Lockout::new(Duration::ZERO, Fingerprints::new().unwrap()), Instant::now());
    for _ in 0..1_000 {
        let attempt = begin(&lockout, 1, "alice", now);
        assert_eq!(attempt.delay, Duration::ZERO);
        attempt.failed();
    }
    assert_eq!(entries(&lockout), [0; 4]);
    let begun: Vec<_> = (0..1_000).filter_map(|_| try_at(&lockout, 1, "alice", now).ok()).collect();
    assert_eq!(begun.len(), AT_ONCE);
}

#[test]
fn whoever_comes_from_where_somebody_guesses_has_their_turn_after_others_unless_they_are_known_there() {
    let lockout = lockout();
    let now = Instant::now();
    succeed(&lockout, 1, "alice", now);
    assert!(!begin(&lockout, 1, "alice", now).ticket().comes_later());
    for number in 0..=FREE {
        begin(&lockout, 1, &format!("user-{number}"), now).failed();
    }
    assert!(begin(&lockout, 1, "bob", now).ticket().comes_later());
    assert!(!begin(&lockout, 1, "alice", now).ticket().comes_later());
    assert!(!begin(&lockout, 2, "bob", now).ticket().comes_later());
}
