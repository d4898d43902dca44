//! What the store answers.

use serde::{Deserialize, Serialize};

use super::{Event, EventKind, Sequence, Source};
use crate::clock::Timestamp;
use crate::oci::{Digest, Document, ImageConfig, MediaType, RepositoryName, Tag};

/// The most items of one page, whatever was asked for: what bounds the memory of one answer.
pub(super) const MAXIMUM_PAGE: usize = 10_000;

/// The most tags that a manifest's record lists.
pub(super) const MAXIMUM_MANIFEST_TAGS: usize = 1_000;

/// A repository as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryRecord {
    /// Its name.
    pub name: RepositoryName,
    /// How many tags it has.
    pub tags: u64,
    /// How many manifests it has.
    pub manifests: u64,
    /// The bytes of its manifests and of all blobs they name, each counted once.
    pub bytes: u64,
    /// When something was last pushed to it through the door; unknown for what was only found.
    pub last_push: Option<Timestamp>,
    /// When something was last pulled from it, as far as the door saw or was told.
    pub last_pull: Option<Timestamp>,
    /// How many manifests were pulled from it through the door.
    pub pulls: u64,
    /// What of it the registry denies.
    pub missing: Missing,
}

/// How much of what is recorded the registry denies, without that being believed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Tags.
    pub tags: u64,
    /// Manifests.
    pub manifests: u64,
}

/// That the registry denies something, without that being believed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingMark {
    /// Since when.
    pub since: Timestamp,
    /// The number that was to be given out next then: clocks may be set back, this is not.
    pub sequence: Sequence,
}

impl Missing {
    /// Counts an event that tells of something gone which the door did not carry.
    pub(super) fn count_removal(&mut self, event: &Event) {
        match event.kind {
            _ if event.source == Source::Observed => {}
            EventKind::TagDeleted => self.tags += 1,
            EventKind::ManifestDeleted => self.manifests += 1,
            EventKind::ManifestPut
            | EventKind::TagRestored
            | EventKind::RepositoryFound
            | EventKind::RepositoryGone => {}
        }
    }

    /// Whether nothing is.
    pub const fn is_none(self) -> bool {
        self.tags == 0 && self.manifests == 0
    }
}

/// A tag as recorded, with what is known of the manifest it points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRecord {
    /// Its name.
    pub tag: Tag,
    /// The manifest it points to.
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: MediaType,
    /// The manifest's own bytes and those of the blobs it names directly.
    pub bytes: u64,
    /// The platforms that an index names, or that of a single image once its configuration was read, as
    /// `os/architecture[/variant]`.
    pub platforms: Vec<String>,
    /// When it was pushed, if the door carried that.
    pub pushed_at: Option<Timestamp>,
    /// When it was found, if the door did not carry the push: when that was is not known.
    pub found_at: Option<Timestamp>,
    /// Who pushed it, if the door saw an authenticated client do it.
    pub pushed_by: Option<String>,
    /// How it was learnt.
    pub source: Source,
    /// The event that recorded it.
    pub sequence: Sequence,
    /// When it was last pulled by this name, as far as the door saw or was told.
    pub last_pull: Option<Timestamp>,
    /// How often it was pulled by this name through the door, whatever it pointed to.
    pub pulls: u64,
    /// When somebody last pulled it by this name, or looked what it points to: a client that has the image already does only
    /// that.
    pub last_seen: Option<Timestamp>,
    /// Since when the registry denies it, if it does.
    pub missing: Option<MissingMark>,
}

/// A manifest as recorded in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRecord {
    /// Its digest.
    pub digest: Digest,
    /// What it says.
    pub document: Document,
    /// The tags that point to it, in bytewise order, at most 1,000 of them.
    pub tags: Vec<Tag>,
    /// When it was first pushed to this repository, if the door carried that.
    pub pushed_at: Option<Timestamp>,
    /// When it was found in this repository, if the door did not carry the push: when that was is not known.
    pub found_at: Option<Timestamp>,
    /// How it was learnt.
    pub source: Source,
    /// Since when the registry denies it, if it does.
    pub missing: Option<MissingMark>,
    /// What it says of itself, if it is an image and its configuration was read.
    pub image: Option<ImageConfig>,
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest<K> {
    /// Begin behind this key; from the beginning if absent.
    pub after: Option<K>,
    /// At most that many items.
    pub limit: usize,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T, K> {
    /// The items, in order.
    pub items: Vec<T>,
    /// What to give as `after` for the next part; absent when this was the last.
    pub next: Option<K>,
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Repositories.
    pub repositories: u64,
    /// Tags.
    pub tags: u64,
    /// Manifests, counted once for each repository that has them.
    pub manifests: u64,
    /// Events.
    pub events: u64,
    /// Open intents.
    pub open_intents: u64,
    /// Hints that wait to be followed.
    pub hints: u64,
    /// What the registry denies.
    pub missing: Missing,
}
