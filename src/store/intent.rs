//! Intents: writes that are being carried.

use serde::{Deserialize, Serialize};

use super::{Actor, Sequence};
use crate::clock::Timestamp;
use crate::oci::{Digest, Reference, RepositoryName, Tag};

/// A durable note that a write is about to be carried to the registry. It is removed in the transaction that records
/// the outcome; one that is left over is verified.
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
    /// Whether somebody is carrying it.
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

/// Whether somebody is carrying an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// A task of a running door is carrying it.
    Carried,
    /// Its outcome is not known: the registry must be asked. Every intent found when a store is opened is in this
    /// state.
    Unknown,
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
