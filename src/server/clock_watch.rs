//! What the door knows of clocks from run to run: whether its own has held, and how far the registry's is off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Estimate, RetentionClock, Timestamp};
use crate::registry::RegistrySettings;
use crate::store::{Clocks, StoreError};
use crate::web::ClockStatus;

/// How often the clocks are looked at.
const PERIOD: Duration = Duration::from_secs(5);
/// After how many looks the time is stored: every minute.
const LOOKS_PER_SAVED_TIME: u32 = 12;
/// How often the estimate of the registry's clock is stored.
const SAVE_ESTIMATE: Duration = Duration::from_mins(10);

/// What the last run knew of the registry's clock. A store that cannot be read knows nothing.
pub(super) async fn saved_estimate(store: &dyn Clocks) -> Option<Estimate> {
    store.kept_clock().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "what was known of the registry's clock cannot be read; it is found out anew");
        None
    })
}

/// The clock by which what is old is deleted, with what the last run knew of whether its time is right.
pub(super) async fn retention_clock(store: &dyn Clocks, clock: Clock) -> Arc<RetentionClock> {
    let last = async {
        Ok::<_, StoreError>(match store.kept_time().await? {
            Some(last) => Some(last),
            // Older versions stored the estimate of the registry's clock alone, which has a time of the door's.
            None => store.kept_clock().await?.map(|estimate| estimate.at),
        })
    };
    let last = last.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the last time of the door's clock cannot be read; for an hour nothing is deleted because it is old");
        Some(Timestamp::from_milliseconds(0))
    });
    Arc::new(RetentionClock::new(clock, last))
}

/// Looks at the door's clock until told to stop, and stores the time that has held for the next run.
pub(super) async fn watch_own(clock: Arc<RetentionClock>, store: Arc<dyn Clocks>, stop: CancellationToken) {
    let save = async || {
        if let Err(error) = store.keep_time(clock.last_confirmed()).await {
            tracing::debug!(%error, "the time cannot be stored");
        }
    };
    let watching = async {
        loop {
            save().await;
            for _ in 0..LOOKS_PER_SAVED_TIME {
                tokio::time::sleep(PERIOD).await;
                clock.now();
            }
        }
    };
    stop.run_until_cancelled(watching).await;
    save().await;
}

/// Shows until told to stop how far the registry's clock is off, and warns when that becomes more than `warn`.
pub(super) async fn watch_registry(
    registry: RegistrySettings,
    warn: Duration,
    store: Arc<dyn Clocks>,
    stop: CancellationToken,
) {
    let estimate = || registry.offset.seen_from(registry.clock);
    let watching = async {
        let mut has_warned = false;
        let mut saved = Instant::now();
        loop {
            tokio::time::sleep(PERIOD).await;
            let Some(estimate) = estimate() else { continue };
            if saved.elapsed() > SAVE_ESTIMATE {
                saved = Instant::now();
                save_estimate(store.as_ref(), estimate).await;
            }
            has_warned = show(estimate, warn, has_warned);
        }
    };
    stop.run_until_cancelled(watching).await;
    if let Some(estimate) = estimate() {
        save_estimate(store.as_ref(), estimate).await;
    }
}

/// Shows an estimate in the metrics, and in the log where it has come to be beyond `warn`, or to be within it again. Answers
/// whether it is beyond.
fn show(estimate: Estimate, warn: Duration, has_warned: bool) -> bool {
    let ClockStatus { offset_seconds, bound_seconds } = estimate.into();
    metrics::gauge!("portreeve_registry_clock_offset_seconds").set(offset_seconds);
    metrics::gauge!("portreeve_registry_clock_offset_bound_seconds").set(bound_seconds);
    let is_beyond = !warn.is_zero() && estimate.is_beyond(warn);
    if is_beyond && !has_warned {
        tracing::warn!(
            offset_seconds,
            bound_seconds,
            "the registry's clock is off by more than clock.warn; tokens work all the same"
        );
    } else if has_warned && !is_beyond {
        tracing::info!(offset_seconds, bound_seconds, "the registry's clock is right again");
    }
    is_beyond
}

async fn save_estimate(store: &dyn Clocks, estimate: Estimate) {
    if let Err(error) = store.keep_clock(estimate).await {
        tracing::debug!(%error, "what is known of the registry's clock cannot be stored");
    }
}
