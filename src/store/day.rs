//! What happened on each day, and how much there was at its end.

use serde::{Deserialize, Serialize};

use super::{Event, EventKind, Pull, Source};
use crate::clock::Timestamp;

/// So many days are kept; the oldest go first.
pub(super) const MAXIMUM_DAYS: u64 = 400;

const MILLISECONDS_OF_HOUR: u64 = 60 * 60 * 1000;
const MILLISECONDS: u64 = HOURS as u64 * MILLISECONDS_OF_HOUR;

/// So many a day has.
const HOURS: usize = 24;

/// A number for each hour of a day, in UTC.
pub type ByHour = [u64; HOURS];

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
    /// The pushes by their hours. Those that were counted before the hours were are in none.
    pub pushes_by_hour: ByHour,
    /// The pulls by their hours, as the pushes.
    pub pulls_by_hour: ByHour,
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
    /// Older rows have none.
    #[serde(default)]
    pushes_by_hour: ByHour,
    #[serde(default)]
    pulls_by_hour: ByHour,
}

/// What happened on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DayCounts {
    pub pushes: u64,
    pub pulls: u64,
    pub deletions: u64,
    pub pushes_by_hour: ByHour,
    pub pulls_by_hour: ByHour,
    /// Whether something changed, so that the totals are to be taken anew.
    pub has_changes: bool,
}

impl DayCounts {
    /// Counts an event. Answers the day.
    pub(super) fn of_event(event: &Event) -> (u64, Self) {
        let mut counts = Self { has_changes: true, ..Self::default() };
        if event.source == Source::Observed {
            match event.kind {
                EventKind::ManifestPut => {
                    counts.pushes = 1;
                    counts.pushes_by_hour[hour_of(event.time)] = 1;
                }
                EventKind::TagDeleted | EventKind::ManifestDeleted => counts.deletions = 1,
                EventKind::TagRestored | EventKind::RepositoryFound | EventKind::RepositoryGone => {}
            }
        }
        (day_of(event.time), counts)
    }

    /// Counts pulls. Answers the day; nothing for what was only looked at or heard of.
    pub(super) fn of_pull(pull: &Pull) -> Option<(u64, Self)> {
        let last = pull.last_pull.filter(|_| pull.count > 0)?;
        let mut counts = Self { pulls: pull.count, ..Self::default() };
        counts.pulls_by_hour[hour_of(last)] = pull.count;
        Some((day_of(last), counts))
    }

    pub(super) fn add(&mut self, other: Self) {
        self.pushes = self.pushes.saturating_add(other.pushes);
        self.pulls = self.pulls.saturating_add(other.pulls);
        self.deletions = self.deletions.saturating_add(other.deletions);
        add_by_hour(&mut self.pushes_by_hour, &other.pushes_by_hour);
        add_by_hour(&mut self.pulls_by_hour, &other.pulls_by_hour);
        self.has_changes |= other.has_changes;
    }
}

impl From<FlatRow> for DayRow {
    fn from(row: FlatRow) -> Self {
        let FlatRow { pushes, pulls, deletions, pushes_by_hour, pulls_by_hour, .. } = row;
        let FlatRow { repositories, tags, manifests, bytes, .. } = row;
        let has_changes = false;
        Self {
            counts: DayCounts { pushes, pulls, deletions, pushes_by_hour, pulls_by_hour, has_changes },
            totals: Totals { repositories, tags, manifests, bytes },
        }
    }
}

impl From<DayRow> for FlatRow {
    fn from(row: DayRow) -> Self {
        let DayRow { counts, totals } = row;
        let DayCounts { pushes, pulls, deletions, pushes_by_hour, pulls_by_hour, has_changes: _ } = counts;
        let Totals { repositories, tags, manifests, bytes } = totals;
        Self { pushes, pulls, deletions, repositories, tags, manifests, bytes, pushes_by_hour, pulls_by_hour }
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
        let Self { counts, totals } = self;
        let DayCounts { pushes, pulls, deletions, pushes_by_hour, pulls_by_hour, has_changes: _ } = counts;
        let begins = Timestamp::from_milliseconds(day.saturating_mul(MILLISECONDS));
        DayRecord { begins, pushes, pulls, deletions, pushes_by_hour, pulls_by_hour, totals }
    }
}

fn add_by_hour(sums: &mut ByHour, more: &ByHour) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum = sum.saturating_add(*more);
    }
}

const fn day_of(time: Timestamp) -> u64 {
    time.as_milliseconds() / MILLISECONDS
}

/// The hour of the day, from 0 to 23.
const fn hour_of(time: Timestamp) -> usize {
    (time.as_milliseconds() % MILLISECONDS / MILLISECONDS_OF_HOUR) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_older_doors_are_read_and_what_they_counted_is_in_no_hour() {
        let old = r#"{"pushes":5,"pulls":7,"deletions":1,"repositories":1,"tags":2,"manifests":3,"bytes":4}"#;
        let kept: DayRow = serde_json::from_str(old).unwrap();
        let mut more = DayCounts { pushes: 1, ..DayCounts::default() };
        more.pushes_by_hour[23] = 1;
        let row = serde_json::to_string(&DayRow::with(Some(kept), more, Totals::default())).unwrap();
        let DayRecord { pushes, pulls, pushes_by_hour, pulls_by_hour, totals, .. } =
            serde_json::from_str::<DayRow>(&row).unwrap().record(0);
        assert_eq!((pushes, pulls, totals.bytes), (6, 7, 4));
        assert_eq!((pushes_by_hour[23], pushes_by_hour.iter().sum::<u64>()), (1, 1));
        assert_eq!(pulls_by_hour, [0; 24]);
    }
}
