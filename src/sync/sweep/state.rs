//! What sweeps are at, which was asked for, and their numbers.

use std::sync::Arc;

use super::progress::{FinishedSweep, Progress, SweepKind};
use crate::clock::Timestamp;

/// What the sweeps of a door are at.
#[derive(Default)]
pub(super) struct State {
    /// The number of the last sweep that began or is just about to.
    pub number: u64,
    pub running: Option<Arc<Progress>>,
    pub last: Option<FinishedSweep>,
    /// What was asked for, to begin when nothing runs.
    pub queued: Option<SweepKind>,
    pub next: Option<Timestamp>,
}

/// A sweep that is to begin.
pub(super) struct Next {
    pub number: u64,
    pub kind: SweepKind,
    pub is_requested: bool,
}

impl State {
    pub(super) fn request(&mut self, kind: SweepKind) -> u64 {
        self.queued = self.queued.max(Some(kind));
        self.number + 1
    }

    /// A sweep begins: whoever asks for one from now on gets the next.
    pub(super) fn begin(&mut self, kind: SweepKind, is_requested: bool) -> Next {
        self.number += 1;
        self.next = None;
        Next { number: self.number, kind, is_requested }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_when_a_sweep_is_just_about_to_begin_gets_the_next_one() {
        let mut state = State::default();
        assert_eq!(state.begin(SweepKind::Shallow, false).number, 1);
        assert_eq!(state.request(SweepKind::Deep), 2);
        let kind = state.queued.take().unwrap();
        let next = state.begin(kind, true);
        assert_eq!((next.number, next.kind), (2, SweepKind::Deep));
    }
}
