//! `GET /api/v1/statistics?days=`: how much there is, what happened on each day, what takes the most room, and how much is wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use tokio::sync::Mutex;

use super::error::ApiError;
use super::parameters::Parameters;
use super::state::WebState;
use crate::oci::{Digest, RepositoryName};
use crate::store::{BlobPlace, BlobRecord, DayRecord, FlawCounts, Numbers, PageRequest, StoreError, Totals};

/// How many days are shown if the caller does not say.
const DEFAULT_DAYS: usize = 30;
/// How many days are shown at most: so many are kept.
const MAXIMUM_DAYS: usize = 400;
/// How many of the largest blobs are shown.
const LARGEST: usize = 20;
/// How many are kept while all blobs are looked at: one that several repositories have stands there once for each.
const CANDIDATES: usize = 100;
/// How many blobs are looked at between two turns of others.
const PART: usize = 10_000;
/// How long what was found stays as it is: to look at all blobs takes a second for each million or two.
const KEPT: Duration = Duration::from_mins(5);

/// The statistics.
#[derive(Debug, Serialize)]
pub(super) struct Statistics {
    totals: Totals,
    events: u64,
    /// The latest first.
    days: Vec<DayItem>,
    /// The largest first; as they were found at most five minutes ago.
    largest_blobs: Arc<Vec<BlobItem>>,
    health: FlawCounts,
}

/// One day.
#[derive(Debug, Serialize)]
struct DayItem {
    /// As `2026-11-27`, in UTC.
    day: String,
    pushes: u64,
    pulls: u64,
    deletions: u64,
    /// How much there was at its end, or is by now.
    #[serde(flatten)]
    totals: Totals,
}

/// A large blob.
#[derive(Clone, Debug, Serialize)]
struct BlobItem {
    digest: Digest,
    size: u64,
    /// One of the repositories whose manifests name it.
    repository: RepositoryName,
    /// How many manifests of that repository do.
    manifests: u64,
}

impl From<DayRecord> for DayItem {
    fn from(DayRecord { begins, pushes, pulls, deletions, totals }: DayRecord) -> Self {
        let mut day = begins.to_string();
        day.truncate("2026-11-27".len());
        Self { day, pushes, pulls, deletions, totals }
    }
}

impl From<BlobRecord> for BlobItem {
    fn from(BlobRecord { place, size, holders }: BlobRecord) -> Self {
        let BlobPlace { repository, digest } = place;
        Self { digest, size, repository, manifests: holders }
    }
}

/// The largest blobs as they were last found. Whoever asks meanwhile waits for that.
#[derive(Debug, Default)]
pub struct LargestBlobs(Mutex<Option<(Instant, Arc<Vec<BlobItem>>)>>);

impl LargestBlobs {
    async fn get(&self, store: &dyn Numbers) -> Result<Arc<Vec<BlobItem>>, StoreError> {
        let mut kept = self.0.lock().await;
        if let Some((found, blobs)) = &*kept
            && found.elapsed() < KEPT
        {
            return Ok(Arc::clone(blobs));
        }
        let blobs = Arc::new(find(store).await?);
        *kept = Some((Instant::now(), Arc::clone(&blobs)));
        Ok(blobs)
    }
}

/// Looks at all blobs, part by part.
async fn find(store: &dyn Numbers) -> Result<Vec<BlobItem>, StoreError> {
    let mut largest: Vec<BlobRecord> = Vec::new();
    let mut after = None;
    loop {
        let page = store.largest_blobs(PageRequest { after, limit: PART }, CANDIDATES).await?;
        for blob in page.items {
            // The same blob in another repository is no other blob.
            if !largest.iter().any(|kept| kept.place.digest == blob.place.digest) {
                largest.push(blob);
            }
        }
        largest.sort_by(|one, other| other.size.cmp(&one.size).then_with(|| one.place.cmp(&other.place)));
        largest.truncate(CANDIDATES);
        after = page.next;
        if after.is_none() {
            largest.truncate(LARGEST);
            return Ok(largest.into_iter().map(BlobItem::from).collect());
        }
    }
}

/// Shows the statistics.
pub(super) async fn show(
    State(state): State<WebState>,
    RawQuery(query): RawQuery,
) -> Result<Json<Statistics>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["days"])?;
    let days = match parameters.text("days") {
        None => DEFAULT_DAYS,
        Some(text) => {
            text.parse().ok().filter(|days| (1..=MAXIMUM_DAYS).contains(days)).ok_or_else(|| {
                let wrong = format!("it must be a whole number from 1 to {MAXIMUM_DAYS}");
                ApiError::InvalidParameter { name: "days", source: wrong.into() }
            })?
        }
    };
    let store = &*state.store;
    Ok(Json(Statistics {
        totals: store.totals().await?,
        events: store.statistics().await?.events,
        days: store.days(days).await?.into_iter().map(DayItem::from).collect(),
        largest_blobs: state.largest_blobs.get(store).await?,
        health: store.flaw_counts().await?,
    }))
}
