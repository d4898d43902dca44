//! What happened on each day, and how much there was at its end.

use serde::{Deserialize, Serialize};

use super::{Event, EventKind, Pull, Source};
use crate::clock::Timestamp;

/// So many days are kept; the oldest go first.
pub(super) const MAXIMUM_DAYS: u64 = 400;

const MILLISECONDS: u64 = 24 * 60 * 60 * 1000;

/// What happened on one day, and how much there was at its end, or is by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRecord {
    /// When it begins, in UTC.
    pub begins: Timestamp,
    /// Tags, and manifests without one, that were pushed through the door.
    pub pushes: u64,
    /// Manifests that were pulled through the door.
    pub pulls: u64,
    /// Tags and manifests that were deleted through the door.
    pub deletions: u64,
    /// How much there was.
    pub totals: Totals,
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Repositories.
    pub repositories: u64,
    /// Tags.
    pub tags: u64,
    /// Manifests, counted once for each repository that has them.
    pub manifests: u64,
    /// Bytes of manifests and blobs, each counted once for each repository that has it.
    pub bytes: u64,
}

/// A day as a backend keeps it, by its number since 1970. Stored as JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "FlatRow", into = "FlatRow")]
pub(super) struct DayRow {
    pub counts: DayCounts,
    pub totals: Totals,
}

/// The same as it is stored. Each push writes it, and to flatten within a row takes several times as long.
#[derive(Serialize, Deserialize)]
struct FlatRow {
    pushes: u64,
    pulls: u64,
    deletions: u64,
    repositories: u64,
    tags: u64,
    manifests: u64,
    bytes: u64,
}

/// What happened on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DayCounts {
    pub pushes: u64,
    pub pulls: u64,
    pub deletions: u64,
    /// Whether something changed, so that the totals are to be taken anew.
    pub has_changes: bool,
}

impl DayCounts {
    /// Counts an event. Answers the day.
    pub(super) fn of_event(event: &Event) -> (u64, Self) {
        let mut counts = Self { has_changes: true, ..Self::default() };
        if event.source == Source::Observed {
            match event.kind {
                EventKind::ManifestPut => counts.pushes = 1,
                EventKind::TagDeleted | EventKind::ManifestDeleted => counts.deletions = 1,
                EventKind::TagRestored | EventKind::RepositoryFound | EventKind::RepositoryGone => {}
            }
        }
        (day_of(event.time), counts)
    }

    /// Counts pulls. Answers the day; nothing for what was only looked at or heard of.
    pub(super) fn of_pull(pull: &Pull) -> Option<(u64, Self)> {
        let last = pull.last_pull.filter(|_| pull.count > 0)?;
        Some((day_of(last), Self { pulls: pull.count, ..Self::default() }))
    }

    pub(super) const fn add(&mut self, other: Self) {
        self.pushes = self.pushes.saturating_add(other.pushes);
        self.pulls = self.pulls.saturating_add(other.pulls);
        self.deletions = self.deletions.saturating_add(other.deletions);
        self.has_changes |= other.has_changes;
    }
}

impl From<FlatRow> for DayRow {
    fn from(row: FlatRow) -> Self {
        let FlatRow { pushes, pulls, deletions, repositories, tags, manifests, bytes } = row;
        let counts = DayCounts { pushes, pulls, deletions, has_changes: false };
        Self { counts, totals: Totals { repositories, tags, manifests, bytes } }
    }
}

impl From<DayRow> for FlatRow {
    fn from(row: DayRow) -> Self {
        let DayRow { counts, totals } = row;
        let DayCounts { pushes, pulls, deletions, has_changes: _ } = counts;
        let Totals { repositories, tags, manifests, bytes } = totals;
        Self { pushes, pulls, deletions, repositories, tags, manifests, bytes }
    }
}

impl DayRow {
    /// The row with what happened more. `now` is how much there is.
    pub(super) fn with(kept: Option<Self>, counts: DayCounts, now: Totals) -> Self {
        // A pull changes nothing, and may be written down on the day after.
        let totals = kept.filter(|_| !counts.has_changes).map_or(now, |kept| kept.totals);
        let mut row = Self { counts: kept.unwrap_or_default().counts, totals };
        row.counts.add(counts);
        row
    }

    /// The record of the day with this number.
    pub(super) const fn record(self, day: u64) -> DayRecord {
        let Self { counts: DayCounts { pushes, pulls, deletions, .. }, totals } = self;
        let begins = Timestamp::from_milliseconds(day.saturating_mul(MILLISECONDS));
        DayRecord { begins, pushes, pulls, deletions, totals }
    }
}

const fn day_of(time: Timestamp) -> u64 {
    time.as_milliseconds() / MILLISECONDS
}
