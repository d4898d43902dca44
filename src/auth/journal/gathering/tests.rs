//! What is told apart and what is counted.

use std::net::Ipv6Addr;

use super::*;
use crate::store::AuthEventKind::{Account, Login, LoginFailed, Refused, Token};

const NOW: Timestamp = Timestamp::from_milliseconds(1_000);

/// A gathering with a store of which only the numbers are known.
struct Fixture {
    gathering: Gathering,
    now: Instant,
    last: u64,
}

fn fixture() -> Fixture {
    Fixture { gathering: Gathering::default(), now: Instant::now(), last: 0 }
}

impl Fixture {
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
    let mut fixture = fixture();
    for _ in 0..3 {
        fixture.note(Refused, Some("alice"), "192.0.2.1", "scope");
    }
    assert_eq!(counts(&fixture.write()), [(None, 3)]);
    fixture.note(Refused, Some("alice"), "192.0.2.1", "scope");
    assert!(fixture.write().is_empty(), "not at once");
    fixture.now += COUNT_EVERY;
    assert_eq!(counts(&fixture.write()), [(Some(1), 4)]);
    fixture.now += COUNT_EVERY;
    assert!(fixture.write().is_empty(), "nothing has happened");
    // Another user, address or text is something else.
    fixture.note(Refused, Some("bob"), "192.0.2.1", "scope");
    fixture.note(Refused, Some("alice"), "192.0.2.2", "scope");
    fixture.note(Refused, Some("alice"), "192.0.2.1", "other");
    fixture.note(Token, Some("alice"), "192.0.2.1", "scope");
    assert_eq!(counts(&fixture.write()), [(None, 1); 4]);
}

#[test]
fn after_an_hour_it_is_another_event() {
    let mut fixture = fixture();
    fixture.note(Login, Some("alice"), "192.0.2.1", "");
    fixture.write();
    fixture.now += WINDOW;
    fixture.write();
    fixture.note(Login, Some("alice"), "192.0.2.1", "");
    assert_eq!(counts(&fixture.write()), [(None, 1)]);
    // What has grown is not forgotten before that is written.
    fixture.note(Login, Some("alice"), "192.0.2.1", "");
    fixture.now += WINDOW;
    assert_eq!(counts(&fixture.write()), [(Some(2), 2)]);
    assert!(fixture.gathering.open.is_empty() && fixture.gathering.of_source.is_empty());
}

#[test]
fn each_act_of_whoever_runs_the_door_is_an_event() {
    let mut fixture = fixture();
    for _ in 0..3 {
        fixture.note(Account, None, "", "the user alice was given another password");
        assert_eq!(counts(&fixture.write()), [(None, 1)]);
    }
    assert!(fixture.gathering.open.is_empty());
}

#[test]
fn an_ipv6_network_is_one_address_and_so_is_a_mapped_one() {
    let mut fixture = fixture();
    for number in 0..100 {
        fixture.note(Refused, None, &format!("2001:db8:1:2::{number:x}"), "pull");
    }
    fixture.note(Refused, None, "2001:db8:1:3::1", "pull");
    fixture.note(Refused, None, "192.0.2.1", "pull");
    fixture.note(Refused, None, "::ffff:192.0.2.1", "pull");
    let mut counts: Vec<u64> = fixture.write().iter().map(|(_, event)| event.count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 100]);
}

#[test]
fn too_much_of_one_source_is_counted_with_it_and_leaves_room_for_others() {
    let mut fixture = fixture();
    let of_source = limits((Refused, false)).of_source;
    for number in 0..1_000 {
        let is_told = fixture.note(Refused, Some("mallory"), "192.0.2.1", &number.to_string());
        assert_eq!(is_told, number < of_source, "{number}");
    }
    // Also from elsewhere: it is the same user.
    fixture.note(Refused, Some("mallory"), "192.0.2.2", "elsewhere");
    assert!(fixture.note(Refused, Some("alice"), "192.0.2.1", "scope"));
    let written = fixture.write();
    assert_eq!(written.len(), of_source + 2);
    let further: Vec<_> = written.iter().filter(|(_, event)| event.about == FURTHER).collect();
    let [(_, further)] = further[..] else { panic!("{further:?}") };
    assert_eq!((further.user.as_deref(), further.count), (Some("mallory"), 1_001 - of_source as u64));
    assert_eq!(written.iter().map(|(_, event)| event.count).sum::<u64>(), 1_002);
}

