//! Which unknown intents are asked about when: pure.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Backoff;
use crate::store::{Intent, IntentState, Lease, Retry, Sequence};
use crate::sync::moment::Moment;

/// The pauses between questions about one intent: the record is at most that much behind a registry that finishes late.
pub(super) const QUESTION_PAUSES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// What is asked about. While a lease is held, this door's own plan counts, on its monotonic clock; what the store says of
/// the time counts once, when the lease is taken.
#[derive(Default)]
pub(super) struct Schedule {
    /// The lease under which the plans were made.
    lease: Option<Lease>,
    plans: HashMap<Sequence, Plan>,
}

/// When an intent is asked about.
#[derive(Clone, Copy)]
struct Plan {
    /// When this door saw the intent first. Whether the registry may still be at the write is counted from here, and never
    /// from a time that another door put down: clocks may differ, and to ask for too long does no harm.
    first_seen: Instant,
    next: Instant,
    /// As it stands in the store, or is to.
    retry: Retry,
}

impl Schedule {
    /// Those of the open intents whose outcome is not known and whose time has come, or all of them. They are planned for
    /// their next time, and what is not open any more is forgotten.
    pub(super) fn take_due(&mut self, open: Vec<Intent>, lease: Lease, at: Moment, all: bool) -> Vec<Intent> {
        let Moment { now, time } = at;
        let is_taken_over = self.lease.replace(lease) != Some(lease);
        let mut due = Vec::new();
        let mut known = HashSet::new();
        for intent in open {
            let IntentState::Unknown { retry, .. } = intent.state else { continue };
            known.insert(intent.sequence);
            let found = |first_seen| Plan { first_seen, next: now + retry.wait(time), retry };
            let plan = self.plans.entry(intent.sequence).or_insert_with(|| found(now));
            if is_taken_over {
                // Another door may have asked meanwhile.
                *plan = found(plan.first_seen);
            }
            if all || plan.next <= now {
                let attempts = plan.retry.attempts.saturating_add(1);
                let pause = QUESTION_PAUSES.pause(attempts);
                plan.retry = Retry::after(attempts, pause, time);
                plan.next = now + pause;
                due.push(intent);
            }
        }
        self.plans.retain(|intent, _| known.contains(intent));
        due
    }

    /// When this door saw an intent first, if it asks about it.
    pub(super) fn first_seen(&self, intent: Sequence) -> Option<Instant> {
        self.plans.get(&intent).map(|plan| plan.first_seen)
    }

    /// An intent is settled.
    pub(super) fn remove(&mut self, intent: Sequence) {
        self.plans.remove(&intent);
    }

    /// When those of these intents are due that are still asked about.
    pub(super) fn retries(&self, intents: impl IntoIterator<Item = Sequence>) -> Vec<(Sequence, Retry)> {
        let retry = |intent| self.plans.get(&intent).map(|plan| (intent, plan.retry));
        intents.into_iter().filter_map(retry).collect()
    }

