//! What moved in a repository: the history as the API tells it, each entry in a line, with what undoes it.

use std::collections::HashSet;

use super::super::deletions;
use super::super::error::ApiError;
use super::super::events::{self, EventItem};
use super::super::parameters::Parameters;
use super::super::state::WebState;
use super::format::{ShortDigest, Time};
use super::links;
use super::rights::{Need, Right};
use super::visit::Visit;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::{EventKind, Source};

/// So many events are read at once: pushes of the parts of an index are among them, which are not shown.
const READ: &str = "100";

/// An entry, written by `templates/history_rows.html`.
pub(super) struct HistoryRow {
    pub icon: &'static str,
    /// What happened, before the names.
    pub verb: &'static str,
    pub tag: Option<Linked>,
    /// Between a tag and its manifest.
    pub joint: &'static str,
    pub digest: Option<ShortDigest>,
    /// What the tag pointed to before.
    pub previous: Option<ShortDigest>,
    pub time: Time,
    pub by: Option<String>,
    /// How it was learnt, where the door did not carry it.
    pub found: Option<&'static str>,
    /// The form that undoes it, where whoever looks may, and nothing newer happened to the same.
    pub undo: Option<Undo>,
}

/// A name that leads to its page.
pub(super) struct Linked {
    pub name: String,
    pub page: String,
}

/// A digest that leads to its page.
pub(super) fn linked_digest(repository: &RepositoryName, digest: &Digest) -> ShortDigest {
    ShortDigest::from(digest).leading_to(links::digest(repository, digest))
}

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

/// What is asked of the history.
#[derive(Clone, Copy)]
pub(super) enum About<'a> {
    /// What happened to the tags of a repository, and what was deleted of it.
    Repository(&'a RepositoryName),
    /// What happened to one tag.
    Tag(&'a RepositoryName, &'a Tag),
}

/// The newest events of this, as the API tells them.
pub(super) async fn newest(
    state: &WebState,
    visit: &Visit,
    about: About<'_>,
) -> Result<Vec<EventItem>, ApiError> {
    let (repository, tag) = match about {
        About::Repository(repository) => (repository, ""),
        About::Tag(repository, tag) => (repository, tag.as_str()),
    };
    let mut parameters =
        Parameters::default().or("repository", repository.as_str()).or("order", "desc").or("n", READ);
    if !tag.is_empty() {
        parameters = parameters.or("tag", tag);
    }
    let events = events::listed(state, visit.viewer.clone(), &parameters).await?;
    Ok(events.list.items)
}

/// At most so many of these events as lines, those that say something: parts of an index come with it.
pub(super) async fn rows(
    state: &WebState,
    visit: &Visit,
    events: &[EventItem],
    limit: usize,
    undoing: Undoing,
) -> Result<Vec<HistoryRow>, ApiError> {
    let mut rows = Vec::new();
    let (mut tags, mut digests): (HashSet<&Tag>, HashSet<&Digest>) = Default::default();
    // Manifests by which single tags were deleted at registries that cannot: what was done is the deletion.
    let mut empty: HashSet<&Digest> = HashSet::new();
    let current = events.first().and_then(|event| event.digest.as_ref());
    let mut offered: HashSet<&Digest> = HashSet::new();
    for (position, event) in events.iter().enumerate() {
        if rows.len() == limit {
            break;
        }
        let is_part = matches!(event.kind, EventKind::ManifestPut) && event.tag.is_none();
        if is_part || event.digest.as_ref().is_some_and(|digest| empty.contains(digest)) {
            continue;
        }
        let mut row = row(event, visit);
        let is_newest = match (&event.tag, &event.digest) {
            (Some(tag), _) => tags.insert(tag),
            (None, Some(digest)) => digests.insert(digest),
            (None, None) => false,
        };
        if event.kind == EventKind::ManifestDeleted
            && let Some(digest) = &event.digest
            && deletions::is_of_deleted_tag(state, &event.repository, digest).await?
        {
            digests.remove(digest);
            continue;
        }
        if event.kind == EventKind::TagDeleted
            && let Some(digest) = &event.digest
            && deletions::is_of_deleted_tag(state, &event.repository, digest).await?
        {
            empty.insert(digest);
            let moved = events[position..].iter().find(|older| {
                older.kind == EventKind::ManifestPut
                    && older.tag == event.tag
                    && older.digest.as_ref() == Some(digest)
            });
            let before = moved.and_then(|moved| moved.previous.as_ref());
            row.previous = before.map(|before| linked_digest(&event.repository, before));
        }
        row.undo = match undoing {
            Undoing::None => None,
            Undoing::Newest | Undoing::All if is_newest => undo(event),
            Undoing::Newest => None,
            // Each manifest once, and not the one that it points to.
            Undoing::All => event
                .digest
                .as_ref()
                .filter(|digest| current != Some(*digest) && offered.insert(*digest))
                .and_then(|digest| point_back(event, digest)),
        };
        rows.push(row);
    }
    Ok(rows)
}

