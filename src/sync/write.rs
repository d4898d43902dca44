//! Manifest writes: the requests that must not have an unknown outcome. The door makes one of each when its body is read
//! and parsed; plugins look at it, and the carrier takes it to the registry.

use std::sync::Arc;

use crate::oci::{Manifest, Reference, RepositoryName, Tag};
use crate::registry::OutgoingWrite;
use crate::store::Actor;

/// A write to a repository's manifests, before the registry has heard of it.
#[derive(Clone, Debug)]
pub enum ManifestWrite {
    /// A manifest put.
    Put {
        /// In which repository.
        repository: RepositoryName,
        /// The name it is put under.
        reference: Reference,
        /// Further tags asked for in the query.
        tags: Vec<Tag>,
        /// The manifest, parsed.
        manifest: Arc<Manifest>,
    },
    /// A manifest or tag deleted.
    Delete {
        /// In which repository.
        repository: RepositoryName,
        /// Which manifest or tag.
        reference: Reference,
    },
}

/// A manifest write with who asks for it and what the registry is to be sent, as the carrier takes it.
#[derive(Debug)]
pub struct WriteRequest {
    /// What is written.
    pub write: ManifestWrite,
    /// Who asks for it.
    pub actor: Actor,
    /// The request for the registry.
    pub outgoing: OutgoingWrite,
}

impl ManifestWrite {
    /// The repository that it writes to.
    pub const fn repository(&self) -> &RepositoryName {
        match self {
            Self::Put { repository, .. } | Self::Delete { repository, .. } => repository,
        }
    }
}
