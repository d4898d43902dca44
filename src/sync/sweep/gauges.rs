//! What metrics show of a sweep.

use super::progress::{FinishedSweep, Outcome, Phase, RunningSweep};
use crate::store::SweepKind;

/// Describes them to the exporter.
pub(in crate::sync) fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("portreeve_sweeps_total", "Sweeps by kind and by how they ended");
    describe_counter!("portreeve_sweep_corrections_total", "Events by which sweeps mended the record");
    describe_counter!("portreeve_sweep_problems_total", "What sweeps could not compare");
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
        "portreeve_sweep_last_complete_timestamp_seconds",
        Unit::Seconds,
        "When the last complete sweep ended, in seconds since 1970, by kind"
    );
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
#[expect(clippy::cast_precision_loss, reason = "for a graph")]
pub(super) fn count(finished: &FinishedSweep) {
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
    let kind = match finished.kind {
        SweepKind::Shallow => "shallow",
        SweepKind::Deep => "deep",
    };
    let outcome = match finished.outcome {
        Outcome::Complete => "complete",
        Outcome::Partial => "partial",
        Outcome::Failed => "failed",
    };
    metrics::counter!("portreeve_sweeps_total", "kind" => kind, "outcome" => outcome).increment(1);
    let took = finished.ended_at.since(finished.started_at);
    metrics::histogram!("portreeve_sweep_seconds", "kind" => kind).record(took.as_secs_f64());
    if finished.outcome == Outcome::Complete {
        let ended = finished.ended_at.as_milliseconds() as f64 / 1000.0;
        metrics::gauge!("portreeve_sweep_last_complete_timestamp_seconds", "kind" => kind).set(ended);
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
