//! What a sweep keeps in the store, so that one that was cut goes on where it was.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::progress::{CatalogEnd, Counts, Phase};
use super::state::encode;
use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::registry::Continuation;
use crate::store::{StoreError, SweepKind, SweepState, SweepUpdate};
use crate::sync::listing::KeptMarks;

/// A sweep that was cut longer ago than this begins anew: too much may have changed where it has been.
const TOO_OLD: Duration = Duration::from_hours(1);

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// When the last deep sweep was complete.
    pub last_deep: Option<Timestamp>,
    /// When a sweep has last compared everything that the catalog lists.
    #[serde(default)]
    pub last_complete: Option<Timestamp>,
    /// The sweep that is under way.
    pub running: Option<Position>,
}

/// How far a sweep is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The number of the sweep that kept it.
    #[serde(default)]
    pub number: u64,
    pub kind: SweepKind,
    pub started: Timestamp,
    /// When this was kept.
    pub kept: Timestamp,
    pub phase: Phase,
    /// In the catalog: the first page of which not everything is done; absent for the very first one.
    pub page: Option<Continuation>,
    /// Beyond the catalog: the last known repository that is done.
    pub after: Option<RepositoryName>,
    pub counts: Counts,
    /// What the catalog was good for, once it was read.
    #[serde(default)]
    pub catalog: CatalogEnd,
}

impl Position {
    /// Whether a sweep of this kind may go on here now.
    pub(super) fn can_go_on_as(&self, kind: SweepKind, now: Timestamp) -> bool {
        self.kind == kind && self.is_recent(now)
    }

    /// Not too old; and not from the future, as it looks when a clock was set back.
    fn is_recent(&self, now: Timestamp) -> bool {
        self.kept <= now && now.since(self.kept) <= TOO_OLD
    }
}

/// Reads what the last run of the door kept: the checkpoint, and the marks of a sweep that may go on.
pub(super) async fn load(
    store: &dyn SweepState,
    now: Timestamp,
) -> Result<(Checkpoint, KeptMarks), StoreError> {
    let Some(kept) = store.kept_sweep().await? else { return Ok(Default::default()) };
    let mut checkpoint: Checkpoint = serde_json::from_slice(&kept.checkpoint).unwrap_or_else(|error| {
        // Perhaps another version's. Nothing is lost but the time of a sweep.
        tracing::warn!(%error, "what was kept of the last sweep cannot be read; the next one begins anew");
        Checkpoint::default()
    });
    checkpoint.running.take_if(|position| !position.is_recent(now));
    let marks = if checkpoint.running.is_some() { KeptMarks::kept(kept.marks) } else { KeptMarks::default() };
    Ok((checkpoint, marks))
}

impl Checkpoint {
    /// What the store is to keep: this, and what was marked since the last time; or what is marked and nothing else.
    pub(super) fn update(&self, marks: &mut KeptMarks, forgets_marks: bool) -> SweepUpdate {
        SweepUpdate { checkpoint: encode(self), forgets_marks, marks: marks.take_fresh() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_of_an_older_door_still_reads() {
        let kept = r#"{"last_deep": null, "running": {"kind": "deep", "started": "2026-01-01T00:00:00Z",
            "kept": "2026-01-01T00:00:01Z", "phase": "unlisted", "page": null, "after": "team/app",
            "counts": {"repositories": 1, "tags": 2, "found": 3, "problems": 4}}}"#;
        let checkpoint: Checkpoint = serde_json::from_str(kept).unwrap();
        assert_eq!(checkpoint.running.unwrap().catalog, CatalogEnd::default());
    }

    #[test]
    fn a_sweep_goes_on_for_an_hour_and_neither_longer_nor_before_it_was_cut() {
        let kept = Timestamp::from_milliseconds(10_000_000);
        let position = Position {
            number: 1,
            kind: SweepKind::Deep,
            started: kept,
            kept,
            phase: Phase::Catalog,
            page: None,
            after: None,
            counts: Counts::default(),
            catalog: CatalogEnd::default(),
        };
        assert!(position.is_recent(kept.later_by(TOO_OLD)));
        assert!(!position.is_recent(kept.later_by(TOO_OLD + Duration::from_millis(1))));
        assert!(!position.is_recent(kept.shifted(-1)));
    }
}
