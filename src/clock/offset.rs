//! How far the registry's clock is from the door's: estimated from the `Date` headers of its answers.
//!
//! The door's side of it is steady time ([`Clock::steady`]): setting the door's clock changes nothing about what is known of
//! the registry's. Each backend has a clock of its own.
//!
//! `Date` has whole seconds (RFC 9110 section 6.6.1), and was written between the sending of a request and the arrival of its
//! answer. So each answer bounds the offset from both sides, and where the bounds of many answers overlap it must lie. An
//! answer that fits no other (a cache's, a proxy's, one of a clock that was set) is outvoted (Marzullo's algorithm).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Clock, Timestamp};

/// How many answers of each backend are looked at.
const SAMPLES: usize = 64;
/// How much two clocks drift apart at most: a hundred millionths, ten seconds in a day.
const DRIFT_PER_MILLION: u64 = 100;

/// What one answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// In the door's steady time, when the request was sent.
    pub sent: Timestamp,
    /// In the door's steady time, when the answer arrived.
    pub received: Timestamp,
    /// What its `Date` says: the whole second before it was written.
    pub date: Timestamp,
}

/// What is known of the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Milliseconds by which the registry's clock is ahead; negative if it is behind.
    pub offset: i64,
    /// The offset is at most so many milliseconds wrong.
    pub bound: u64,
    /// When that was estimated.
    pub at: Timestamp,
}

/// Bounds of the offset, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    low: i64,
    high: i64,
    at: Timestamp,
}

/// The offset of the registry's clock, as far as it is known; of each backend's where there are several. Backends are named by
/// their keys, of which there are as many as are configured.
#[derive(Debug, Default)]
pub struct ClockOffset {
    samples: Mutex<BTreeMap<String, VecDeque<Bounds>>>,
    /// What an earlier run knew. It counts beside what a backend has told in this one.
    remembered: Option<Bounds>,
}

impl ClockOffset {
    /// Beginning with what was known before.
    pub fn remembered(estimate: Estimate) -> Self {
        let Estimate { offset, bound, at } = estimate;
        let bound = i64::try_from(bound).unwrap_or(i64::MAX);
        let bounds = Bounds { low: offset.saturating_sub(bound), high: offset.saturating_add(bound), at };
        Self { samples: Mutex::default(), remembered: Some(bounds) }
    }

    /// Takes an answer of a backend into account.
    pub fn note(&self, backend: &str, sample: Sample) {
        let Some(bounds) = sample.bounds() else { return };
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = samples.entry(backend.to_owned()).or_default();
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(bounds);
    }

    /// A backend has refused what was made in its time, with this answer. If the answer contradicts what was known, the
    /// backend's clock was set: only this answer counts from now on, with those that come.
    pub fn correct(&self, backend: &str, sample: Sample) {
        let Some(bounds) = sample.bounds() else { return };
        let is_known = self.estimate(backend, bounds.at).is_some_and(|known| {
            let slack = i64::try_from(known.bound).unwrap_or(i64::MAX);
            known.offset >= bounds.low.saturating_sub(slack)
                && known.offset <= bounds.high.saturating_add(slack)
        });
        if is_known {
            return;
        }
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.insert(backend.to_owned(), VecDeque::from([bounds]));
    }

    /// What is known of a backend's clock in steady time; nothing before the first answer.
    pub fn estimate(&self, backend: &str, now: Timestamp) -> Option<Estimate> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let known = samples.get(backend).into_iter().flatten().chain(&self.remembered);
        let widened: Vec<Bounds> = known.map(|bounds| bounds.widened(now)).collect();
        drop(samples);
        agreed(&widened).map(|agreed| agreed.estimate(now))
    }

    /// How far the registry's clock is from what the door's shows now: that of the backend which is furthest off.
    pub fn seen_from(&self, clock: Clock) -> Option<Estimate> {
        let (now, steady) = (clock.now(), clock.steady());
        let backends: Vec<String> = {
            let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
            samples.keys().cloned().collect()
        };
        let known = backends.iter().filter_map(|backend| self.estimate(backend, steady));
        // Without any backend what is remembered is all.
        let known = known.chain(backends.is_empty().then(|| self.estimate("", steady)).flatten());
        let set = between(steady, now);
        let shown =
            known.map(|known| Estimate { offset: known.offset.saturating_add(set), at: now, ..known });
        shown.max_by_key(|estimate| estimate.offset.unsigned_abs())
    }
}

impl Sample {
    /// What it says; nothing if that makes no sense.
    fn bounds(self) -> Option<Bounds> {
        let Self { sent, received, date } = self;
        let (low, high) = (between(date, received), between(date, sent).saturating_add(1000));
        (received >= sent).then_some(Bounds { low, high, at: received })
    }
}

