//! Which part of the history is asked for, and how a backend finds the place of a time in it.
//!
//! Events stand in the order of their numbers. Their times are nearly in that order and no more: whoever records an event has
//! read the clock a little before, and clocks are set back. A search by halves would therefore miss events. So a backend keeps
//! of each finished block of numbers the earliest and the latest time in it, and leaves out the blocks that have nothing to do
//! with the times that are asked for: exact whatever the clock did, and one row for each thousand numbers.

use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::store::Sequence;

/// How many numbers a block has.
const BLOCK: u64 = 1_024;

/// In which order events are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventOrder {
    /// By rising numbers.
    #[default]
    OldestFirst,
    /// By falling numbers.
    NewestFirst,
}

/// Which part of the history is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventRange {
    /// Of this repository alone.
    pub repository: Option<RepositoryName>,
    /// In which order.
    pub order: EventOrder,
    /// Begins behind this number, in that order.
    pub after: Option<Sequence>,
    /// The times.
    pub times: TimeSpan,
    /// So many events are looked at at most, whether or not they are of these times.
    pub rows: usize,
}

/// From a time on, and before another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSpan {
    /// None before this.
    pub since: Option<Timestamp>,
    /// None at this time, or later.
    pub until: Option<Timestamp>,
}

impl TimeSpan {
    /// Whether every time is in it.
    pub const fn is_unbounded(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    /// Whether a time is in it.
    pub fn contains(&self, time: Timestamp) -> bool {
        self.may_meet(time, time)
    }

    /// Whether a time from the earliest to the latest may be in it.
    pub(super) fn may_meet(&self, earliest: Timestamp, latest: Timestamp) -> bool {
        earliest <= latest
            && self.since.is_none_or(|since| latest >= since)
            && self.until.is_none_or(|until| earliest < until)
    }
}

/// The block that a number is in.
pub(super) const fn block_of(number: u64) -> u64 {
    number / BLOCK
}

/// The first and the last number of a block.
pub(super) const fn numbers_of(block: u64) -> (u64, u64) {
    let first = block.saturating_mul(BLOCK);
    (first, first.saturating_add(BLOCK - 1))
}

/// The blocks whose last number was given out since `before` was the last one.
pub(super) const fn finished_blocks(before: Sequence, last: Sequence) -> std::ops::Range<u64> {
    block_of(before.get() + 1)..block_of(last.get() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample::at;

    #[test]
    fn a_block_is_finished_once_with_its_last_number() {
        let finished = |before, last| finished_blocks(Sequence::new(before), Sequence::new(last));
        assert!(finished(0, 1_022).is_empty());
        assert_eq!(finished(1_022, 1_023), 0..1);
        assert!(finished(1_023, 1_024).is_empty());
        assert_eq!(finished(0, 5_000), 0..4);
        for number in [0, 1_023, 1_024, 5_000] {
            let (first, last) = numbers_of(block_of(number));
            assert!((first..=last).contains(&number));
        }
    }

    #[test]
    fn a_span_begins_with_its_first_time_and_ends_before_its_last() {
        let span = TimeSpan { since: Some(at(10)), until: Some(at(20)) };
        assert_eq!([9, 10, 19, 20].map(|time| span.contains(at(time))), [false, true, true, false]);
        for (earliest, latest, meets) in [(1, 9, false), (1, 10, true), (19, 30, true), (20, 30, false)] {
            assert_eq!(span.may_meet(at(earliest), at(latest)), meets, "{earliest} to {latest}");
        }
        assert!(!TimeSpan::default().may_meet(at(2), at(1)), "of a block without events");
    }
}
