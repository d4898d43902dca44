//! `GET /api/v1/manifests?repository=&digest=`, or `&tag=`; without both the list, with `n` and `after`, and with `subject` of those that
//! refer to one.
//!
//! A manifest may have megabytes, so lists leave out what only a single one needs.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use utoipa::ToSchema;

use super::error::ApiError;
use super::list::List;
use super::manifest_item::{Manifest, ManifestItem};
use super::manifest_reader::ManifestReader;
use super::parameters::{Paging, Parameters};
use super::state::WebState;
use crate::oci::{Digest, Reference, RepositoryName, Tag};

/// One manifest, or a list of them.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what two handlers answer")]
pub(super) enum ManifestAnswer {
    One(Box<Manifest>),
    List(List<Manifest>),
}

/// Shows one manifest, or lists those of a repository.
#[utoipa::path(
    get, path = "/api/v1/manifests", tag = "record",
    params(
        ("repository" = RepositoryName, Query, description = "In which repository."),
        ("digest" = Option<Digest>, Query, description = "One manifest, whole: without it, they are listed."),
        ("tag" = Option<Tag>, Query, description = "The same by a tag that points to it."),
        ("subject" = Option<Digest>, Query, description = "Those only that refer to this one."),
        Paging
    ),
    responses((
        status = 200, description = "One manifest, or manifests in bytewise order of their digests.",
        body = inline(ManifestAnswer)
    ))
)]
pub(super) async fn list_or_show(
    State(state): State<WebState>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let parameters =
        Parameters::parse(query.as_deref(), &["repository", "digest", "tag", "subject", "n", "after"])?;
    let repository: RepositoryName = parameters.required("repository")?;
    let digest = parameters.optional("digest")?;
    let tag: Option<Tag> = parameters.optional("tag")?;
    if digest.is_some() && tag.is_some() {
        let wrong = "a manifest is named by its `digest` or by a `tag`, not by both".to_owned();
        return Err(ApiError::InvalidParameter { name: "tag", source: wrong.into() });
    }
    if (digest.is_some() || tag.is_some())
        && let Some(name) = ["subject", "n", "after"].into_iter().find(|name| parameters.text(name).is_some())
    {
        let wrong = "it goes with the list, not with one `digest` or `tag`".to_owned();
        return Err(ApiError::InvalidParameter { name, source: wrong.into() });
    }
    let (subject, page) = (parameters.optional("subject")?, parameters.page()?);
    // Until the answer is written.
    let reader = ManifestReader::wait(&state).await?;
    let named = tag.map(Reference::Tag).or(digest.map(Reference::Digest));
    match named {
        Some(reference) => Ok(Json(reader.one(&repository, reference).await?).into_response()),
        None => {
            let page = reader.list(&repository, subject.as_ref(), page).await?;
            Ok(Json(List::<ManifestItem>::of(page)).into_response())
        }
    }
}
