//! What undoes an entry of the history: offered only where it would do something, as far as the record knows.

use std::collections::HashSet;

use axum::http::Method;

use super::super::deletions;
use super::super::error::ApiError;
use super::super::events::EventItem;
use super::super::state::WebState;
use super::links;
use super::rights::{Need, Right};
use super::visit::Visit;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::EventKind;

/// A button that undoes something.
pub(super) struct Undo {
    /// Where the form is sent.
    pub action: String,
    pub label: &'static str,
    /// What it does, for those who do not see the line.
    pub description: String,
}

/// What whoever looks may undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undoing {
    None,
    /// What happened last to each tag and manifest.
    Newest,
    /// A tag may be pointed to all that it ever pointed to.
    All,
}

/// Whether whoever looks at the page, at which `parameter` names the repository, may undo what happened there.
pub(super) fn may_undo(visit: &Visit, parameter: &'static str) -> bool {
    let need = Need::to(Method::POST, "/api/v1/undelete").of_repository_in(parameter);
    visit.may_change() && visit.right_to(&need) == Right::Granted
}

/// What undoes the events of a part of the history, the newest first.
pub(super) struct Offers<'a> {
    state: &'a WebState,
    undoing: Undoing,
    events: &'a [EventItem],
    /// Tags of which a newer event was told.
    tags: HashSet<&'a Tag>,
    /// What is brought back, or pointed to, by a newer line.
    tags_back: HashSet<&'a Tag>,
    digests: HashSet<&'a Digest>,
}

impl<'a> Offers<'a> {
    pub(super) fn new(state: &'a WebState, undoing: Undoing, events: &'a [EventItem]) -> Self {
        let mut digests = HashSet::new();
        if undoing == Undoing::All {
            // What the tag points to.
            digests.extend(events.first().and_then(|event| event.digest.as_ref()));
        }
        Self { state, undoing, events, tags: HashSet::new(), tags_back: HashSet::new(), digests }
    }

    /// What undoes the event at this position. `before` is what its tag pointed to, where that is another than it says.
    pub(super) async fn of(
        &mut self,
        position: usize,
        before: Option<&Digest>,
    ) -> Result<Option<Undo>, ApiError> {
        let Some(event) = self.events.get(position) else { return Ok(None) };
        let is_newest = event.tag.as_ref().is_some_and(|tag| self.tags.insert(tag));
        let repository = &event.repository;
        match (self.undoing, event.kind, &event.tag, &event.digest) {
            (Undoing::None, ..) => Ok(None),
            (_, EventKind::TagDeleted, Some(tag), digest) => {
                let is_offered = self.tags_back.insert(tag)
                    && self.is_gone(repository, Reference::Tag(tag.clone())).await?
                    && self.is_known(repository, before.or(digest.as_ref())).await?;
                Ok(is_offered.then(|| bring_back(repository, &Reference::Tag(tag.clone()))))
            }
            (_, EventKind::ManifestDeleted, _, Some(digest)) => {
                let is_offered = self.digests.insert(digest)
                    && self.lacks_something(position, digest).await?
                    && self.is_known(repository, Some(digest)).await?;
                Ok(is_offered.then(|| bring_back(repository, &Reference::Digest(digest.clone()))))
            }
            (_, EventKind::ManifestPut, Some(tag), _) if is_newest => {
                let Some(previous) = &event.previous else { return Ok(None) };
                let description = format!("Point {tag} to what it was before");
                let is_known = self.is_known(repository, Some(previous)).await?;
                Ok(is_known.then(|| point(repository, tag, previous, "Undo", description)))
            }
            (Undoing::All, EventKind::ManifestPut, Some(tag), Some(digest)) => {
                let is_offered =
                    self.digests.insert(digest) && self.is_known(repository, Some(digest)).await?;
                let description = format!("Point {tag} to {digest}");
                Ok(is_offered.then(|| point(repository, tag, digest, "Point back here", description)))
            }
            _ => Ok(None),
        }
    }

    /// Whether a manifest is not there, or one of the tags that went with it: those were told of right before it.
    async fn lacks_something(&self, position: usize, digest: &Digest) -> Result<bool, ApiError> {
        let Some((deletion, older)) = self.events.get(position..).and_then(<[_]>::split_first) else {
            return Ok(false);
        };
        if self.is_gone(&deletion.repository, Reference::Digest(digest.clone())).await? {
            return Ok(true);
        }
        let with_it = older.iter().take_while(|event| {
            event.kind == EventKind::TagDeleted
                && event.time == deletion.time
                && event.digest == deletion.digest
        });
        for tag in with_it.filter_map(|event| event.tag.clone()) {
            if self.is_gone(&deletion.repository, Reference::Tag(tag)).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_gone(&self, repository: &RepositoryName, reference: Reference) -> Result<bool, ApiError> {
        deletions::is_gone(self.state, repository, &reference).await
    }

    /// Where nobody knows which manifest it was, the history may still tell when it is looked through.
    async fn is_known(&self, repository: &RepositoryName, digest: Option<&Digest>) -> Result<bool, ApiError> {
        match digest {
            Some(digest) => deletions::is_known(self.state, repository, digest).await,
            None => Ok(true),
        }
    }
}

/// What brings back a tag or a manifest that was deleted.
pub(super) fn bring_back(repository: &RepositoryName, reference: &Reference) -> Undo {
    let (name, what) = match reference {
        Reference::Tag(_) => ("tag", "the tag"),
        Reference::Digest(_) => ("digest", "the manifest"),
    };
    let text = reference.to_string();
    let named = [("repository", repository.as_str()), (name, &text)];
    Undo {
        action: links::to(links::UNDELETE, &named),
        label: "Bring back",
        description: format!("Bring back {what} {text}"),
    }
}

/// What points a tag to this manifest.
fn point(
    repository: &RepositoryName,
    tag: &Tag,
    digest: &Digest,
    label: &'static str,
    description: String,
) -> Undo {
    let named = [("repository", repository.as_str()), ("tag", tag.as_str()), ("digest", digest.as_str())];
    Undo { action: links::to(links::UNDELETE, &named), label, description }
}
