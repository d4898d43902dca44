//! The only writer of the record.
//!
//! [`Carrier`] takes a manifest write to the registry and records its outcome, of a deletion by digest with what it took
//! (`deletion_outcome`); [`Verifier`] asks the registry about one
//! reference and records the difference, as far as the [`Judge`] believes it; [`follow_hints`] follows
//! hints; [`compare_answers`] makes hints of answers to clients that contradict the record; [`flush_pulls`] writes down pulls; [`Sweeper`] goes through everything that the registry lists, and through what
//! the record holds beyond that; [`settle_unknown`] does so for every intent whose outcome is not known until
//! it cannot change any more. [`SyncEngine`] puts all of them together and runs them; `plugins/` hands writes to its carrier.

mod carry;
mod compare;
mod confirm;
mod deletion_outcome;
mod engine;
mod hints;
mod judge;
mod listing;
mod membership;
#[cfg(test)]
mod model;
mod moment;
mod outcome;
mod pulls;
mod removals;
#[cfg(test)]
mod scripted_registry;
mod seen;
mod sweep;
mod unknown;
mod verify;
mod write;

pub use carry::{Carrier, CarryFailure};
pub use compare::{CompareError, Comparison, NamesInStore, RecordedNames, compare};
pub use deletion_outcome::UnknownDeletion;
pub use engine::{EngineSettings, SyncEngine, Transports};
pub use hints::{HintQueue, follow_hints};
pub use judge::{Judge, JudgeSettings};
pub use pulls::{PullCounts, flush_pulls};
pub use removals::RemovalLimit;
pub use seen::{SeenAnswer, SeenAnswers, compare_answers};
pub use sweep::{
    CatalogState, FinishedSweep, Outcome as SweepOutcome, Phase as SweepPhase, Problem, Recording,
    RunningSweep, SweepSettings, SweepStatus, Sweeper,
};
pub use unknown::{FirstPass, UnknownIntents, settle_unknown};
pub use verify::{Verified, Verifier, VerifyError};
pub use write::{ManifestWrite, WriteRequest};

/// Describes this floor's metrics to the exporter.
pub fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_histogram!(
        "portreeve_settle_seconds",
        Unit::Seconds,
        "From the registry's answer to a manifest write until its record is durable"
    );
    describe_counter!(
        "portreeve_door_fenced_total",
        "How often this door lost its life in the record to another one"
    );
    describe_counter!("portreeve_writes_total", "Manifest writes by what became of them");
    describe_counter!(
        "portreeve_door_fenced_total",
        "Times that this door was taken for dead by others that share its record"
    );
    describe_counter!("portreeve_verifications_total", "Questions about one reference by what was found");
    describe_counter!("portreeve_hints_total", "Looks at hinted references by what was found");
    describe_gauge!("portreeve_hints_waiting", "Hints that wait to be followed");
    describe_counter!(
        "portreeve_contradicting_answers_total",
        "Answers to clients that contradict the record, and were taken as hints"
    );
    describe_counter!(
        "portreeve_pulls_not_counted_total",
        "Pulls that were too many different ones to be counted"
    );
    describe_gauge!("portreeve_unknown_intents", "Writes whose outcome is being asked for");
    sweep::describe_metrics();
}

#[cfg(test)]
mod tests;
