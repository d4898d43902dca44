//! What is told apart and what is counted.

use std::net::Ipv6Addr;

use super::*;
use crate::store::AuthEventKind::{Account, Login, LoginFailed, Refused, Token};

const NOW: Timestamp = Timestamp::from_milliseconds(1_000);

/// A gathering with a store of which only the numbers are known.
struct House {
    gathering: Gathering,
    now: Instant,
    last: u64,
}

fn house() -> House {
    House { gathering: Gathering::default(), now: Instant::now(), last: 0 }
}

impl House {
    fn note(&mut self, kind: AuthEventKind, user: Option<&str>, address: &str, about: &str) -> bool {
        let address = address.parse().ok();
        let (time, now) = (NOW, self.now);
        self.gathering.note(&Happening { kind, user, claimed: None, address, about, time, now })
    }

    fn claim(&mut self, name: &str, address: &str) {
        let (claimed, address) = (UserName::parse(name).unwrap(), address.parse().ok());
        let (kind, about, time, now) = (LoginFailed, "wrong", NOW, self.now);
        let claimed = Some(&claimed);
        self.gathering.note(&Happening { kind, user: None, claimed, address, about, time, now });
    }

    /// Writes down what is due; answers it, with the numbers that it had before.
    fn write(&mut self) -> Vec<(Option<u64>, AuthEvent)> {
        let due = self.gathering.due(self.now, false);
        let written = due.iter().map(|due| (due.number.map(Sequence::get), due.event.clone())).collect();
        let numbers: Vec<Sequence> = due
            .iter()
            .map(|due| {
                due.number.unwrap_or_else(|| {
                    self.last += 1;
                    Sequence::new(self.last)
                })
            })
            .collect();
        self.gathering.written(due, &numbers, self.now);
        written
    }
}

fn counts(written: &[(Option<u64>, AuthEvent)]) -> Vec<(Option<u64>, u64)> {
    written.iter().map(|(number, event)| (*number, event.count)).collect()
}

#[test]
fn what_happens_again_raises_the_count_of_the_same_event_now_and_then() {
    let mut house = house();
    for _ in 0..3 {
        house.note(Refused, Some("alice"), "192.0.2.1", "scope");
    }
    assert_eq!(counts(&house.write()), [(None, 3)]);
    house.note(Refused, Some("alice"), "192.0.2.1", "scope");
    assert!(house.write().is_empty(), "not at once");
    house.now += COUNT_EVERY;
    assert_eq!(counts(&house.write()), [(Some(1), 4)]);
    house.now += COUNT_EVERY;
    assert!(house.write().is_empty(), "nothing has happened");
    // Another user, address or text is something else.
    house.note(Refused, Some("bob"), "192.0.2.1", "scope");
    house.note(Refused, Some("alice"), "192.0.2.2", "scope");
    house.note(Refused, Some("alice"), "192.0.2.1", "other");
    house.note(Token, Some("alice"), "192.0.2.1", "scope");
    assert_eq!(counts(&house.write()), [(None, 1); 4]);
}

#[test]
fn after_an_hour_it_is_another_event() {
    let mut house = house();
    house.note(Login, Some("alice"), "192.0.2.1", "");
    house.write();
    house.now += WINDOW;
    house.write();
    house.note(Login, Some("alice"), "192.0.2.1", "");
    assert_eq!(counts(&house.write()), [(None, 1)]);
    // What has grown is not forgotten before that is written.
    house.note(Login, Some("alice"), "192.0.2.1", "");
    house.now += WINDOW;
    assert_eq!(counts(&house.write()), [(Some(2), 2)]);
    assert!(house.gathering.open.is_empty() && house.gathering.of_source.is_empty());
}

#[test]
fn each_act_of_whoever_runs_the_door_is_an_event() {
    let mut house = house();
    for _ in 0..3 {
        house.note(Account, None, "", "the user alice was given another password");
        assert_eq!(counts(&house.write()), [(None, 1)]);
    }
    assert!(house.gathering.open.is_empty());
}

#[test]
fn an_ipv6_network_is_one_address_and_so_is_a_mapped_one() {
    let mut house = house();
    for number in 0..100 {
        house.note(Refused, None, &format!("2001:db8:1:2::{number:x}"), "pull");
    }
    house.note(Refused, None, "2001:db8:1:3::1", "pull");
    house.note(Refused, None, "192.0.2.1", "pull");
    house.note(Refused, None, "::ffff:192.0.2.1", "pull");
    let mut counts: Vec<u64> = house.write().iter().map(|(_, event)| event.count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 100]);
}

