//! `GET /api/v1/statistics?days=`: how much there is, what happened on each day, what takes the most room, and how much is wrong.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::largest_blobs::BlobItem;
use super::parameters::Parameters;
use super::state::WebState;
use crate::store::{ByHour, DayRecord, FlawCounts, Totals};

/// How many days are shown if the caller does not say.
const DEFAULT_DAYS: usize = 30;
/// How many days are shown at most: so many are kept.
pub(super) const MAXIMUM_DAYS: usize = 400;

/// The statistics.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Statistics {
    pub(super) totals: Totals,
    pub(super) events: u64,
    /// The latest first.
    pub(super) days: Vec<DayItem>,
    /// The largest first; as they were found at most five minutes ago.
    #[schema(value_type = Vec<BlobItem>)]
    pub(super) largest_blobs: Arc<Vec<BlobItem>>,
    pub(super) health: FlawCounts,
}

/// One day.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DayItem {
    /// As `2026-11-27`, in UTC.
    pub(super) day: String,
    pub(super) pushes: u64,
    pub(super) pulls: u64,
    pub(super) deletions: u64,
    /// The pushes by the hour, from midnight UTC on; those are missing that an older door counted.
    #[schema(value_type = Vec<u64>, min_items = 24, max_items = 24)]
    pub(super) pushes_by_hour: ByHour,
    /// The same of the pulls.
    #[schema(value_type = Vec<u64>, min_items = 24, max_items = 24)]
    pub(super) pulls_by_hour: ByHour,
    /// How much there was at its end, or is by now.
    #[serde(flatten)]
    pub(super) totals: Totals,
}

impl From<DayRecord> for DayItem {
    fn from(record: DayRecord) -> Self {
        let DayRecord { begins, pushes, pulls, deletions, pushes_by_hour, pulls_by_hour, totals } = record;
        let mut day = begins.to_string();
        day.truncate("2026-11-27".len());
        Self { day, pushes, pulls, deletions, pushes_by_hour, pulls_by_hour, totals }
    }
}

/// Shows the statistics.
#[utoipa::path(
    get, path = "/api/v1/statistics", tag = "record",
    params(("days" = Option<u16>, Query, description = "How many days are shown.", minimum = 1, maximum = 400)),
    responses((status = 200, description = "How much there is, and what happened.", body = Statistics))
)]
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
    read(&state, days).await.map(Json)
}

/// How much there is now.
pub(super) async fn totals(state: &WebState) -> Result<Totals, ApiError> {
    Ok(state.store.totals().await?)
}

/// What happened on the last days on which something did.
pub(super) async fn days(state: &WebState, days: usize) -> Result<Vec<DayItem>, ApiError> {
    Ok(state.store.days(days).await?.into_iter().map(DayItem::from).collect())
}

async fn read(state: &WebState, days: usize) -> Result<Statistics, ApiError> {
    let store = &*state.store;
    Ok(Statistics {
        totals: totals(state).await?,
        events: store.statistics().await?.events,
        days: self::days(state, days).await?,
        largest_blobs: state.largest_blobs.get(store).await?,
        health: store.flaw_counts().await?,
    })
}
