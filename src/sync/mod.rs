//! The only writer of the record.
//!
//! [`Carrier`] takes a manifest write to the registry and records its outcome, of a deletion by digest with what it took
//! (`deletion_outcome`); [`TagDeleter`] deletes a tag where the registry cannot;
//! [`Deleter`] and [`Undeleter`] delete and put back what the API is asked for; [`Verifier`] asks the registry about one
//! reference and records the difference, as far as the [`Judge`] believes it; [`follow_hints`] follows
//! hints; [`compare_answers`] makes hints of answers to clients that contradict the record; [`flush_pulls`] writes down pulls (`resolved_tags` knows which tag a pull by digest was of); [`read_images`] reads what images say of themselves; [`Sweeper`] goes through everything that the registry lists, and through what
//! the record holds beyond that; [`settle_unknown`] does so for every intent whose outcome is not known until
//! it cannot change any more. [`SyncEngine`] puts all of them together and runs them; `plugins/` hands writes to its carrier.

mod carry;
mod carry_failure;
mod compare;
mod confirm;
mod deletion;
mod deletion_outcome;
mod difference;
mod engine;
mod hints;
mod images;
mod judge;
mod listing;
mod membership;
#[cfg(test)]
mod model;
mod moment;
mod outcome;
mod pulls;
mod removals;
mod resolved_tags;
#[cfg(test)]
mod scripted_registry;
mod seen;
mod sweep;
mod tag_deletion;
mod undelete;
mod unknown;
mod verify;
mod write;
mod write_context;

pub use carry::Carrier;
pub use carry_failure::CarryFailure;
pub use compare::{CompareError, Comparison, NamesInStore, RecordedNames, compare};
pub use deletion::{Deleter, DeletionError, RefusedWrite};
pub use deletion_outcome::UnknownDeletion;
pub use engine::{EngineSettings, SyncEngine, Transports};
pub use hints::{HintQueue, follow_hints};
pub use images::read_images;
pub use judge::{Judge, JudgeSettings};
pub use pulls::{PullCounts, flush_pulls};
pub use removals::RemovalLimit;
pub use seen::{SeenAnswer, SeenAnswers, compare_answers};
pub use sweep::{
    CatalogState, FinishedSweep, Outcome as SweepOutcome, PastSweep, PastSweeps, Phase as SweepPhase,
    Problem, RecordCompleteness, Recording, RunningSweep, SweepDay, SweepSettings, SweepStatus, Sweeper,
    show_sweep_intervals,
};
pub use tag_deletion::{TagDeleter, TagDeletion, TagDeletionError, cannot_delete_tags, is_empty_manifest};
pub use undelete::{Undeleted, Undeleter, Undeletion, UndeletionError};
pub use unknown::{FirstPass, UnknownIntents, settle_unknown};
pub use verify::{Verified, Verifier, VerifyError};
pub use write::{ManifestWrite, WriteRequest};
pub use write_context::WriteContext;

/// Describes this floor's metrics to the exporter.
pub fn describe_metrics() {
    use metrics::{Unit, describe_gauge, describe_histogram};
    describe_histogram!(
        "portreeve_settle_seconds",
        Unit::Seconds,
        "From the registry's answer to a manifest write until its record is durable"
    );
    // To be registered is to be shown.
    let _ = metrics::histogram!("portreeve_settle_seconds");
    for counter in [
        &carry::WRITES,
        &membership::FENCED,
        &verify::VERIFICATIONS,
        &hints::FOLLOWED,
        &seen::CONTRADICTING_ANSWERS,
        &images::IMAGES_READ,
        &pulls::PULLS,
        &pulls::PULLS_NOT_COUNTED,
    ] {
        counter.describe();
    }
    describe_gauge!("portreeve_hints_waiting", "Hints that wait to be followed");
    describe_gauge!("portreeve_unknown_intents", "Writes whose outcome is being asked for");
    sweep::describe_metrics();
}

#[cfg(test)]
mod tests;
