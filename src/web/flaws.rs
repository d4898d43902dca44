//! `GET /api/v1/health`: how much is wrong with what is held, by kind. `GET /api/v1/health?kind=&n=&after=`: what it is.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::list::List;
use super::parameters::{Paging, Parameters};
use super::state::WebState;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::{Flaw, FlawCounts, FlawRecord};

/// Something with which something is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FlawItem {
    pub(super) repository: RepositoryName,
    pub(super) tag: Option<Tag>,
    pub(super) digest: Option<Digest>,
    /// Of what is missing the digests, at most 100.
    pub(super) lacks: Vec<Digest>,
}

impl From<FlawRecord> for FlawItem {
    fn from(FlawRecord { about, lacks }: FlawRecord) -> Self {
        let (tag, digest) = match about.reference {
            Some(Reference::Tag(tag)) => (Some(tag), None),
            Some(Reference::Digest(digest)) => (None, Some(digest)),
            None => (None, None),
        };
        Self { repository: about.repository, tag, digest, lacks }
    }
}

/// How many there are of each kind, or those of one.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what two handlers answer")]
pub(super) enum FlawAnswer {
    Counts(FlawCounts),
    List(List<FlawItem>),
}

/// Shows how many there are of each kind, or lists those of one.
#[utoipa::path(
    get, path = "/api/v1/health", tag = "record",
    params(("kind" = Option<Flaw>, Query, description = "Those of this kind: without it, they are counted."), Paging),
    responses((
        status = 200, description = "How much is wrong with what is held, or what it is.", body = inline(FlawAnswer)
    ))
)]
pub(super) async fn count_or_list(
    State(state): State<WebState>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["kind", "n", "after"])?;
    match parameters.optional::<Flaw>("kind")? {
        Some(kind) => Ok(Json(of_kind(&state, kind, &parameters).await?).into_response()),
        None => {
            if let Some(name) = ["n", "after"].into_iter().find(|name| parameters.text(name).is_some()) {
                let wrong = "it goes with a `kind`".to_owned();
                return Err(ApiError::InvalidParameter { name, source: wrong.into() });
            }
            Ok(Json(counts(&state).await?).into_response())
        }
    }
}

/// How many there are of each kind, as the API and the pages show it.
pub(super) async fn counts(state: &WebState) -> Result<FlawCounts, ApiError> {
    Ok(state.store.flaw_counts().await?)
}

/// Those of one kind.
pub(super) async fn of_kind(
    state: &WebState,
    kind: Flaw,
    parameters: &Parameters<'_>,
) -> Result<List<FlawItem>, ApiError> {
    Ok(List::of(state.store.flawed(kind, parameters.page()?).await?))
}
