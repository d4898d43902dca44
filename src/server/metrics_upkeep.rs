//! What the metrics need now and then while the door runs, and the gauges that somebody has to look for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics::Unit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::store::{Flaw, FlawCounts, Statistics, Store};
use crate::telemetry::Metrics;

/// How often.
const PERIOD: Duration = Duration::from_secs(5);

const EXCHANGES: &str = "portreeve_exchanges";
const OLDEST_INTENT: &str = "portreeve_oldest_open_intent_age_seconds";
const ROWS: &str = "portreeve_store_rows";
const FLAWS: &str = "portreeve_flaws";
const BYTES: &str = "portreeve_store_bytes";
const AVAILABLE_BYTES: &str = "portreeve_store_available_bytes";

/// Describes the gauges of this file to the exporter.
pub(super) fn describe_metrics() {
    metrics::describe_gauge!(EXCHANGES, "Exchanges that are running");
    metrics::describe_gauge!(
        OLDEST_INTENT,
        Unit::Seconds,
        "How long ago the oldest write was announced whose outcome is not recorded yet; 0 where there is none"
    );
    metrics::describe_gauge!(FLAWS, "How much is wrong with what is held, by kind");
    metrics::describe_gauge!(ROWS, "How much the record holds, by kind");
    metrics::describe_gauge!(BYTES, Unit::Bytes, "How long the store's file is");
    metrics::describe_gauge!(
        AVAILABLE_BYTES,
        Unit::Bytes,
        "How much the file system of the store has left for the door"
    );
}

/// Looks again and again at what tells nobody by itself.
pub(super) struct MetricsUpkeep {
    /// Where it is shown.
    pub metrics: Metrics,
    /// What runs.
    pub exchanges: TaskTracker,
    /// The record.
    pub store: Arc<dyn Store>,
    /// Its file, if it has one.
    pub file: Option<PathBuf>,
    /// By which the age of what is in the record is told.
    pub clock: Clock,
}

impl MetricsUpkeep {
    /// Until told to stop, shows what it looks at, and sorts observations into their buckets, so that they do not pile up
    /// between two scrapes.
    pub(super) async fn run(self, stop: CancellationToken) {
        let upkeep = async {
            loop {
                self.look().await;
                tokio::time::sleep(PERIOD).await;
                self.metrics.upkeep();
            }
        };
        stop.run_until_cancelled(upkeep).await;
    }

    async fn look(&self) {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 exchanges")]
        metrics::gauge!(EXCHANGES).set(self.exchanges.len() as f64);
        match self.store.open_intents().await {
            Ok(open) => {
                let begun = open.iter().map(|intent| intent.begun).min();
                let age = begun.map_or(Duration::ZERO, |begun| self.clock.now().since(begun));
                metrics::gauge!(OLDEST_INTENT).set(age.as_secs_f64());
            }
            Err(error) => tracing::debug!(%error, "the age of open intents cannot be shown"),
        }
        match self.store.statistics().await {
            Ok(statistics) => show_rows(&statistics),
            Err(error) => tracing::debug!(%error, "the numbers of rows cannot be shown"),
        }
        match self.store.flaw_counts().await {
            Ok(counts) => show_flaws(&counts),
            Err(error) => tracing::debug!(%error, "the numbers of flaws cannot be shown"),
        }
        let Some(file) = self.file.clone() else { return };
        // A network's file system may keep whoever asks it waiting.
        if let Err(error) = tokio::task::spawn_blocking(move || show_space(&file)).await {
            tracing::debug!(%error, "the store's length and room cannot be shown");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for a graph")]
fn show_rows(statistics: &Statistics) {
    let Statistics { repositories, tags, manifests, events, open_intents, hints, missing: _ } = statistics;
    for (kind, rows) in [
        ("repositories", repositories),
        ("tags", tags),
        ("manifests", manifests),
        ("events", events),
        ("intents", open_intents),
        ("hints", hints),
    ] {
        metrics::gauge!(ROWS, "kind" => kind).set(*rows as f64);
    }
}

#[expect(clippy::cast_precision_loss, reason = "for a graph")]
fn show_flaws(counts: &FlawCounts) {
    for flaw in Flaw::ALL {
        metrics::gauge!(FLAWS, "kind" => flaw.as_str()).set(counts.of(flaw) as f64);
    }
}

/// Blocks. What cannot be looked at stays as it was seen last: that the file is gone is told by `portreeve_store_trouble`.
#[expect(clippy::cast_precision_loss, reason = "for a graph")]
fn show_space(file: &Path) {
    if let Ok(metadata) = std::fs::metadata(file) {
        metrics::gauge!(BYTES).set(metadata.len() as f64);
    }
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(found) = rustix::fs::statvfs(directory) {
        metrics::gauge!(AVAILABLE_BYTES).set((found.f_bavail.saturating_mul(found.f_frsize)) as f64);
    }
}
