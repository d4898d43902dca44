//! Events: changes as they stand in the history.

use serde::{Deserialize, Serialize};

use super::{Actor, Sequence, Source};
use crate::clock::Timestamp;
use crate::oci::{Digest, MediaType, RepositoryName, Tag};

/// One entry of the history. Never changed once written; a correction is a later event. One event speaks of one
/// reference: a push of a manifest under two tags is two events, a deletion by digest is one for the manifest and one
/// for each tag that went with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the order of all events.
    pub sequence: Sequence,
    /// When it was recorded.
    pub time: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// How it was learnt.
    pub source: Source,
    /// In which repository.
    pub repository: RepositoryName,
    /// The tag it speaks of; absent for a manifest without one and for repositories.
    pub tag: Option<Tag>,
    /// The manifest: for a deleted tag the one it pointed to.
    pub digest: Option<Digest>,
    /// The manifest that the tag pointed to before, if it was another.
    pub previous: Option<Digest>,
    /// The manifest's media type, for a put.
    pub media_type: Option<MediaType>,
    /// Who did it; empty for what was found.
    pub actor: Actor,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A manifest is there, under a tag if the event names one.
    ManifestPut,
    /// A tag that had gone without the door having carried that is back, with the same manifest: author, time, source and
    /// pulls of old hold again.
    TagRestored,
    /// A tag is gone.
    TagDeleted,
    /// A manifest is gone.
    ManifestDeleted,
    /// A repository was found that holds nothing.
    RepositoryFound,
    /// A repository is gone.
    RepositoryGone,
}
