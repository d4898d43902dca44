//! What a change does to the record: the one place that decides it, without I/O and without a clock. A backend reads
//! what [`Held`] asks for, calls [`effect`], and applies the rows and the events in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::row::{BlobRow, Document, ManifestRow, RepositoryRow, TagRow, blobs};
use super::{Actor, Change, Event, EventKind, Sequence, Source};
use crate::clock::Timestamp;
use crate::oci::{Digest, Manifest, MediaType, RepositoryName, Tag};

/// What the record holds about what a change touches, in the change's repository.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// The repository, if it is known.
    pub repository: Option<RepositoryRow>,
    /// The manifest that the change names, if the repository has it.
    pub manifest: Option<Document>,
    /// Of the tags that the change names those that are recorded; for a deleted manifest all tags that point to it.
    pub tags: BTreeMap<Tag, TagRow>,
    /// Of the blobs that a new or a deleted manifest names those that are recorded.
    pub blobs: BTreeMap<Digest, BlobRow>,
}

/// How and when a change was learnt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Learnt<'a> {
    pub source: Source,
    /// Who did it; it counts only for what was observed.
    pub actor: &'a Actor,
    pub now: Timestamp,
}

/// What a change comes to. Nothing at all when the record already says so.
#[derive(Clone, Debug, Default)]
pub(super) struct Effect {
    /// The rows to write, in the change's repository; no two of them are about the same row.
    pub rows: Vec<RowChange>,
    /// The events to append, with consecutive sequence numbers.
    pub events: Vec<Event>,
}

/// One row to write.
#[derive(Clone, Debug)]
pub(super) enum RowChange {
    /// The repository's own row.
    Repository(RepositoryRow),
    /// The repository goes, with every tag, manifest and blob row in it.
    RepositoryRemoved,
    /// A tag points to a manifest.
    Tag {
        tag: Tag,
        row: TagRow,
        /// What it pointed to before, if it was another.
        previous: Option<Digest>,
    },
    /// A tag goes.
    TagRemoved {
        tag: Tag,
        /// What it pointed to.
        digest: Digest,
    },
    /// A manifest that the repository did not have: its content is kept as long as a repository has it.
    Manifest { manifest: Arc<Manifest>, row: ManifestRow },
    /// A manifest goes from the repository.
    ManifestRemoved {
        digest: Digest,
        /// What it was about.
        subject: Option<Digest>,
    },
    /// A blob's row.
    Blob { digest: Digest, row: BlobRow },
    /// No manifest of the repository names the blob any more.
    BlobRemoved { digest: Digest },
}

/// Decides what a change does to the record.
///
/// What was observed always makes an event, since somebody did it just now; the exception is a deletion of what is not
/// recorded. What was found makes events only for what differs, by nobody, and leaves author, time and source of
/// everything else as they are (P6). `next` is the sequence number of the first event that comes of it.
pub(super) fn effect(held: Held, change: &Change, learnt: Learnt<'_>, next: Sequence) -> Effect {
    let draft = |repository| Draft { repository, learnt, next, rows: Vec::new(), events: Vec::new() };
    match change {
        Change::ManifestPut { repository, manifest, tags } => {
            manifest_put(held, draft(repository), manifest, tags)
        }
        Change::TagDeleted { repository, tag } => tag_deleted(held, draft(repository), tag),
        Change::ManifestDeleted { repository, digest } => manifest_deleted(held, draft(repository), digest),
        Change::RepositoryFound { repository } => repository_found(&held, draft(repository)),
        Change::RepositoryGone { repository } => repository_gone(&held, draft(repository)),
    }
}

fn manifest_put(held: Held, mut draft: Draft<'_>, manifest: &Arc<Manifest>, tags: &[Tag]) -> Effect {
    let observed = draft.learnt.source == Source::Observed;
    let differs =
        |tag: &&Tag| observed || held.tags.get(*tag).is_none_or(|row| row.digest != manifest.digest);
    let named: BTreeSet<&Tag> = tags.iter().collect();
    let moved: Vec<&Tag> = named.iter().copied().filter(differs).collect();
    let untagged = named.is_empty() && (observed || held.manifest.is_none());
    if moved.is_empty() && !untagged {
        return Effect::default();
    }
    let mut repository = held.repository.unwrap_or_default();
    if observed {
        repository.last_push = Some(draft.learnt.now);
    }
    let names = blobs(manifest.config.as_ref(), &manifest.layers);
    if held.manifest.is_none() {
        repository.manifests += 1;
        repository.bytes = repository.bytes.wrapping_add(manifest.size());
        for (digest, size) in &names {
            let mut row = held.blobs.get(*digest).cloned().unwrap_or(BlobRow { holders: 0, size: *size });
            if row.holders == 0 {
                repository.bytes = repository.bytes.wrapping_add(row.size);
            }
            row.holders += 1;
            draft.rows.push(RowChange::Blob { digest: (*digest).clone(), row });
        }
        let row = ManifestRow { pushed_at: draft.learnt.now, source: draft.learnt.source };
        draft.rows.push(RowChange::Manifest { manifest: Arc::clone(manifest), row });
    }
    let bytes = names.values().fold(manifest.size(), |sum, size| sum.saturating_add(*size));
    for tag in moved {
        let before = held.tags.get(tag);
        let previous = before.map(|row| &row.digest).filter(|digest| **digest != manifest.digest).cloned();
        if before.is_none() {
            repository.tags += 1;
        }
        let sequence = draft.put(manifest, Some(tag), previous.clone());
        let row = TagRow {
            digest: manifest.digest.clone(),
            media_type: manifest.media_type.clone(),
            bytes,
            platforms: manifest.platforms().map(ToString::to_string).collect(),
            pushed_at: draft.learnt.now,
            pushed_by: draft.actor().user,
            source: draft.learnt.source,
            sequence,
            last_pull: before.and_then(|row| row.last_pull),
            pulls: before.map_or(0, |row| row.pulls),
        };
        draft.rows.push(RowChange::Tag { tag: tag.clone(), row, previous });
    }
    if untagged {
        draft.put(manifest, None, None);
    }
    draft.finish(repository)
}

