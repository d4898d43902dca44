//! Tombstones: what was known of something that went without the door having carried that. When the same comes back, as
//! after storage that was lost for a while, its past comes back with it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::row::{ManifestRow, RepositoryRow, TagRow};
use crate::clock::Timestamp;
use crate::oci::{Digest, Tag};

/// The most tombstones that are kept; beyond them the oldest go.
const MAXIMUM_TOMBSTONES: u64 = 200_000;

/// How long they are kept.
const TOMBSTONE_AGE: Duration = Duration::from_hours(90 * 24);

/// Whose tombstone it is, within its repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Buried {
    /// The repository's own.
    Repository,
    /// A tag's.
    Tag(Tag),
    /// A manifest's.
    Manifest(Digest),
}

/// What was known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tombstone {
    /// When it went.
    pub at: Timestamp,
    /// Its row.
    pub past: Past,
}

/// A row as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Past {
    /// A repository's.
    Repository(RepositoryRow),
    /// A tag's.
    Tag(TagRow),
    /// A manifest's.
    Manifest(ManifestRow),
}

impl Buried {
    /// Its key within the repository: neither a tag nor a digest is a single `@`.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Repository => "@",
            Self::Tag(tag) => tag.as_str(),
            Self::Manifest(digest) => digest.as_str(),
        }
    }
}

/// Whether the oldest of so many tombstones goes, which is of this time. `held` is the last time that has held: a clock that
/// has leapt makes nothing old. Without one there was no door yet.
pub(super) fn is_over(oldest: Timestamp, count: u64, now: Timestamp, held: Option<Timestamp>) -> bool {
    let now = held.map_or(now, |held| now.min(held));
    now.since(oldest) > TOMBSTONE_AGE || count > MAXIMUM_TOMBSTONES
}
