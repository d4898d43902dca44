//! `/ui/delete?repository=`, with `tag=` or `digest=`, or for all of it: what exactly would go, and the form that does it.
//! `POST /ui/undelete?repository=&tag=&digest=` puts back. Both do what the routes of the API do.

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::{Html, IntoResponse, Response};

use super::super::deletions;
use super::super::error::ApiError;
use super::super::parameters::Parameters;
use super::super::preview::DeletionPreview;
use super::super::state::WebState;
use super::super::writer::Writer;
use super::super::{manifests, repositories};
use super::error::PageError;
use super::format::Number;
use super::icon::Icon;
use super::layout::{Layout, Section};
use super::links;
use super::redirect::see_other;
use super::rights::{Need, Right};
use super::visit::{Visit, rendered};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::sync::Undeletion;

/// So many names are listed.
const NAMED: usize = 200;

/// What the address of the page names.
struct Doomed {
    repository: RepositoryName,
    /// Nothing for all of it.
    reference: Option<Reference>,
}

#[derive(Template)]
#[template(path = "delete.html", config = "src/web/pages/templates/askama.toml")]
struct DeletePage {
    layout: Layout,
    /// Where the form is sent: the page itself.
    action: String,
    /// What leads back.
    back: String,
    what: &'static str,
    name: String,
    /// As the command says it.
    preview: String,
    goes: Vec<String>,
    stays: Vec<String>,
    /// How many more names there are than are listed.
    more: Number,
    /// What refers to it.
    referrers: Number,
    /// Why it was not deleted.
    failed: Option<String>,
}

/// Whether whoever looks may delete what this route of the API deletes, of the repository that `parameter` names.
pub(super) fn may_delete(visit: &Visit, route: &'static str, parameter: &'static str) -> bool {
    let need = Need::to(Method::DELETE, route).of_repository_in(parameter);
    visit.may_change() && visit.right_to(&need) == Right::Granted
}

impl Doomed {
    fn read(query: &str) -> Result<Self, ApiError> {
        let parameters = Parameters::parse(Some(query), &["repository", "tag", "digest"])?;
        let repository = parameters.required("repository")?;
        let reference = match (parameters.optional::<Tag>("tag")?, parameters.optional::<Digest>("digest")?) {
            (Some(_), Some(_)) => {
                let wrong = "a manifest is deleted by its `digest`, or one `tag` of it, not both".into();
                return Err(ApiError::InvalidParameter { name: "tag", source: wrong });
            }
            (tag, digest) => tag.map(Reference::Tag).or(digest.map(Reference::Digest)),
        };
        Ok(Self { repository, reference })
    }
}

/// Shows what would go.
pub(super) async fn ask(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let doomed = Doomed::read(&visit.query)?;
    rendered(&page(&state, &visit, &doomed, None).await?)
}

/// Deletes it, and leads to what is left. What is not deleted is asked for again, with the reason.
pub(super) async fn delete(
    State(state): State<WebState>,
    visit: Visit,
    Writer(context): Writer,
) -> Result<Response, PageError> {
    let doomed = Doomed::read(&visit.query)?;
    let Doomed { repository, reference } = &doomed;
    let deleted = match reference.clone() {
        Some(Reference::Tag(tag)) => {
            deletions::tag_deleted(&state, &context, repository.clone(), tag).await.map(|_| ())
        }
        Some(Reference::Digest(digest)) => {
            deletions::manifest_deleted(&state, &context, repository.clone(), digest).await.map(|_| ())
        }
        None => match deletions::emptied(&state, &context, repository.clone()).await {
            Ok(part) if part.is_empty => Ok(()),
            // There is more of it: the page shows how much.
            Ok(part) if part.manifests + part.tags > 0 => {
                return Ok(see_other(&links::delete(repository, None)));
            }
            Ok(_) => {
                let left = "The registry does not have what is left, and is asked about it.".to_owned();
                return rendered(&page(&state, &visit, &doomed, Some(left)).await?);
            }
            Err(error) => Err(error),
        },
    };
    match (deleted, reference) {
        (Ok(()), Some(reference)) => Ok(see_other(&links::reference(repository, reference))),
        (Ok(()), None) => Ok(see_other(&links::repository(repository))),
        (Err(error), _) => {
            let error = PageError::from(error);
            // What cannot be shown any more says so itself.
            let Ok(page) = page(&state, &visit, &doomed, Some(error.message.clone())).await else {
                return Err(error);
            };
            Ok((error.status, Html(page.render()?)).into_response())
        }
    }
}

