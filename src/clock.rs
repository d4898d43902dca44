//! Time: points in time, which pure functions take as arguments; the door's own clock; what is known of the registry's; the
//! clock by which old records are deleted; and the pauses between attempts. Used by every floor.

mod backoff;
mod offset;
mod retention;

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use backoff::{Backoff, LONGEST_RETRY_AFTER};
pub use offset::{ClockOffset, Estimate, Sample};
pub use retention::RetentionClock;

/// Where steady time begins: what the system's clock showed when it was first asked for, and that moment.
static BEGUN: LazyLock<(Timestamp, Instant)> = LazyLock::new(|| (Timestamp::now(), Instant::now()));

/// A point in time, in whole milliseconds since 1970 UTC. Shown and stored as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The system's time now.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time of day")]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// From milliseconds since 1970 UTC.
    pub const fn from_milliseconds(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since 1970 UTC.
    pub const fn as_milliseconds(self) -> u64 {
        self.0
    }

    /// Seconds since 1970-01-01 00:00 UTC, as metrics tell times.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds are exact until the year 287396")]
    pub const fn as_seconds(self) -> f64 {
        self.as_milliseconds() as f64 / 1000.0
    }

    /// Reads RFC 3339, with any offset from UTC.
    pub fn parse(text: &str) -> Option<Self> {
        // An offset other than `Z` is taken off by hand: humantime reads UTC only.
        let (local, offset) = match text.strip_suffix(['Z', 'z']) {
            Some(local) => (local, 0),
            None => {
                let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
                (local, offset_minutes(offset)?)
            }
        };
        let time: Self = humantime::parse_rfc3339(&format!("{local}Z")).ok()?.into();
        let milliseconds = i64::try_from(time.0).ok()?.checked_sub(offset * 60_000)?;
        u64::try_from(milliseconds).ok().map(Self)
    }

    /// The time so much later.
    pub fn later_by(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time so many milliseconds later, or earlier if that is negative.
    pub const fn shifted(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add_signed(milliseconds))
    }

    /// How much later than `earlier` this is; zero when it is not later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// How far the two are apart.
    pub const fn abs_diff(self, other: Self) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }
}

/// The door's own clock: the system's, or one that is shifted against it, for trying what happens when clocks differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    shift: i64,
}

impl Clock {
    /// The system's.
    pub const SYSTEM: Self = Self { shift: 0 };

    /// One that is so many milliseconds ahead of the system's, or behind it if that is negative.
    pub const fn shifted(milliseconds: i64) -> Self {
        Self { shift: milliseconds }
    }

    /// The time on it.
    pub fn now(self) -> Timestamp {
        Timestamp::now().shifted(self.shift)
    }

    /// What it would show if it had not been set since the process began: for what lasts, and for how far other clocks are from
    /// this one. It does not run while the machine sleeps.
    pub fn steady(self) -> Timestamp {
        let (begun, moment) = *BEGUN;
        begun.later_by(moment.elapsed()).shifted(self.shift)
    }
}

/// `+hh:mm` or `-hh:mm` in minutes.
fn offset_minutes(offset: &str) -> Option<i64> {
    let (sign, rest) = match offset.as_bytes().first()? {
        b'+' => (1, offset.strip_prefix('+')?),
        b'-' => (-1, offset.strip_prefix('-')?),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    let (hours, minutes): (i64, i64) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_millis(time.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 3339 has years to 9999; a stored time beyond is cut to its end rather than failing to show.
        const LAST: u64 = 253_402_300_799_999;
        let time = UNIX_EPOCH + Duration::from_millis(self.0.min(LAST));
        humantime::format_rfc3339_millis(time).fmt(formatter)
    }
}

/// What is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as RFC 3339 has it, such as 2026-11-27T08:00:00Z")]
pub struct InvalidTimestamp;

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        Self::parse(text).ok_or(InvalidTimestamp)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let time = humantime::parse_rfc3339(&text).map_err(serde::de::Error::custom)?;
        Ok(time.into())
    }
}