fn tag_deleted(held: Held, mut draft: Draft<'_>, tag: &Tag) -> Effect {
    let Some(row) = held.tags.get(tag) else {
        return Effect::default();
    };
    let mut repository = held.repository.unwrap_or_default();
    draft.drop_tag(&mut repository, tag, &row.digest);
    draft.finish(repository)
}

fn manifest_deleted(held: Held, mut draft: Draft<'_>, digest: &Digest) -> Effect {
    let Some(document) = &held.manifest else {
        return Effect::default();
    };
    let mut repository = held.repository.unwrap_or_default();
    for tag in held.tags.keys() {
        draft.drop_tag(&mut repository, tag, digest);
    }
    repository.manifests = repository.manifests.saturating_sub(1);
    repository.bytes = repository.bytes.wrapping_sub(document.size);
    for name in document.blobs().into_keys() {
        let Some(BlobRow { holders, size }) = held.blobs.get(name).cloned() else {
            continue;
        };
        if holders > 1 {
            let row = BlobRow { holders: holders - 1, size };
            draft.rows.push(RowChange::Blob { digest: name.clone(), row });
        } else {
            repository.bytes = repository.bytes.wrapping_sub(size);
            draft.rows.push(RowChange::BlobRemoved { digest: name.clone() });
        }
    }
    let subject = document.subject.as_ref().map(|subject| subject.digest.clone());
    draft.rows.push(RowChange::ManifestRemoved { digest: digest.clone(), subject });
    draft.event(EventKind::ManifestDeleted, None, Some(digest.clone()), None, None);
    draft.finish(repository)
}

fn repository_found(held: &Held, mut draft: Draft<'_>) -> Effect {
    if held.repository.is_some() {
        return Effect::default();
    }
    draft.event(EventKind::RepositoryFound, None, None, None, None);
    draft.finish(RepositoryRow::default())
}

fn repository_gone(held: &Held, mut draft: Draft<'_>) -> Effect {
    if held.repository.is_none() {
        return Effect::default();
    }
    draft.rows.push(RowChange::RepositoryRemoved);
    draft.event(EventKind::RepositoryGone, None, None, None, None);
    Effect { rows: draft.rows, events: draft.events }
}

/// An effect in the making.
struct Draft<'a> {
    repository: &'a RepositoryName,
    learnt: Learnt<'a>,
    next: Sequence,
    rows: Vec<RowChange>,
    events: Vec<Event>,
}

impl Draft<'_> {
    /// Who did it: nobody for what was found.
    fn actor(&self) -> Actor {
        match self.learnt.source {
            Source::Observed => self.learnt.actor.clone(),
            Source::Verified | Source::Swept | Source::Hinted => Actor::default(),
        }
    }

    fn put(&mut self, manifest: &Manifest, tag: Option<&Tag>, previous: Option<Digest>) -> Sequence {
        let media_type = Some(manifest.media_type.clone());
        self.event(EventKind::ManifestPut, tag.cloned(), Some(manifest.digest.clone()), previous, media_type)
    }

    fn drop_tag(&mut self, repository: &mut RepositoryRow, tag: &Tag, digest: &Digest) {
        repository.tags = repository.tags.saturating_sub(1);
        self.rows.push(RowChange::TagRemoved { tag: tag.clone(), digest: digest.clone() });
        self.event(EventKind::TagDeleted, Some(tag.clone()), Some(digest.clone()), None, None);
    }

    fn event(
        &mut self,
        kind: EventKind,
        tag: Option<Tag>,
        digest: Option<Digest>,
        previous: Option<Digest>,
        media_type: Option<MediaType>,
    ) -> Sequence {
        let sequence = self.next;
        self.next = sequence.next();
        self.events.push(Event {
            sequence,
            time: self.learnt.now,
            kind,
            source: self.learnt.source,
            repository: self.repository.clone(),
            tag,
            digest,
            previous,
            media_type,
            actor: self.actor(),
        });
        sequence
    }

    fn finish(mut self, repository: RepositoryRow) -> Effect {
        self.rows.push(RowChange::Repository(repository));
        Effect { rows: self.rows, events: self.events }
    }
}

#[cfg(test)]
mod tests;
