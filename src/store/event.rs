//! Events: changes as they stand in the history.

use std::str::FromStr;

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

/// What happened. As text it is what the API shows.
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

/// What is no kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an event is one of manifest_put, tag_restored, tag_deleted, manifest_deleted, repository_found and repository_gone"
)]
pub struct UnknownEventKind;

impl EventKind {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::ManifestPut,
        Self::TagRestored,
        Self::TagDeleted,
        Self::ManifestDeleted,
        Self::RepositoryFound,
        Self::RepositoryGone,
    ];

    /// As text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ManifestPut => "manifest_put",
            Self::TagRestored => "tag_restored",
            Self::TagDeleted => "tag_deleted",
            Self::ManifestDeleted => "manifest_deleted",
            Self::RepositoryFound => "repository_found",
            Self::RepositoryGone => "repository_gone",
        }
    }
}

impl FromStr for EventKind {
    type Err = UnknownEventKind;

    fn from_str(text: &str) -> Result<Self, UnknownEventKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownEventKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_as_they_are_shown_and_stored() {
        for kind in EventKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert!(UnknownEventKind.to_string().contains(kind.as_str()));
        }
        assert_eq!("auth".parse::<EventKind>(), Err(UnknownEventKind));
    }
}
