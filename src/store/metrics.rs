//! What the store counts. Backends use these names, so that a graph does not change with the backend.

use std::time::Duration;

use metrics::{Unit, describe_gauge, describe_histogram, gauge, histogram};

use super::{EventKind, Missing, Source, StoreTrouble};
use crate::telemetry::CounterFamily;

const COMMIT_SECONDS: &str = "portreeve_store_commit_seconds";
const WRITES_PER_COMMIT: &str = "portreeve_store_writes_per_commit";
const OPEN_INTENTS: &str = "portreeve_open_intents";
const MISSING: &str = "portreeve_missing_references";
const TROUBLE: &str = "portreeve_store_trouble";

static ERRORS: CounterFamily = CounterFamily {
    name: "portreeve_store_errors_total",
    help: "Commits, openings and reads that failed at the medium.",
    labels: &[],
};
static EVENTS: CounterFamily = CounterFamily {
    name: "portreeve_events_total",
    help: "Events recorded, by kind and by how they were learnt.",
    labels: &[
        (
            "kind",
            &[
                "manifest_put",
                "tag_restored",
                "tag_deleted",
                "manifest_deleted",
                "repository_found",
                "repository_gone",
            ],
        ),
        ("source", &["observed", "verified", "swept", "hinted"]),
    ],
};

/// Tells the installed recorder what the store's metrics mean. To be called once, after it was installed.
pub fn describe_metrics() {
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "Time to make one group of writes durable.");
    describe_histogram!(WRITES_PER_COMMIT, Unit::Count, "Writes that shared one durable commit.");
    describe_gauge!(OPEN_INTENTS, Unit::Count, "Manifest writes whose outcome is not recorded yet.");
    describe_gauge!(
        MISSING,
        Unit::Count,
        "Recorded tags and manifests that the registry denies, and whose removal is held."
    );
    for shown in [COMMIT_SECONDS, WRITES_PER_COMMIT] {
        // To be registered is to be shown.
        let _ = histogram!(shown);
    }
    ERRORS.describe();
    describe_gauge!(
        TROUBLE,
        "1 for what keeps the store from being written (gone, replaced, overwritten, unreachable, damaged, medium, database), else 0."
    );
    EVENTS.describe();
}

/// A group of writes is durable.
pub(super) fn committed(took: Duration, writes: usize) {
    histogram!(COMMIT_SECONDS).record(took);
    histogram!(WRITES_PER_COMMIT).record(writes as f64);
}

/// So many intents are open now.
pub(super) fn open_intents(count: usize) {
    gauge!(OPEN_INTENTS).set(count as f64);
}

/// So much is missing at the registry now.
pub(super) fn missing(missing: Missing) {
    gauge!(MISSING, "kind" => "tag").set(missing.tags as f64);
    gauge!(MISSING, "kind" => "manifest").set(missing.manifests as f64);
}

/// The medium failed.
pub(super) fn failed() {
    ERRORS.with([]).increment(1);
}

/// This keeps the store from being written, or nothing does.
pub(super) fn trouble(trouble: Option<StoreTrouble>) {
    use StoreTrouble::{Damaged, Database, Gone, Medium, Overwritten, Replaced, Unreachable};
    for known in [Gone, Replaced, Overwritten, Unreachable, Damaged, Medium, Database] {
        let cause = match known {
            Gone => "gone",
            Replaced => "replaced",
            Overwritten => "overwritten",
            Unreachable => "unreachable",
            Damaged => "damaged",
            Medium => "medium",
            Database => "database",
        };
        let value = if trouble == Some(known) { 1.0 } else { 0.0 };
        gauge!(TROUBLE, "cause" => cause).set(value);
    }
}

/// An event is durable.
pub(super) fn recorded(kind: EventKind, source: Source) {
    EVENTS.with([kind.as_str(), source.as_str()]).increment(1);
}
