//! `GET /api/v1/repositories?q=&n=&after=`

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;

use super::WebState;
use super::error::ApiError;
use super::list::List;
use super::parameters::Parameters;
use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::store::{Missing, RepositoryRecord};

/// A repository.
#[derive(Debug, Serialize)]
pub(super) struct Repository {
    name: RepositoryName,
    tags: u64,
    manifests: u64,
    /// Each manifest and blob counted once.
    bytes: u64,
    last_push: Option<Timestamp>,
    last_pull: Option<Timestamp>,
    /// Through the door.
    pulls: u64,
    /// What of it the registry denies, and is held.
    missing: Missing,
}

impl From<RepositoryRecord> for Repository {
    fn from(record: RepositoryRecord) -> Self {
        let RepositoryRecord { name, tags, manifests, bytes, last_push, last_pull, pulls, missing } = record;
        Self { name, tags, manifests, bytes, last_push, last_pull, pulls, missing }
    }
}

/// Lists repositories, those only whose name contains `q` if it is given.
pub(super) async fn list(
    State(state): State<WebState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Repository>>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["q", "n", "after"])?;
    let containing = parameters.text("q").filter(|text| !text.is_empty());
    let page = state.store.repositories(containing, parameters.page()?).await?;
    Ok(List::of(page))
}
