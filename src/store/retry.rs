//! When something is attempted again, as one door leaves it to the next.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// How often something was attempted, and when it is due again.
///
/// The door that reads it may have another clock than the one that put it down, and either may be wrong. So the pause is
/// kept beside the time: [`Retry::wait`] never waits longer than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts so far.
    pub attempts: u32,
    /// The pause after the last of them, in whole milliseconds.
    #[serde(with = "milliseconds")]
    pub pause: Duration,
    /// When that is over, by the clock of the door that put it down.
    pub due_at: Timestamp,
}

impl Retry {
    /// Not attempted yet, and due at once.
    pub const FIRST: Self =
        Self { attempts: 0, pause: Duration::ZERO, due_at: Timestamp::from_milliseconds(0) };

    /// After so many attempts, and this pause from `now` on.
    pub fn after(attempts: u32, pause: Duration, now: Timestamp) -> Self {
        let pause = Duration::from_millis(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        Self { attempts, pause, due_at: now.later_by(pause) }
    }

    /// How long it is still to be left alone: none if it is due, and never longer than its pause, however far the clock that
    /// shows `now` is from the one by which it was put down.
    pub fn wait(self, now: Timestamp) -> Duration {
        self.due_at.since(now).min(self.pause)
    }

    /// Whether it is [`Retry::FIRST`].
    pub fn is_first(&self) -> bool {
        *self == Self::FIRST
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::FIRST
    }
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(pause: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_off_waits_for_its_time_and_by_no_clock_longer_than_its_pause() {
        let at = Timestamp::from_milliseconds;
        let retry = Retry::after(3, Duration::from_millis(400), at(1_000));
        assert_eq!(retry.due_at, at(1_400));
        let wait = |now| retry.wait(at(now)).as_millis();
        assert_eq!([1_000, 1_300, 1_400, 2_000].map(wait), [400, 100, 0, 0]);
        assert_eq!(wait(0), 400, "the reader's clock is behind, or the other one was ahead");
        let far = Retry { due_at: at(u64::MAX), ..retry };
        assert_eq!(far.wait(at(1_000)).as_millis(), 400);
        assert_eq!(Retry::FIRST.wait(at(0)), Duration::ZERO);
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let retry = Retry::after(3, Duration::from_micros(400_900), Timestamp::from_milliseconds(1_000));
        let text = serde_json::to_string(&retry).unwrap();
        assert_eq!(text, r#"{"attempts":3,"pause":400,"due_at":"1970-01-01T00:00:01.400Z"}"#);
        assert_eq!(serde_json::from_str::<Retry>(&text).unwrap(), retry);
    }
}
