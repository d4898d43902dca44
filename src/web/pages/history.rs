//! What moved in a repository: the history as the API tells it, each entry in a line, with what undoes it.

use std::collections::HashSet;

use super::super::deletions;
use super::super::error::ApiError;
use super::super::events::{self, EventItem};
use super::super::parameters::Parameters;
use super::super::state::WebState;
use super::format::{ShortDigest, Time};
use super::links;
use super::undo::{Offers, Undo, Undoing};
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

/// What is asked of the history.
#[derive(Clone, Copy)]
pub(super) enum About<'a> {
    /// What happened to the tags of a repository, and what was deleted of it.
    Repository(&'a RepositoryName),
    /// What happened to one tag.
    Tag(&'a RepositoryName, &'a Tag),
    /// What happened to one manifest.
    Manifest(&'a RepositoryName, &'a Digest),
}

/// The newest events of this, as the API tells them.
pub(super) async fn newest(
    state: &WebState,
    visit: &Visit,
    about: About<'_>,
) -> Result<Vec<EventItem>, ApiError> {
    let (repository, named) = match about {
        About::Repository(repository) => (repository, None),
        About::Tag(repository, tag) => (repository, Some(("tag", tag.as_str()))),
        About::Manifest(repository, digest) => (repository, Some(("digest", digest.as_str()))),
    };
    let mut parameters =
        Parameters::default().or("repository", repository.as_str()).or("order", "desc").or("n", READ);
    if let Some((name, value)) = named {
        parameters = parameters.or(name, value);
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
    let mut offers = Offers::new(state, undoing, events);
    // Manifests by which single tags were deleted at registries that cannot: what was done is the deletion.
    let mut empty: HashSet<&Digest> = HashSet::new();
    for (position, event) in events.iter().enumerate() {
        if rows.len() == limit {
            break;
        }
        let is_part = matches!(event.kind, EventKind::ManifestPut) && event.tag.is_none();
        if is_part || event.digest.as_ref().is_some_and(|digest| empty.contains(digest)) {
            continue;
        }
        let is_deletion = matches!(event.kind, EventKind::ManifestDeleted | EventKind::TagDeleted);
        let mut before = None;
        if is_deletion
            && let Some(digest) = &event.digest
            && deletions::is_of_deleted_tag(state, &event.repository, digest).await?
        {
            if event.kind == EventKind::ManifestDeleted {
                continue;
            }
            empty.insert(digest);
            let moved = events[position..].iter().find(|older| {
                older.kind == EventKind::ManifestPut
                    && older.tag == event.tag
                    && older.digest.as_ref() == Some(digest)
            });
            before = moved.and_then(|moved| moved.previous.as_ref());
        }
        let mut row = row(event, visit);
        if let Some(before) = before {
            row.previous = Some(ShortDigest::of(&event.repository, before));
        }
        row.undo = offers.of(position, before).await?;
        rows.push(row);
    }
    Ok(rows)
}

fn row(event: &EventItem, visit: &Visit) -> HistoryRow {
    let repository = &event.repository;
    let linked = |digest: &Option<Digest>| digest.as_ref().map(|digest| ShortDigest::of(repository, digest));
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
