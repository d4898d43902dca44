//! What administrators are told of brakes, and that what they let go of is forgotten.

use super::*;

/// Wrong passwords for a name that somebody has.
fn fail_at_user(lockout: &Lockout, times: u32, from: u8, who: &str, mut now: Instant) -> Instant {
    for _ in 0..times {
        now += wait(lockout, from, who, now);
        begin(lockout, from, who, now).named(who).failed();
    }
    now
}

fn told(lockout: &Lockout, now: Instant) -> Vec<(LockKind, Option<String>, Option<Network>, u32)> {
    let mut told: Vec<_> = lockout
        .locks(now)
        .into_iter()
        .map(|lock| (lock.id.kind(), lock.named, lock.network, lock.failures))
        .collect();
    told.sort_unstable();
    told
}

#[test]
fn a_lock_is_told_while_it_makes_somebody_wait_with_the_name_that_somebody_has() {
    let (lockout, now) = (lockout(), Instant::now());
    fail_at_user(&lockout, FREE, 1, "alice", now);
    assert_eq!(told(&lockout, now), [], "some mistakes are free");
    let now = fail_at_user(&lockout, 2, 1, "alice", now);
    let now = fail(&lockout, FREE + 3, 1, "hunter2", now);
    let locks = told(&lockout, now);
    assert_eq!(locks, [(LockKind::UserAtNetwork, None, Some(network(1)), FREE + 3)], "alice's is over");
    let now = fail_at_user(&lockout, 1, 1, "alice", now);
    let alice = (LockKind::UserAtNetwork, Some("alice".to_owned()), Some(network(1)), FREE + 3);
    assert!(told(&lockout, now).contains(&alice), "{:?}", told(&lockout, now));
    let lock = lockout.locks(now).into_iter().find(|lock| lock.named.is_some()).unwrap();
    assert_eq!((lock.last, lock.until - now), (now, wait(&lockout, 1, "alice", now)));
    assert_eq!(told(&lockout, lock.until).len(), 0);
}

#[test]
fn who_is_guessed_at_from_everywhere_and_who_guesses_at_everybody_are_told() {
    let (lockout, mut now) = (lockout(), Instant::now());
    for number in 0..=u8::try_from(FREE_FROM_EVERYWHERE).unwrap() {
        begin(&lockout, number, "alice", now).named("alice").failed();
    }
    let everywhere = (LockKind::User, Some("alice".to_owned()), None, FREE_FROM_EVERYWHERE + 1);
    assert_eq!(told(&lockout, now), [everywhere]);
    now += 3 * LONGEST;
    for number in 0..FREE_FROM_NETWORK {
        begin(&lockout, 1, &format!("user{number}"), now).failed();
    }
    assert_eq!(told(&lockout, now), [(LockKind::Network, None, Some(network(1)), FREE_FROM_NETWORK)]);
    let network_lock = lockout.locks(now)[0].id;
    assert_eq!(lockout.forget(network_lock).unwrap().network, Some(network(1)));
    assert_eq!((told(&lockout, now), lockout.forget(network_lock)), (Vec::new(), None));
    assert_eq!(begin(&lockout, 1, "bob", now).delay, Duration::ZERO);
}

#[test]
fn whoever_is_unlocked_has_their_free_mistakes_again_and_nobody_else_has() {
    let (lockout, now) = (lockout(), Instant::now());
    let now = fail_at_user(&lockout, 6, 1, "alice", now);
    let now = fail_at_user(&lockout, 6, 2, "alice", now);
    let now = fail_at_user(&lockout, 6, 2, "bob", now);
    assert!(lockout.forget_user(&name("alice")));
    assert!(!lockout.forget_user(&name("alice")), "nothing is counted any more");
    for from in [1, 2] {
        assert_eq!(wait(&lockout, from, "alice", now), Duration::ZERO);
    }
    assert!(!wait(&lockout, 2, "bob", now).is_zero());
    fail_at_user(&lockout, FREE, 1, "alice", now);
    assert_eq!(wait(&lockout, 1, "alice", now), Duration::ZERO);
}

#[test]
fn a_lock_is_let_go_of_by_what_it_is_told_by_and_no_other_with_it() {
    let (lockout, now) = (lockout(), Instant::now());
    let now = fail_at_user(&lockout, 6, 1, "alice", now);
    let now = fail_at_user(&lockout, 6, 2, "alice", now);
    let credential = lockout.fingerprints.of("credentials", &[b"x"]);
    for _ in 0..=FREE {
        let target = Target::Token("0123456789abcdef");
        lockout.begin(network(3), target, credential, now).unwrap().named("0123456789abcdef").failed();
    }
    for lock in lockout.locks(now) {
        let read: LockId = lock.id.to_string().parse().unwrap();
        assert_eq!(read, lock.id);
        let before = told(&lockout, now).len();
        assert_eq!(lockout.forget(read).unwrap().named, lock.named);
        assert_eq!(told(&lockout, now).len(), before - 1, "{lock:?}");
    }
    assert_eq!(entries(&lockout)[3], 0, "tokens too");
}

#[test]
fn what_is_no_identifier_of_a_lock_is_refused() {
    for text in [
        "",
        "user",
        "user-",
        "user-xyz",
        "user-c0000201",
        "network-0123456789abcdef0123456789abcdef",
        "network-",
        "network-g0000201",
        "nothing-c0000201",
    ] {
        assert_eq!(text.parse::<LockId>(), Err(InvalidLockId), "{text}");
    }
    let ipv6 = "network-20010db800000001".parse::<LockId>().unwrap();
    assert_eq!(ipv6.to_string(), "network-20010db800000001");
}
