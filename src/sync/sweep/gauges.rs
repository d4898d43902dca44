//! What metrics show of a sweep.

use std::time::Duration;

use super::progress::{self, FinishedSweep, Outcome, Phase, RunningSweep};
use crate::store::SweepKind;
use crate::telemetry::CounterFamily;

const SHALLOW: &str = "shallow";
const DEEP: &str = "deep";
const LAST_COMPLETE: &str = "portreeve_sweep_last_complete_timestamp_seconds";
const INTERVAL: &str = "portreeve_sweep_interval_seconds";

static SWEEPS: CounterFamily = CounterFamily {
    name: "portreeve_sweeps_total",
    help: "Sweeps by kind and by how they ended",
    labels: &[("kind", &[SHALLOW, DEEP]), ("outcome", &["complete", "partial", "failed"])],
};
/// Describes them to the exporter.
pub(in crate::sync) fn describe() {
    use metrics::{Unit, describe_gauge, describe_histogram};
    for counter in [&SWEEPS, &progress::CORRECTIONS, &progress::PROBLEMS] {
        counter.describe();
    }
    describe_histogram!("portreeve_sweep_seconds", Unit::Seconds, "How long sweeps took, by kind");
    describe_gauge!("portreeve_sweep_phase", "1 for the phase that the running sweep is in, else 0");
    describe_gauge!(
        "portreeve_sweep_repositories_done",
        "Repositories that the running sweep has gone through"
    );
    describe_gauge!(
        "portreeve_sweep_repositories_expected",
        "About how many repositories the running sweep will go through"
    );
    describe_gauge!(
        "portreeve_sweep_repositories_per_second",
        "How many repositories the running sweep goes through in a second"
    );
    describe_gauge!(
        "portreeve_sweep_seconds_left",
        Unit::Seconds,
        "About how long the running sweep will take from now; 0 where that is not known"
    );
    describe_gauge!("portreeve_sweep_tags", "Tags that the running sweep has compared");
    describe_gauge!("portreeve_sweep_found", "Events by which the running sweep has mended the record");
    describe_gauge!("portreeve_sweep_concurrency", "How many questions the running sweep may ask at once");
    describe_gauge!(
        LAST_COMPLETE,
        Unit::Seconds,
        "When the last sweep ended that compared all that one of this kind does, in seconds since 1970; a deep one \
         compares what a shallow one does; 0 before the first"
    );
    describe_gauge!(
        INTERVAL,
        Unit::Seconds,
        "The configured time between two sweeps, by kind; 0 where there are none"
    );
    idle();
    for kind in [SHALLOW, DEEP] {
        // To be registered is to be shown.
        let _ = metrics::histogram!("portreeve_sweep_seconds", "kind" => kind);
        metrics::gauge!(LAST_COMPLETE, "kind" => kind).set(0.0);
    }
}

/// Shows how often sweeps are to begin.
pub fn show_intervals(shallow: Duration, deep: Duration) {
    for (kind, interval) in [(SHALLOW, shallow), (DEEP, deep)] {
        metrics::gauge!(INTERVAL, "kind" => kind).set(interval.as_secs_f64());
    }
}

/// Shows how far the running sweep is, and how many questions it may ask at once.
pub(super) fn show(running: &RunningSweep, concurrency: usize) {
    set_phase(Some(running.phase));
    set("portreeve_sweep_repositories_done", running.repositories_done);
    set("portreeve_sweep_repositories_expected", running.repositories_expected.unwrap_or(0));
    metrics::gauge!("portreeve_sweep_repositories_per_second").set(running.repositories_per_second);
    set("portreeve_sweep_seconds_left", running.seconds_left.unwrap_or(0));
    set("portreeve_sweep_tags", running.tags);
    set("portreeve_sweep_found", running.found);
    set("portreeve_sweep_concurrency", concurrency as u64);
}

/// Counts a sweep that has ended. None runs any more.
pub(super) fn count(finished: &FinishedSweep) {
    idle();
    let (kind, compared): (_, &[&str]) = match finished.kind {
        SweepKind::Shallow => (SHALLOW, &[SHALLOW]),
        SweepKind::Deep => (DEEP, &[SHALLOW, DEEP]),
    };
    let outcome = match finished.outcome {
        Outcome::Complete => "complete",
        Outcome::Partial => "partial",
        Outcome::Failed => "failed",
    };
    SWEEPS.with([kind, outcome]).increment(1);
    let took = finished.ended_at.since(finished.started_at);
    metrics::histogram!("portreeve_sweep_seconds", "kind" => kind).record(took.as_secs_f64());
    if finished.outcome == Outcome::Complete {
        for kind in compared {
            metrics::gauge!(LAST_COMPLETE, "kind" => *kind).set(finished.ended_at.as_seconds());
        }
    }
}

/// Shows that none runs.
fn idle() {
    set_phase(None);
    for name in [
        "portreeve_sweep_repositories_done",
        "portreeve_sweep_repositories_expected",
        "portreeve_sweep_repositories_per_second",
        "portreeve_sweep_seconds_left",
        "portreeve_sweep_tags",
        "portreeve_sweep_found",
        "portreeve_sweep_concurrency",
    ] {
        set(name, 0);
    }
}

#[expect(clippy::cast_precision_loss, reason = "for a graph")]
fn set(name: &'static str, value: u64) {
    metrics::gauge!(name).set(value as f64);
}

fn set_phase(phase: Option<Phase>) {
    for (each, name) in [(Phase::Catalog, "catalog"), (Phase::Unlisted, "unlisted")] {
        let is_in = if phase == Some(each) { 1.0 } else { 0.0 };
        metrics::gauge!("portreeve_sweep_phase", "phase" => name).set(is_in);
    }
}
