//! Intents: writes that wait for others, are being carried, or have no known outcome. They are the queue of writes to a
//! reference.

use serde::{Deserialize, Serialize};

use super::{Actor, Incarnation, Retry, Sequence};
use crate::clock::Timestamp;
use crate::oci::{Digest, Reference, RepositoryName, Tag};

/// A durable note that a write is to be carried to the registry. It is removed in the transaction that records the outcome;
/// one that is left over is verified.
///
/// As a row it says that the write was announced, and no more: a store that finds it there does not know its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its identity, and its place in the order of all events.
    pub sequence: Sequence,
    /// When it began.
    pub begun: Timestamp,
    /// In which repository.
    pub repository: RepositoryName,
    /// What is written.
    pub write: Write,
    /// Who asked for it.
    pub actor: Actor,
    /// The door that carries it, or is to.
    #[serde(skip)]
    pub holder: Incarnation,
    /// How far it is.
    #[serde(with = "unknown_when_read")]
    pub state: IntentState,
}

/// A write of the kind that must not have an unknown outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// A manifest put, under its digest and these tags.
    Put {
        /// The manifest's digest.
        digest: Digest,
        /// The tags it may come to have.
        tags: Vec<Tag>,
    },
    /// A deletion by tag or by digest.
    Delete {
        /// Which reference.
        reference: Reference,
    },
}

/// How far an intent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentState {
    /// An earlier write that has to be over first is waiting or carried. The registry has heard nothing of this one.
    Waiting,
    /// A task of a running door is carrying it.
    Carried {
        /// The last number that was given out before the registry could hear of it: what is recorded behind that may be
        /// older or newer than the write.
        since: Sequence,
    },
    /// Its outcome is not known: the registry must be asked. Every intent that is found when a store is opened by its only
    /// door is in this state.
    Unknown {
        /// The last number that was given out before the registry could hear of it, or an earlier one.
        since: Sequence,
        /// How often the registry was asked about it, and when that is due next.
        retry: Retry,
    },
}

impl IntentState {
    /// Not known, and not asked about yet. The registry heard of it behind this number at the earliest.
    pub const fn unknown_since(since: Sequence) -> Self {
        Self::Unknown { since, retry: Retry::FIRST }
    }

    /// Whether a door is carrying the write now.
    pub fn is_carried(self) -> bool {
        matches!(self, Self::Carried { .. })
    }

    /// Whether the outcome is not known.
    pub fn is_unknown(self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// The last number that was given out before the registry could hear of the write; nothing if it has not.
    pub fn heard_since(self) -> Option<Sequence> {
        match self {
            Self::Waiting => None,
            Self::Carried { since } | Self::Unknown { since, .. } => Some(since),
        }
    }
}

/// The state is not part of a row.
mod unknown_when_read {
    use serde::{Deserialize, Deserializer, Serializer, de::IgnoredAny};

    use super::{IntentState, Sequence};

    pub(super) fn serialize<S: Serializer>(_: &IntentState, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("unknown")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IntentState, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Ok(IntentState::unknown_since(Sequence::ZERO))
    }
}

impl Write {
    /// The references that this write may change: the digest, and the tags.
    pub fn references(&self) -> Vec<Reference> {
        match self {
            Self::Put { digest, tags } => {
                tags.iter().cloned().map(Reference::Tag).chain([Reference::Digest(digest.clone())]).collect()
            }
            Self::Delete { reference } => vec![reference.clone()],
        }
    }
}
