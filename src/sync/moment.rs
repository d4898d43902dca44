//! One moment on two clocks: what a door plans by, and what it writes down for others.

use tokio::time::Instant;

use crate::clock::Timestamp;

/// One moment on two clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// On this door's monotonic clock, by which it plans.
    pub now: Instant,
    /// On its clock of the day, which other doors may read, and which may be wrong.
    pub time: Timestamp,
}

impl Moment {
    /// Now, which is this time of the day.
    pub(super) fn at(time: Timestamp) -> Self {
        Self { now: Instant::now(), time }
    }

    /// So much later, on both clocks.
    #[cfg(test)]
    pub(super) fn later_by(self, time: std::time::Duration) -> Self {
        Self { now: self.now + time, time: self.time.later_by(time) }
    }
}