#[test]
fn too_much_of_all_sources_is_counted_and_written_at_a_bounded_rate() {
    let mut fixture = fixture();
    let mut rows = 0;
    let mut happened = 0;
    let burst = limits((Refused, true)).burst as usize;
    for second in 0..60_u32 {
        for number in 0..2_000_u32 {
            let address = Ipv6Addr::from_bits(u128::from(second * 2_000 + number) << 64 | 1 << 120);
            fixture.note(Refused, None, &address.to_string(), &number.to_string());
            happened += 1;
        }
        rows += fixture.write().len();
        fixture.now += Duration::from_secs(1);
    }
    assert!(rows <= burst + 60 + 7, "{rows} rows in a minute");
    assert!(fixture.gathering.open.len() <= burst + 60 + 1, "{}", fixture.gathering.open.len());
    fixture.now += COUNT_EVERY;
    fixture.write();
    let counted: u64 = fixture.gathering.open.values().map(|open| open.count).sum();
    assert_eq!(counted, happened, "each of them is counted");
    // What a user does, and what is of another kind, is told apart all the same.
    assert!(fixture.note(Refused, Some("alice"), "192.0.2.1", "scope"));
    assert!(fixture.note(Login, Some("alice"), "192.0.2.1", ""));
    assert!(fixture.note(Account, None, "", "the user dora was added"));
}

#[test]
fn only_so_much_is_held_however_long_it_lasts_and_there_is_room_again_after_it() {
    let mut fixture = fixture();
    let Limits { in_all, .. } = limits((LoginFailed, true));
    for second in 0..2 * u32::try_from(in_all).unwrap() {
        fixture.claim(&format!("name{second}"), &format!("2001:db8:{:x}:{:x}::", second >> 8, second & 0xff));
        fixture.now += Duration::from_millis(1_001);
        fixture.write();
        assert!(fixture.gathering.open.len() <= in_all + 1, "{}", fixture.gathering.open.len());
    }
    fixture.now += WINDOW;
    fixture.write();
    fixture.now += WINDOW;
    fixture.write();
    assert!(fixture.gathering.open.is_empty());
    assert!(fixture.gathering.of_share.is_empty() && fixture.gathering.of_source.is_empty());
    assert!(fixture.note(LoginFailed, None, "192.0.2.1", "wrong"));
}

#[test]
fn what_cannot_be_written_is_due_again_with_what_came_to_it() {
    let mut fixture = fixture();
    fixture.note(Refused, Some("alice"), "192.0.2.1", "scope");
    assert_eq!(fixture.gathering.due(fixture.now, false).len(), 1);
    fixture.note(Refused, Some("alice"), "192.0.2.1", "scope");
    assert_eq!(counts(&fixture.write()), [(None, 2)]);
    // What happens while it is being written is written the next time, and at the end at once.
    let due = fixture.gathering.due(fixture.now, false);
    assert!(due.is_empty());
    fixture.note(Refused, Some("alice"), "192.0.2.1", "scope");
    assert!(fixture.gathering.due(fixture.now, false).is_empty());
    assert_eq!(fixture.gathering.due(fixture.now, true).len(), 1);
}

#[test]
fn a_claimed_name_is_held_until_it_is_written_and_then_what_was_written_is_shown() {
    let mut fixture = fixture();
    fixture.claim("hunter2", "192.0.2.1");
    fixture.claim("alice", "192.0.2.1");
    let mut due = fixture.gathering.due(fixture.now, false);
    for due in &mut due {
        assert!(due.event.user.as_ref().is_some_and(|user| user.starts_with("nobody:")), "{:?}", due.event);
        let claimed = due.claimed.as_ref().unwrap().as_str();
        if claimed == "alice" {
            due.event.user = Some(claimed.to_owned());
        }
    }
    fixture.gathering.written(due, &[Sequence::new(1), Sequence::new(2)], fixture.now);
    assert!(fixture.gathering.open.values().all(|open| open.claimed.is_none()));
    fixture.claim("hunter2", "192.0.2.1");
    fixture.claim("alice", "192.0.2.1");
    fixture.now += COUNT_EVERY;
    let written = fixture.write();
    assert_eq!(counts(&written).iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 2]);
    assert!(written.iter().any(|(_, event)| event.user.as_deref() == Some("alice")));
    assert!(!format!("{written:?}").contains("hunter2"));
}

#[test]
fn text_is_cut_to_its_limit() {
    let mut fixture = fixture();
    fixture.note(Token, Some(&"ü".repeat(LONGEST)), "192.0.2.1", &"x".repeat(LONGEST * 2));
    for (_, event) in fixture.write() {
        assert!(event.about.len() <= LONGEST && event.user.is_some_and(|user| user.len() <= LONGEST));
    }
}
