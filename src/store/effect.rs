//! What a change does to the record: the one place that decides it, without I/O and without a clock. A backend reads
//! what [`Held`] asks for, calls [`effect`], and applies the rows and the events in one transaction.
//!
//! `put` decides about what is there, `gone` about what is not, `missing` about what the registry denies without that
//! being believed yet.

mod gone;
mod missing;
mod put;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::row::{BlobRow, ManifestRow, RepositoryRow, TagRow};
use super::tombstone::{Buried, Past, Tombstone};
use super::{Actor, Change, Event, EventKind, Sequence, Source};
use crate::clock::Timestamp;
use crate::oci::{Digest, Document, Manifest, MediaType, RepositoryName, Tag};

/// What the record holds about what a change touches, in the change's repository.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// The repository, if it is known.
    pub repository: Option<RepositoryRow>,
    /// The manifest that the change names, if the repository has it.
    pub manifest: Option<(ManifestRow, Document)>,
    /// Of the tags that the change names those that are recorded; for a deleted manifest all tags that point to it.
    pub tags: BTreeMap<Tag, TagRow>,
    /// Of the blobs that a new or a deleted manifest names those that are recorded.
    pub blobs: BTreeMap<Digest, BlobRow>,
    /// Of what the change names, and of the repository, the tombstones.
    pub tombstones: BTreeMap<Buried, Tombstone>,
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
    /// What is known of a manifest that it has, beside its content.
    ManifestRow { digest: Digest, row: ManifestRow },
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
    /// Something went without the door having carried that.
    Tombstone { buried: Buried, tombstone: Tombstone },
    /// What was buried is back, or something else has its name now.
    TombstoneRemoved {
        buried: Buried,
        /// When it went.
        at: Timestamp,
    },
}

/// Decides what a change does to the record.
///
/// What was observed always makes an event, since somebody did it just now: also the deletion of what is not recorded.
/// What was found makes events only for what differs, by nobody, and leaves author, time and source of everything else as
/// they are (P6). `next` is the sequence number of the first event that comes of it.
pub(super) fn effect(held: Held, change: &Change, learnt: Learnt<'_>, next: Sequence) -> Effect {
    let draft = |repository| Draft::new(repository, learnt, next, held.repository.clone());
    match change {
        Change::ManifestPut { repository, manifest, tags } => {
            let draft = draft(repository);
            put::manifest(&held, draft, manifest, tags)
        }
        Change::TagDeleted { repository, tag } => {
            let draft = draft(repository);
            gone::tag(&held, draft, tag)
        }
        Change::ManifestDeleted { repository, digest } => {
            let draft = draft(repository);
            gone::manifest(&held, draft, digest)
        }
        Change::ReferenceMissing { repository, reference } => {
            let draft = draft(repository);
            missing::missing(&held, draft, reference)
        }
        Change::ReferencePresent { repository, reference } => {
            let draft = draft(repository);
            missing::present(&held, draft, reference)
        }
        Change::RepositoryFound { repository } => {
            let draft = draft(repository);
            put::repository(&held, draft)
        }
        Change::RepositoryGone { repository } => {
            let draft = draft(repository);
            gone::repository(&held, draft)
        }
    }
}

/// An effect in the making.
struct Draft<'a> {
    name: &'a RepositoryName,
    learnt: Learnt<'a>,
    next: Sequence,
    /// The repository as it will be; absent as long as it is not known.
    repository: Option<RepositoryRow>,
    rows: Vec<RowChange>,
    events: Vec<Event>,
}

impl<'a> Draft<'a> {
    fn new(
        name: &'a RepositoryName,
        learnt: Learnt<'a>,
        next: Sequence,
        repository: Option<RepositoryRow>,
    ) -> Self {
        Self { name, learnt, next, repository, rows: Vec::new(), events: Vec::new() }
    }

    fn is_observed(&self) -> bool {
        self.learnt.source == Source::Observed
    }

    /// Who did it: nobody for what was found.
    fn actor(&self) -> Actor {
        if self.is_observed() { self.learnt.actor.clone() } else { Actor::default() }
    }

    /// Keeps the past of what was found to be gone; what the door itself has deleted leaves none.
    fn bury(&mut self, held: &Held, buried: Buried, past: Past) {
        if self.is_observed() {
            self.forget(held, buried);
        } else {
            // One stone for each name: an earlier one goes, since its place in the order of age is another.
            self.forget(held, buried.clone());
            let tombstone = Tombstone { at: self.learnt.now, past };
            self.rows.push(RowChange::Tombstone { buried, tombstone });
        }
    }

    /// Removes a tombstone, if there is one.
    fn forget(&mut self, held: &Held, buried: Buried) {
        if let Some(Tombstone { at, .. }) = held.tombstones.get(&buried) {
            self.rows.push(RowChange::TombstoneRemoved { buried, at: *at });
        }
    }

    fn event(&mut self, kind: EventKind, about: About) -> Sequence {
        let About { tag, digest, previous, media_type } = about;
        let sequence = self.next;
        self.next = sequence.next();
        self.events.push(Event {
            sequence,
            time: self.learnt.now,
            kind,
            source: self.learnt.source,
            repository: self.name.clone(),
            tag,
            digest,
            previous,
            media_type,
            actor: self.actor(),
        });
        sequence
    }

    fn finish(mut self) -> Effect {
        self.rows.extend(self.repository.map(RowChange::Repository));
        Effect { rows: self.rows, events: self.events }
    }
}

/// What an event speaks of.
#[derive(Default)]
struct About {
    tag: Option<Tag>,
    digest: Option<Digest>,
    previous: Option<Digest>,
    media_type: Option<MediaType>,
}

#[cfg(test)]
mod tests;