    /// How many are asked about.
    pub(super) fn len(&self) -> usize {
        self.plans.len()
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.plans.values().map(|plan| plan.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::oci::RepositoryName;
    use crate::store::{Actor, Incarnation, LeaseName, Write};

    const fn lease(epoch: u64) -> Lease {
        Lease { name: LeaseName::Verify, epoch }
    }

    fn unknown(number: u64, retry: Retry) -> Intent {
        Intent {
            sequence: Sequence::new(number),
            begun: Timestamp::from_milliseconds(0),
            repository: RepositoryName::parse("r").unwrap(),
            write: Write::Put { digest: crate::oci::Digest::sha256(b"one"), tags: Vec::new() },
            actor: Actor::default(),
            holder: Incarnation::default(),
            state: IntentState::Unknown { since: Sequence::new(number), retry },
        }
    }

    fn numbers(due: &[Intent]) -> Vec<u64> {
        due.iter().map(|intent| intent.sequence.get()).collect()
    }

    fn start() -> Moment {
        Moment::at(Timestamp::from_milliseconds(1_000_000))
    }

    #[test]
    fn an_intent_is_asked_about_at_once_and_then_ever_later() {
        let (mut schedule, mut at) = (Schedule::default(), start());
        let open = || vec![unknown(1, Retry::FIRST)];
        for attempts in 1..10 {
            assert_eq!(numbers(&schedule.take_due(open(), lease(0), at, false)), [1]);
            let pause = QUESTION_PAUSES.pause(attempts);
            let retry = Retry { attempts, pause, due_at: at.time.later_by(pause) };
            assert_eq!(schedule.retries([Sequence::new(1), Sequence::new(2)]), [(Sequence::new(1), retry)]);
            assert_eq!(schedule.next(), Some(at.now + pause));
            let just_before = at.later_by(pause - Duration::from_millis(1));
            assert!(schedule.take_due(open(), lease(0), just_before, false).is_empty());
            at = at.later_by(pause);
        }
        assert_eq!(numbers(&schedule.take_due(open(), lease(0), at, true)), [1]);
        assert_eq!(numbers(&schedule.take_due(open(), lease(0), at, true)), [1], "all, due or not");
        assert!(schedule.take_due(Vec::new(), lease(0), at, true).is_empty() && schedule.len() == 0);
    }

    #[test]
    fn what_was_put_off_under_another_lease_keeps_its_time_and_its_pauses() {
        let at = start();
        let pause = QUESTION_PAUSES.pause(4);
        let open = || vec![unknown(1, Retry::after(4, pause, at.time)), unknown(2, Retry::FIRST)];
        let mut schedule = Schedule::default();
        assert_eq!(numbers(&schedule.take_due(open(), lease(2), at, false)), [2]);
        assert_eq!(numbers(&schedule.take_due(open(), lease(2), at.later_by(pause), false)), [1, 2]);
        let [(_, retry), _] = schedule.retries([1, 2].map(Sequence::new))[..] else {
            panic!("both are asked about")
        };
        assert_eq!((retry.attempts, retry.pause), (5, QUESTION_PAUSES.pause(5)));
        // While the lease is held, what the store said first is not heard again.
        assert!(
            schedule
                .take_due(open(), lease(2), at.later_by(pause * 2), false)
                .iter()
                .all(|intent| intent.sequence.get() == 2)
        );
    }

    #[test]
    fn a_lease_that_comes_back_is_taken_up_as_the_other_door_left_it_but_for_how_long_it_is_watched() {
        let (mut schedule, at) = (Schedule::default(), start());
        schedule.take_due(vec![unknown(1, Retry::FIRST)], lease(1), at, false);
        let back = at.later_by(Duration::from_mins(1));
        let pause = QUESTION_PAUSES.pause(6);
        let open = || vec![unknown(1, Retry::after(6, pause, back.time))];
        assert!(schedule.take_due(open(), lease(3), back, false).is_empty());
        assert_eq!(schedule.next(), Some(back.now + pause));
        assert_eq!(schedule.first_seen(Sequence::new(1)), Some(at.now));
    }

    #[test]
    fn a_wrong_clock_delays_nothing_beyond_the_pause() {
        let at = start();
        for due_at in [0, 999_000, 1_000_500, 1_000_000_000, u64::MAX] {
            let retry = Retry {
                attempts: 3,
                pause: Duration::from_millis(400),
                due_at: Timestamp::from_milliseconds(due_at),
            };
            let mut schedule = Schedule::default();
            let mut asked = schedule.take_due(vec![unknown(1, retry)], lease(1), at, false);
            asked.extend(schedule.take_due(
                vec![unknown(1, retry)],
                lease(1),
                at.later_by(retry.pause),
                false,
            ));
            assert_eq!(numbers(&asked), [1], "{due_at}");
        }
    }
}
