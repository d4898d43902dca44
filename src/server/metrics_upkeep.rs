//! What the metrics need now and then while the door runs.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::telemetry::Metrics;

/// How often.
const PERIOD: Duration = Duration::from_secs(5);

/// Until told to stop, sorts observations into their buckets, so that they do not pile up between two scrapes, and shows how
/// many exchanges run.
pub(super) async fn run(metrics: Metrics, exchanges: TaskTracker, stop: CancellationToken) {
    let upkeep = async {
        loop {
            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 exchanges")]
            metrics::gauge!("portreeve_exchanges").set(exchanges.len() as f64);
            tokio::time::sleep(PERIOD).await;
            metrics.upkeep();
        }
    };
    stop.run_until_cancelled(upkeep).await;
}