#[test]
fn too_much_of_one_source_is_counted_with_it_and_leaves_room_for_others() {
    let mut house = house();
    let of_source = limits((Refused, false)).of_source;
    for number in 0..1_000 {
        let is_told = house.note(Refused, Some("mallory"), "192.0.2.1", &number.to_string());
        assert_eq!(is_told, number < of_source, "{number}");
    }
    // Also from elsewhere: it is the same user.
    house.note(Refused, Some("mallory"), "192.0.2.2", "elsewhere");
    assert!(house.note(Refused, Some("alice"), "192.0.2.1", "scope"));
    let written = house.write();
    assert_eq!(written.len(), of_source + 2);
    let further: Vec<_> = written.iter().filter(|(_, event)| event.about == FURTHER).collect();
    let [(_, further)] = further[..] else { panic!("{further:?}") };
    assert_eq!((further.user.as_deref(), further.count), (Some("mallory"), 1_001 - of_source as u64));
    assert_eq!(written.iter().map(|(_, event)| event.count).sum::<u64>(), 1_002);
}

#[test]
fn too_much_of_all_sources_is_counted_and_written_at_a_bounded_rate() {
    let mut house = house();
    let mut rows = 0;
    let mut happened = 0;
    let burst = limits((Refused, true)).burst as usize;
    for second in 0..60_u32 {
        for number in 0..2_000_u32 {
            let address = Ipv6Addr::from_bits(u128::from(second * 2_000 + number) << 64 | 1 << 120);
            house.note(Refused, None, &address.to_string(), &number.to_string());
            happened += 1;
        }
        rows += house.write().len();
        house.now += Duration::from_secs(1);
    }
    assert!(rows <= burst + 60 + 7, "{rows} rows in a minute");
    assert!(house.gathering.open.len() <= burst + 60 + 1, "{}", house.gathering.open.len());
    house.now += COUNT_EVERY;
    house.write();
    let counted: u64 = house.gathering.open.values().map(|open| open.count).sum();
    assert_eq!(counted, happened, "each of them is counted");
    // What a user does, and what is of another kind, is told apart all the same.
    assert!(house.note(Refused, Some("alice"), "192.0.2.1", "scope"));
    assert!(house.note(Login, Some("alice"), "192.0.2.1", ""));
    assert!(house.note(Account, None, "", "the user dora was added"));
}

#[test]
fn only_so_much_is_held_however_long_it_lasts_and_there_is_room_again_after_it() {
    let mut house = house();
    let Limits { in_all, .. } = limits((LoginFailed, true));
    for second in 0..2 * u32::try_from(in_all).unwrap() {
        house.claim(&format!("name{second}"), &format!("2001:db8:{:x}:{:x}::", second >> 8, second & 0xff));
        house.now += Duration::from_millis(1_001);
        house.write();
        assert!(house.gathering.open.len() <= in_all + 1, "{}", house.gathering.open.len());
    }
    house.now += WINDOW;
    house.write();
    house.now += WINDOW;
    house.write();
    assert!(house.gathering.open.is_empty());
    assert!(house.gathering.of_share.is_empty() && house.gathering.of_source.is_empty());
    assert!(house.note(LoginFailed, None, "192.0.2.1", "wrong"));
}

#[test]
fn what_cannot_be_written_is_due_again_with_what_came_to_it() {
    let mut house = house();
    house.note(Refused, Some("alice"), "192.0.2.1", "scope");
    assert_eq!(house.gathering.due(house.now, false).len(), 1);
    house.note(Refused, Some("alice"), "192.0.2.1", "scope");
    assert_eq!(counts(&house.write()), [(None, 2)]);
    // What happens while it is being written is written the next time, and at the end at once.
    let due = house.gathering.due(house.now, false);
    assert!(due.is_empty());
    house.note(Refused, Some("alice"), "192.0.2.1", "scope");
    assert!(house.gathering.due(house.now, false).is_empty());
    assert_eq!(house.gathering.due(house.now, true).len(), 1);
}

#[test]
fn a_claimed_name_is_held_until_it_is_written_and_then_what_was_written_is_shown() {
    let mut house = house();
    house.claim("hunter2", "192.0.2.1");
    house.claim("alice", "192.0.2.1");
    let mut due = house.gathering.due(house.now, false);
    for due in &mut due {
        assert!(due.event.user.as_ref().is_some_and(|user| user.starts_with("nobody:")), "{:?}", due.event);
        let claimed = due.claimed.as_ref().unwrap().as_str();
        if claimed == "alice" {
            due.event.user = Some(claimed.to_owned());
        }
    }
    house.gathering.written(due, &[Sequence::new(1), Sequence::new(2)], house.now);
    assert!(house.gathering.open.values().all(|open| open.claimed.is_none()));
    house.claim("hunter2", "192.0.2.1");
    house.claim("alice", "192.0.2.1");
    house.now += COUNT_EVERY;
    let written = house.write();
    assert_eq!(counts(&written).iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 2]);
    assert!(written.iter().any(|(_, event)| event.user.as_deref() == Some("alice")));
    assert!(!format!("{written:?}").contains("hunter2"));
}

#[test]
fn text_is_cut_to_its_limit() {
    let mut house = house();
    house.note(Token, Some(&"ü".repeat(LONGEST)), "192.0.2.1", &"x".repeat(LONGEST * 2));
    for (_, event) in house.write() {
        assert!(event.about.len() <= LONGEST && event.user.is_some_and(|user| user.len() <= LONGEST));
    }
}
