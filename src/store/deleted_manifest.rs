//! Deleted manifests: what they said is kept for a while, so that what was deleted can be put back while the registry still has
//! the blobs.

use serde::{Deserialize, Serialize};

use super::tombstone;
use crate::clock::Timestamp;

/// The most bytes of deleted manifests that are kept; beyond them the oldest go.
const MAXIMUM_BYTES: u64 = 256 * 1024 * 1024;

/// How many deleted manifests are kept, and how many bytes they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// How many.
    pub count: u64,
    /// The sum of their bytes.
    pub bytes: u64,
}

/// Whether the oldest of these goes, which was deleted at this time. Their number and age have the bounds of tombstones.
pub(super) fn is_over(oldest: Timestamp, kept: Kept, now: Timestamp, held: Option<Timestamp>) -> bool {
    kept.bytes > MAXIMUM_BYTES || tombstone::is_over(oldest, kept.count, now, held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample::at;

    #[test]
    fn the_oldest_goes_when_there_are_too_many_bytes_or_when_its_time_is_over() {
        let full = Kept { count: 1, bytes: MAXIMUM_BYTES };
        assert!(!is_over(at(1), full, at(2), None));
        assert!(is_over(at(1), Kept { bytes: MAXIMUM_BYTES + 1, ..full }, at(2), None));
        assert!(is_over(at(1), Kept::default(), at(100 * 24 * 3_600_000), None));
    }
}
