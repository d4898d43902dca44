//! The retention clock: the time by which something may be deleted for good because it is old.
//!
//! A clock that leaps (a machine that starts with the wrong year, an operator who sets it wrongly) makes everything old at once,
//! and nothing brings back what was deleted by it. So a leap counts for deleting only when it has held for an hour; until then
//! the time stands still for that purpose. That the door was off for a while cannot be told from a leap, and costs that hour
//! too. When the clock goes back to where it would be without the leap, it is believed again at once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Clock, Timestamp};

/// A clock that is off by more than this from what it would show is one that has leapt. Also the longest time between two
/// looks that is believed: what takes longer counts as a leap, since the steady clock may have leapt with the other one.
const TOLERANCE: Duration = Duration::from_mins(5);
/// How long a leap has to hold.
const CONFIRMED_AFTER: Duration = Duration::from_hours(1);

/// The door's clock, as far as its time has held. It has to be looked at every few seconds.
#[derive(Debug)]
pub struct RetentionClock {
    clock: Clock,
    state: Mutex<(State, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// What the clock showed when it was last looked at.
    seen: Timestamp,
    leap: Option<Leap>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leap {
    /// The last time that has held.
    last_confirmed: Timestamp,
    /// What the clock would show without the leap.
    expected: Timestamp,
    /// How long the leap has held.
    held: Duration,
}

impl RetentionClock {
    /// A clock whose time held last at this time, in an earlier run of the door; if that is not known, it is believed.
    pub fn new(clock: Clock, last: Option<Timestamp>) -> Self {
        let now = clock.now();
        let state = State::initial(now, last.unwrap_or(now));
        if let Some(Leap { last_confirmed: last, .. }) = state.leap {
            tracing::info!(
                %last, %now,
                "the door was off, or its clock has leapt; for an hour nothing is deleted because it is old"
            );
        }
        Self { clock, state: Mutex::new((state, Instant::now())) }
    }

    /// The time by which something may be deleted because it is old: what the clock shows, if that has held; else never later
    /// than the last time that has.
    pub fn now(&self) -> Timestamp {
        self.look().now()
    }

    /// What the clock shows, if that has held.
    pub fn confirmed(&self) -> Option<Timestamp> {
        let state = self.look();
        state.leap.is_none().then_some(state.seen)
    }

    /// The last time that has held, for the next run of the door.
    pub fn last_confirmed(&self) -> Timestamp {
        let state = self.look();
        state.leap.map_or(state.seen, |leap| leap.last_confirmed)
    }

    fn look(&self) -> State {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(state.1);
        let next = state.0.after(elapsed, self.clock.now());
        match (state.0.leap, next.leap) {
            (None, Some(_)) => tracing::warn!(
                before = %state.0.seen, now = %next.seen,
                "the clock has leapt; nothing is deleted because it is old until that has held for an hour"
            ),
            (Some(_), None) => tracing::info!(now = %next.seen, "the clock is believed again"),
            _ => {}
        }
        *state = (next, now);
        next
    }
}

impl State {
    fn initial(now: Timestamp, last: Timestamp) -> Self {
        let leap = Leap { last_confirmed: last, expected: last, held: Duration::ZERO };
        Self { seen: now, leap: (!is_near(now, last)).then_some(leap) }
    }

    /// After so much time the clock shows this.
    fn after(self, elapsed: Duration, now: Timestamp) -> Self {
        let elapsed = elapsed.min(TOLERANCE);
        let expected = self.seen.later_by(elapsed);
        let has_leapt = !is_near(now, expected);
        let leap = match self.leap {
            None if has_leapt => Some(Leap { last_confirmed: self.seen, expected, held: Duration::ZERO }),
            None => None,
            Some(leap) => {
                let expected = leap.expected.later_by(elapsed);
                let held = if has_leapt { Duration::ZERO } else { leap.held.saturating_add(elapsed) };
                let is_over = is_near(now, expected) || held >= CONFIRMED_AFTER;
                (!is_over).then_some(Leap { expected, held, ..leap })
            }
        };
        Self { seen: now, leap }
    }

    fn now(self) -> Timestamp {
        // After a leap back, the last time that has held is one that has not come yet.
        self.leap.map_or(self.seen, |leap| leap.last_confirmed.min(self.seen))
    }
}

fn is_near(one: Timestamp, other: Timestamp) -> bool {
    one.abs_diff(other) <= TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_secs(5);
    const YEARS: u64 = 10 * 365 * 24 * 60 * 60;
    const BEGUN: u64 = 1_800_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_milliseconds(seconds * 1000)
    }

    /// What it is after so many seconds in which the clock ran as it should, looked at now and then.
    fn running(mut state: State, seconds: u64) -> State {
        for _ in 0..seconds / LOOK.as_secs() {
            state = state.after(LOOK, state.seen.later_by(LOOK));
        }
        state
    }

    fn set(state: State, seconds: u64) -> State {
        state.after(LOOK, at(seconds))
    }

    #[test]
    fn a_clock_that_runs_on_is_believed_also_over_a_short_restart() {
        for off in [0, 10, 299] {
            let state = running(State::initial(at(BEGUN + off), at(BEGUN)), 100);
            assert_eq!(state.now(), at(BEGUN + off + 100));
        }
    }

    #[test]
    fn a_start_with_a_clock_years_ahead_makes_nothing_old_until_that_has_held_for_an_hour() {
        let state = State::initial(at(BEGUN + YEARS), at(BEGUN));
        assert_eq!(state.now(), at(BEGUN));
        assert_eq!(running(state, 3_595).now(), at(BEGUN));
        assert_eq!(running(state, 3_600).now(), at(BEGUN + YEARS + 3_600));
    }

    #[test]
    fn a_leap_within_a_run_stops_the_time_and_going_back_loses_nothing() {
        let before = State::initial(at(BEGUN), at(BEGUN));
        let leapt = running(set(before, BEGUN + YEARS), 1_000);
        assert_eq!(leapt.now(), at(BEGUN));
        let back = set(leapt, BEGUN + 1_010);
        assert_eq!(back.now(), at(BEGUN + 1_010), "it is where it would be without the leap");
    }

    #[test]
    fn a_leap_back_makes_nothing_old_that_happens_after_it() {
        let before = State::initial(at(BEGUN), at(BEGUN));
        let leapt = set(before, BEGUN - YEARS);
        assert_eq!(leapt.now(), at(BEGUN - YEARS));
        assert_eq!(running(leapt, 3_600).now(), at(BEGUN - YEARS + 3_600));
    }

    #[test]
    fn each_further_leap_begins_the_hour_anew() {
        let mut state = State::initial(at(BEGUN), at(BEGUN));
        for number in 1..5 {
            state = running(set(state, BEGUN + number * YEARS), 3_500);
            assert_eq!(state.now(), at(BEGUN), "{number}");
        }
    }

    #[test]
    fn a_leap_that_takes_the_steady_clock_with_it_is_one_too() {
        let before = State::initial(at(BEGUN), at(BEGUN));
        let leapt = before.after(Duration::from_secs(YEARS), at(BEGUN + YEARS));
        assert_eq!(leapt.now(), at(BEGUN));
    }

    #[test]
    fn small_corrections_are_no_leaps() {
        let mut state = State::initial(at(BEGUN), at(BEGUN));
        for correction in [-60, 60, 290, -290, 1] {
            let seconds = (state.seen.as_milliseconds() / 1000).saturating_add_signed(correction);
            state = set(state, seconds);
            assert_eq!(state.now(), at(seconds), "{correction}");
        }
    }
}