/// Puts back, and leads to what was put back.
pub(super) async fn undelete(
    State(state): State<WebState>,
    visit: Visit,
    Writer(context): Writer,
) -> Result<Response, PageError> {
    let parameters = Parameters::parse(Some(&visit.query), &["repository", "tag", "digest"])?;
    let repository: RepositoryName = parameters.required("repository")?;
    let (tag, digest) = (parameters.optional::<Tag>("tag")?, parameters.optional::<Digest>("digest")?);
    let undeletion = match (tag.clone(), digest) {
        (Some(tag), digest) => Undeletion::Tag { tag, digest },
        (None, Some(digest)) => Undeletion::Manifest { digest },
        (None, None) => return Err(ApiError::MissingParameter { name: "tag" }.into()),
    };
    let put_back = deletions::put_back(&state, context, repository.clone(), undeletion).await?;
    let reference = tag.map_or(Reference::Digest(put_back.digest), Reference::Tag);
    Ok(see_other(&links::restored(&repository, &reference)))
}

async fn page(
    state: &WebState,
    visit: &Visit,
    doomed: &Doomed,
    failed: Option<String>,
) -> Result<DeletePage, ApiError> {
    let Doomed { repository, reference } = doomed;
    let mut referrers = Number(0);
    let (preview, goes) = match reference.clone() {
        None => {
            let found = repositories::one(state, &visit.viewer, repository).await?;
            let counts = found.tags.zip(found.manifests);
            (DeletionPreview::Repository { repository: repository.clone(), counts }, Vec::new())
        }
        Some(reference) => {
            let item = manifests::one(state, repository, reference.clone()).await?;
            let first = item.referrers.map_or(0, |referrers| referrers.first.len());
            referrers = Number(u64::try_from(first).unwrap_or(u64::MAX));
            let (repository, digest, tags) = (repository.clone(), item.record.digest, item.record.tags);
            match reference {
                Reference::Tag(tag) => (DeletionPreview::Tag { repository, tag, digest, tags }, Vec::new()),
                Reference::Digest(_) => {
                    let goes = tags.iter().map(ToString::to_string).collect();
                    (DeletionPreview::Manifest { repository, digest, tags }, goes)
                }
            }
        }
    };
    let (what, name) = match reference {
        None => ("all of", repository.to_string()),
        Some(Reference::Tag(tag)) => ("the tag", format!("{repository}:{tag}")),
        Some(Reference::Digest(digest)) => ("the manifest", format!("{repository}@{digest}")),
    };
    let stays: Vec<String> = preview.staying().into_iter().map(ToString::to_string).collect();
    let more = goes.len().max(stays.len()).saturating_sub(NAMED);
    let listed = |names: Vec<String>| names.into_iter().take(NAMED).collect();
    Ok(DeletePage {
        layout: visit.layout(Section::Repositories, &format!("Delete {name}")),
        action: links::delete(repository, reference.as_ref()),
        back: reference
            .as_ref()
            .map_or_else(|| links::repository(repository), |named| links::reference(repository, named)),
        what,
        name,
        preview: preview.to_string(),
        goes: listed(goes),
        stays: listed(stays),
        more: Number(u64::try_from(more).unwrap_or(u64::MAX)),
        referrers,
        failed,
    })
}
