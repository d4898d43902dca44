//! When tags were recorded, in few bytes.

use crate::clock::Timestamp;
use crate::store::TagRecord;

/// When a tag was pushed; or when it was found, if it is not known when it was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::search) struct RecordedAt(i64);

impl RecordedAt {
    /// That of this tag.
    pub(in crate::search) fn of(record: &TagRecord) -> Self {
        match (record.pushed_at, record.found_at) {
            (Some(pushed), _) => Self::pushed(pushed),
            (None, Some(found)) => Self(-Self::pushed(found).0),
            (None, None) => Self(0),
        }
    }

    /// It was pushed then. Kept as a positive number; a negative one is when something was found.
    fn pushed(time: Timestamp) -> Self {
        Self(i64::try_from(time.as_milliseconds()).unwrap_or(i64::MAX))
    }

    /// Whichever it is.
    pub(in crate::search) const fn time(self) -> Timestamp {
        Timestamp::from_milliseconds(self.0.unsigned_abs())
    }

    /// When it was pushed, if that is known.
    pub(in crate::search) const fn pushed_at(self) -> Option<Timestamp> {
        if self.0 > 0 { Some(self.time()) } else { None }
    }
}