/// Whether whoever looks at the page, at which `parameter` names the repository, may undo what happened there.
pub(super) fn may_undo(visit: &Visit, parameter: &'static str) -> bool {
    let need = Need::to(axum::http::Method::POST, "/api/v1/undelete").of_repository_in(parameter);
    visit.may_change() && visit.right_to(&need) == Right::Granted
}

/// The form that puts this back.
fn form(
    repository: &RepositoryName,
    tag: Option<&Tag>,
    digest: Option<&Digest>,
    label: &'static str,
    description: String,
) -> Undo {
    let digest = digest.map(ToString::to_string).unwrap_or_default();
    let tag = tag.map_or("", Tag::as_str);
    let named = [("repository", repository.as_str()), ("tag", tag), ("digest", &digest)];
    Undo { action: links::to(links::UNDELETE, &named), label, description }
}

/// What points a tag to what it pointed to then.
fn point_back(event: &EventItem, digest: &Digest) -> Option<Undo> {
    let tag = event.tag.as_ref().filter(|_| event.kind == EventKind::ManifestPut)?;
    let description = format!("Point {tag} to {digest}");
    Some(form(&event.repository, Some(tag), Some(digest), "Point back here", description))
}

fn undo(event: &EventItem) -> Option<Undo> {
    let repository = &event.repository;
    match (event.kind, &event.tag, &event.digest, &event.previous) {
        (EventKind::TagDeleted, Some(tag), ..) => {
            Some(form(repository, Some(tag), None, "Bring back", format!("Bring back the tag {tag}")))
        }
        (EventKind::ManifestPut, Some(tag), _, Some(previous)) => {
            let description = format!("Point {tag} to what it was before");
            Some(form(repository, Some(tag), Some(previous), "Undo", description))
        }
        (EventKind::ManifestDeleted, _, Some(digest), _) => {
            let description = format!("Bring back the manifest {digest}");
            Some(form(repository, None, Some(digest), "Bring back", description))
        }
        _ => None,
    }
}

fn row(event: &EventItem, visit: &Visit) -> HistoryRow {
    let repository = &event.repository;
    let linked = |digest: &Option<Digest>| digest.as_ref().map(|digest| linked_digest(repository, digest));
    let is_found = event.source != Source::Observed;
    let (icon, verb, joint) = match event.kind {
        EventKind::ManifestPut if event.previous.is_some() && is_found => ("tag", "Found moved:", "to"),
        EventKind::ManifestPut if event.previous.is_some() => ("tag", "Moved", "to"),
        EventKind::ManifestPut if is_found => ("upload", "Found", "at"),
        EventKind::ManifestPut => ("upload", "Pushed", "as"),
        EventKind::TagRestored => ("refresh-cw", "Back again:", "at"),
        EventKind::TagDeleted if is_found => ("trash-2", "Found gone:", ""),
        EventKind::TagDeleted => ("trash-2", "Deleted", ""),
        EventKind::ManifestDeleted if is_found => ("trash-2", "Found gone: manifest", ""),
        EventKind::ManifestDeleted => ("trash-2", "Deleted the manifest", ""),
        EventKind::RepositoryFound => ("box", "Found the repository, empty", ""),
        EventKind::RepositoryGone => ("trash-2", "The repository went", ""),
    };
    let is_gone = event.kind == EventKind::TagDeleted;
    HistoryRow {
        icon,
        verb,
        tag: event
            .tag
            .as_ref()
            .map(|tag| Linked { name: tag.to_string(), page: links::tag(repository, tag) }),
        joint,
        digest: linked(&event.digest).filter(|_| !is_gone),
        previous: linked(if is_gone { &event.digest } else { &event.previous }),
        time: visit.time(event.time),
        by: event.actor.user.clone(),
        found: match event.source {
            Source::Observed => None,
            Source::Verified => Some("by asking the registry"),
            Source::Swept => Some("by a sweep"),
            Source::Hinted => Some("by a notification"),
        },
        undo: None,
    }
}
