//! What is held about what a change touches, what the change comes to, and an effect in the making.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::oci::{Digest, Document, Manifest, MediaType, RepositoryName, Tag};
use crate::store::row::{BlobRow, ManifestRow, RepositoryRow, TagRow};
use crate::store::tombstone::{Buried, Past, Tombstone};
use crate::store::{Actor, Event, EventKind, Sequence, Source};

/// What the record holds about what a change touches, in the change's repository.
#[derive(Clone, Debug, Default)]
pub(in crate::store::ledger) struct Held {
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

/// How and when a change was provenance.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::ledger) struct Provenance<'a> {
    pub source: Source,
    /// Who did it; it counts only for what was observed.
    pub actor: &'a Actor,
    pub now: Timestamp,
}

/// What a change comes to. Nothing at all when the record already says so.
#[derive(Clone, Debug, Default)]
pub(in crate::store::ledger) struct Effect {
    /// The rows to write, in the change's repository; no two of them are about the same row.
    pub rows: Vec<RowChange>,
    /// The events to append, with consecutive sequence numbers.
    pub events: Vec<Event>,
}

/// One row to write.
#[derive(Clone, Debug)]
pub(in crate::store) enum RowChange {
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

/// An effect in the making.
pub(super) struct Draft<'a> {
    pub(super) name: &'a RepositoryName,
    pub(super) provenance: Provenance<'a>,
    pub(super) next: Sequence,
    /// The repository as it will be; absent as long as it is not known.
    pub(super) repository: Option<RepositoryRow>,
    pub(super) rows: Vec<RowChange>,
    pub(super) events: Vec<Event>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        name: &'a RepositoryName,
        provenance: Provenance<'a>,
        next: Sequence,
        repository: Option<RepositoryRow>,
    ) -> Self {
        Self { name, provenance, next, repository, rows: Vec::new(), events: Vec::new() }
    }

    pub(super) fn is_observed(&self) -> bool {
        self.provenance.source == Source::Observed
    }

    /// Who did it: empty for what was found.
    pub(super) fn actor(&self) -> Actor {
        if self.is_observed() { self.provenance.actor.clone() } else { Actor::default() }
    }

    /// Keeps the past of what was found to be gone; what the door itself has deleted leaves none.
    pub(super) fn bury(&mut self, held: &Held, buried: Buried, past: Past) {
        if self.is_observed() {
            self.forget(held, buried);
        } else {
            // One stone for each name: an earlier one goes, since its place in the order of age is another.
            self.forget(held, buried.clone());
            let tombstone = Tombstone { at: self.provenance.now, past };
            self.rows.push(RowChange::Tombstone { buried, tombstone });
        }
    }

    /// Removes a tombstone, if there is one.
    pub(super) fn forget(&mut self, held: &Held, buried: Buried) {
        if let Some(Tombstone { at, .. }) = held.tombstones.get(&buried) {
            self.rows.push(RowChange::TombstoneRemoved { buried, at: *at });
        }
    }

    pub(super) fn event(&mut self, kind: EventKind, about: About) -> Sequence {
        let About { tag, digest, previous, media_type } = about;
        let sequence = self.next;
        self.next = sequence.next();
        self.events.push(Event {
            sequence,
            time: self.provenance.now,
            kind,
            source: self.provenance.source,
            repository: self.name.clone(),
            tag,
            digest,
            previous,
            media_type,
            actor: self.actor(),
        });
        sequence
    }

    pub(super) fn finish(mut self) -> Effect {
        self.rows.extend(self.repository.map(RowChange::Repository));
        Effect { rows: self.rows, events: self.events }
    }
}

/// What an event speaks of.
#[derive(Default)]
pub(super) struct About {
    pub(super) tag: Option<Tag>,
    pub(super) digest: Option<Digest>,
    pub(super) previous: Option<Digest>,
    pub(super) media_type: Option<MediaType>,
}
