//! `/ui/delete?repository=`, with `tag=` or `digest=`, with `what=tags` and several `tag=`, or for all of it: what exactly would go, and
//! the form that does it. `POST /ui/undelete?repository=&tag=&digest=` puts back. Both do what the routes of the API do.

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use super::super::deletions::{self, Deleted};
use super::super::error::ApiError;
use super::super::parameters::Parameters;
use super::super::state::WebState;
use super::super::writer::Writer;
use super::doomed::{Doomed, Named};
use super::error::PageError;
use super::format::counted;
use super::icon::Icon;
use super::layout::{Layout, Section};
use super::links;
use super::redirect::see_other;
use super::rights::{Need, Right};
use super::visit::{Visit, rendered};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::sync::{Undeletion, WriteContext};

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
    goes: Named,
    stays: Named,
    /// What refers to it, in words.
    referrers: Option<String>,
    notice: Option<Notice>,
}

/// What has come of an attempt to delete it.
struct Notice {
    level: &'static str,
    words: String,
}

/// Whether whoever looks may delete what this route of the API deletes, of the repository that `parameter` names.
pub(super) fn may_delete(visit: &Visit, route: &'static str, parameter: &'static str) -> bool {
    let need = Need::to(Method::DELETE, route).of_repository_in(parameter);
    visit.may_change() && visit.right_to(&need) == Right::Granted
}

/// Shows what would go.
pub(super) async fn ask(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let (doomed, has_begun) = Doomed::read(&visit.query)?;
    let words = "A part of it is deleted. This is what is left: go on to delete it, too.";
    let notice = has_begun.then(|| Notice { level: "warning", words: words.to_owned() });
    rendered(&page(&state, &visit, &doomed, notice).await?)
}

/// Deletes it, and leads to what is left. What is not deleted is asked for again, with the reason.
pub(super) async fn delete(
    State(state): State<WebState>,
    visit: Visit,
    Writer(context): Writer,
) -> Result<Response, PageError> {
    let (doomed, _) = Doomed::read(&visit.query)?;
    match doomed {
        Doomed::One(repository, reference) => {
            delete_one(&state, &visit, &context, repository, reference).await
        }
        Doomed::Tags(repository, tags) => delete_tags(&state, &visit, &context, repository, tags).await,
        Doomed::All(repository) => delete_all(&state, &visit, &context, repository).await,
    }
}

async fn delete_one(
    state: &WebState,
    visit: &Visit,
    context: &WriteContext,
    repository: RepositoryName,
    reference: Reference,
) -> Result<Response, PageError> {
    let of = repository.clone();
    let deleted = match reference.clone() {
        Reference::Tag(tag) => deletions::tag_deleted(state, context, of, tag).await.map(|_| ()),
        Reference::Digest(digest) => {
            deletions::manifest_deleted(state, context, of, digest).await.map(|_| ())
        }
    };
    match deleted {
        Ok(()) => Ok(see_other(&links::reference(&repository, &reference))),
        Err(error) => {
            not_deleted(state, visit, &Doomed::One(repository, reference), error, "Not deleted.").await
        }
    }
}

/// Each tag by itself: those that are not deleted are asked for again.
async fn delete_tags(
    state: &WebState,
    visit: &Visit,
    context: &WriteContext,
    repository: RepositoryName,
    tags: Vec<Tag>,
) -> Result<Response, PageError> {
    let all = tags.len();
    let outcomes = deletions::tags_deleted(state, context, &repository, tags).await;
    let failed: Vec<_> =
        outcomes.into_iter().filter_map(|outcome| Some((outcome.tag, outcome.error?))).collect();
    let Some((first, error)) = failed.first() else {
        return Ok(see_other(&links::repository(&repository)));
    };
    let begin = match all - failed.len() {
        0 => "Not deleted.".to_owned(),
        done => format!("{} deleted; the others are not.", counted(done as u64, "tag")),
    };
    let words = format!("{begin} {first}: {}.", error.message);
    let doomed = Doomed::Tags(repository, failed.into_iter().map(|(tag, _)| tag).collect());
    let page = page(state, visit, &doomed, Some(Notice { level: "bad", words })).await;
    match ApiError::nothing_if_unknown(page)? {
        Some(page) => Ok((StatusCode::BAD_GATEWAY, Html(page.render()?)).into_response()),
        // They are gone meanwhile.
        None => Ok(see_other(&doomed.back())),
    }
}

async fn delete_all(
    state: &WebState,
    visit: &Visit,
    context: &WriteContext,
    repository: RepositoryName,
) -> Result<Response, PageError> {
    let mut deleted = Deleted::default();
    let is_empty = deletions::emptied(state, context, &repository, &mut deleted).await;
    let has_begun = deleted != Deleted::default();
    let Deleted { manifests, tags } = deleted;
    let so_far = [counted(manifests as u64, "manifest"), counted(tags as u64, "tag")].join(" and ");
    match is_empty {
        Ok(true) => Ok(see_other(&links::repository(&repository))),
        Ok(false) if has_begun => Ok(see_other(&links::delete_rest(&repository))),
        Ok(false) => {
            let words = "Not deleted. The registry does not have what is left, and is asked about it.";
            let notice = Notice { level: "bad", words: words.to_owned() };
            rendered(&page(state, visit, &Doomed::All(repository), Some(notice)).await?)
        }
        Err(error) => {
            let begin = match has_begun {
                true => format!("{so_far} deleted; what is left is not."),
                false => "Not deleted.".to_owned(),
            };
            not_deleted(state, visit, &Doomed::All(repository), error, &begin).await
        }
    }
}

/// The page again, with the reason.
async fn not_deleted(
    state: &WebState,
    visit: &Visit,
    doomed: &Doomed,
    error: ApiError,
    begin: &str,
) -> Result<Response, PageError> {
    let error = PageError::from(error);
    let notice = Notice { level: "bad", words: format!("{begin} {}", error.message) };
    // What is not there any more says so itself.
    match ApiError::nothing_if_unknown(page(state, visit, doomed, Some(notice)).await)? {
        Some(page) => Ok((error.status, Html(page.render()?)).into_response()),
        None => Err(error),
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
    notice: Option<Notice>,
) -> Result<DeletePage, ApiError> {
    let preview = doomed.preview(state, visit).await?;
    let (what, name) = doomed.in_words();
    Ok(DeletePage {
        layout: visit.layout(Section::Repositories, &format!("Delete {what} {name}")),
        action: doomed.page(),
        back: doomed.back(),
        what,
        name,
        preview: preview.words,
        goes: preview.goes,
        stays: preview.stays,
        referrers: preview.referrers,
        notice,
    })
}