/// How many milliseconds one time is later than another one.
fn between(later: Timestamp, earlier: Timestamp) -> i64 {
    let difference = later.as_milliseconds().checked_signed_diff(earlier.as_milliseconds());
    difference.unwrap_or(if later < earlier { i64::MIN } else { i64::MAX })
}

impl Bounds {
    /// As they are good for now: clocks drift.
    fn widened(self, now: Timestamp) -> Self {
        let age = self.at.abs_diff(now);
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let drift = age.saturating_mul(DRIFT_PER_MILLION).div_ceil(1_000_000);
        let drift = i64::try_from(drift).unwrap_or(i64::MAX);
        Self { low: self.low.saturating_sub(drift), high: self.high.saturating_add(drift), ..self }
    }

    fn estimate(self, now: Timestamp) -> Estimate {
        let offset = self.low.midpoint(self.high);
        Estimate { offset, bound: self.high.abs_diff(self.low).div_ceil(2), at: now }
    }
}

impl Estimate {
    /// Whether the clocks are further apart than this, whatever the truth within the bound is.
    pub fn is_beyond(&self, limit: Duration) -> bool {
        let sure = self.offset.unsigned_abs().saturating_sub(self.bound);
        u128::from(sure) > limit.as_millis()
    }
}

/// Where most bounds overlap; among equals where newer ones do.
fn agreed(samples: &[Bounds]) -> Option<Bounds> {
    let mut best: Option<(usize, Timestamp, Bounds)> = None;
    // The overlap begins where one of them begins.
    for start in samples {
        let here = samples.iter().filter(|bounds| bounds.low <= start.low && start.low <= bounds.high);
        let mut overlap = Bounds { low: start.low, high: i64::MAX, at: start.at };
        let (mut votes, mut newest) = (0, start.at);
        for bounds in here {
            votes += 1;
            overlap.high = overlap.high.min(bounds.high);
            newest = newest.max(bounds.at);
        }
        if best.as_ref().is_none_or(|(most, time, _)| (votes, newest) > (*most, *time)) {
            best = Some((votes, newest, overlap));
        }
    }
    best.map(|(_, _, overlap)| overlap)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "0a1b2c3d";

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_milliseconds(milliseconds)
    }

    /// An answer of a registry whose clock is so far ahead: sent at a time, with so long a way there and back.
    fn sample(offset: i64, sent: u64, there: u64, back: u64) -> Sample {
        let written = at(sent + there).shifted(offset).as_milliseconds();
        Sample { sent: at(sent), received: at(sent + there + back), date: at(written / 1000 * 1000) }
    }

    #[test]
    fn nothing_is_known_before_the_first_answer() {
        assert_eq!(ClockOffset::default().estimate(ONE, at(0)), None);
    }

    #[test]
    fn answers_at_different_parts_of_a_second_narrow_it_down() {
        let clock = ClockOffset::default();
        for number in 0..20 {
            clock.note(ONE, sample(3_600_000, 1_000_000_000 + number * 1_050, 3, 3));
        }
        let estimate = clock.estimate(ONE, at(1_000_020_000)).unwrap();
        assert!(estimate.bound <= 60, "{estimate:?}");
        assert!(estimate.offset.abs_diff(3_600_000) <= estimate.bound, "{estimate:?}");
    }

    #[test]
    fn an_answer_that_fits_no_other_is_outvoted() {
        let clock = ClockOffset::default();
        for number in 0..10 {
            clock.note(ONE, sample(-60_000, 1_000_000_000 + number * 1_100, 2, 2));
            clock.note(
                ONE,
                sample(500_000 * i64::try_from(number).unwrap(), 1_000_000_500 + number * 1_100, 2, 2),
            );
        }
        let estimate = clock.estimate(ONE, at(1_000_020_000)).unwrap();
        assert!(estimate.offset.abs_diff(-60_000) <= estimate.bound, "{estimate:?}");
    }

    #[test]
    fn a_clock_that_was_set_is_followed() {
        let clock = ClockOffset::default();
        for number in 0..64 {
            clock.note(ONE, sample(0, 1_000_000_000 + number * 1_030, 1, 1));
        }
        for number in 0..40 {
            clock.note(ONE, sample(90_000, 1_000_100_000 + number * 1_030, 1, 1));
        }
        let estimate = clock.estimate(ONE, at(1_000_150_000)).unwrap();
        assert!(estimate.offset.abs_diff(90_000) <= estimate.bound, "{estimate:?}");
    }

    #[test]
    fn a_refused_answer_is_followed_at_once_if_it_contradicts_what_was_known() {
        let clock = ClockOffset::default();
        for number in 0..64 {
            clock.note(ONE, sample(0, 1_000_000_000 + number * 1_030, 1, 1));
        }
        let refused = sample(90_000, 1_000_100_000, 1, 1);
        clock.note(ONE, refused);
        clock.correct(ONE, refused);
        let estimate = clock.estimate(ONE, at(1_000_100_010)).unwrap();
        assert!(estimate.offset.abs_diff(90_000) <= estimate.bound, "{estimate:?}");
    }

    #[test]
    fn a_refusal_that_is_not_for_the_clock_leaves_what_is_known_as_sure_as_it_was() {
        let clock = ClockOffset::default();
        for number in 0..40 {
            clock.note(ONE, sample(0, 1_000_000_000 + number * 1_030, 1, 1));
        }
        let before = clock.estimate(ONE, at(1_000_100_000)).unwrap();
        // An answer that took a minute says little.
        clock.correct(ONE, sample(0, 1_000_040_000, 5, 59_000));
        assert_eq!(clock.estimate(ONE, at(1_000_100_000)), Some(before));
    }

    #[test]
    fn each_backend_has_a_clock_of_its_own() {
        let clock = ClockOffset::default();
        for number in 0..64 {
            clock.note(ONE, sample(0, 1_000_000_000 + number * 1_030, 1, 1));
        }
        clock.note("another", sample(3_600_000, 1_000_100_000, 1, 1));
        let (one, another) = (
            clock.estimate(ONE, at(1_000_100_010)).unwrap(),
            clock.estimate("another", at(1_000_100_010)).unwrap(),
        );
        assert!(one.offset.abs_diff(0) <= one.bound, "{one:?}");
        assert!(another.offset.abs_diff(3_600_000) <= another.bound, "{another:?}");
    }

    #[test]
    fn setting_the_doors_clock_changes_only_how_far_the_registrys_is_seen_to_be_off() {
        let (offset, clock) = (ClockOffset::default(), Clock::SYSTEM);
        let steady = clock.steady();
        let date = at(clock.now().as_milliseconds() / 1000 * 1000);
        offset.note(ONE, Sample { sent: steady, received: steady, date });
        let known = offset.estimate(ONE, clock.steady()).unwrap();
        assert!(known.offset.unsigned_abs() <= 2_000, "{known:?}");
        assert_eq!(offset.estimate(ONE, Clock::shifted(-7_200_000).steady()).unwrap().offset, known.offset);
    }

    #[test]
    fn what_was_known_before_is_known_again_less_surely() {
        let known = Estimate { offset: 5_000, bound: 10, at: at(1_000_000_000) };
        let day = 24 * 60 * 60 * 1000;
        let later = ClockOffset::remembered(known).estimate(ONE, at(1_000_000_000 + day)).unwrap();
        assert_eq!((later.offset, later.bound), (5_000, 10 + 8_640));
    }

    #[test]
    fn clocks_are_only_said_to_be_apart_when_that_is_sure() {
        let estimate = |offset, bound| Estimate { offset, bound, at: at(0) };
        let limit = Duration::from_secs(5);
        assert!(estimate(6_000, 500).is_beyond(limit) && estimate(-6_000, 500).is_beyond(limit));
        assert!(!estimate(5_400, 500).is_beyond(limit) && !estimate(0, 60_000).is_beyond(limit));
    }

    proptest! {
        #[test]
        fn the_truth_lies_within_the_bound(
            offset in -7_200_000..7_200_000_i64,
            answers in proptest::collection::vec((0..5_000_u64, 0..800_u64, 0..800_u64), 1..100),
        ) {
            let clock = ClockOffset::default();
            let mut now = 1_000_000_000;
            for (pause, there, back) in answers {
                clock.note(ONE, sample(offset, now, there, back));
                now += pause + there + back;
            }
            let estimate = clock.estimate(ONE, at(now)).unwrap();
            prop_assert!(estimate.offset.abs_diff(offset) <= estimate.bound + 1, "{:?}", estimate);
        }

        #[test]
        fn no_dates_make_it_panic(dates in proptest::collection::vec(any::<[u64; 3]>(), 0..70), now in any::<u64>()) {
            let clock = ClockOffset::default();
            for [sent, received, date] in dates {
                clock.note(ONE, Sample { sent: at(sent), received: at(received), date: at(date) });
            }
            if let Some(estimate) = clock.estimate(ONE, at(now)) {
                let _ = estimate.is_beyond(Duration::ZERO);
            }
        }
    }
}
