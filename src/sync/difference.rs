//! What a question to the registry found, compared with the record. Only `verify` makes and reads it.

use std::sync::Arc;

use crate::oci::{Digest, Manifest, RepositoryName, Tag};
use crate::store::{Change, MissingMark};

/// What a question found.
pub(super) enum Found {
    /// Record and registry agree: on this digest, or that there is none.
    Same(Option<Digest>),
    /// They agree on this digest, which was held to be missing.
    Present(Digest),
    /// The registry denies a manifest that the record has to keep.
    Held,
    /// They do not agree.
    Different(Different),
    /// The registry changed while it was asked; or it contradicts itself.
    Moved,
}

/// How they differ.
pub(super) struct Different {
    /// What has to be recorded.
    pub change: Change,
    /// What the tag pointed to before.
    pub previous: Option<Digest>,
    /// The mark of what the registry denies and the record holds to be missing.
    pub missing: Option<MissingMark>,
}

impl Found {
    /// For the log.
    pub(super) const fn in_words(&self) -> &'static str {
        match self {
            Self::Same(Some(_)) => "as recorded",
            Self::Same(None) => "not there, as recorded",
            Self::Present(_) => "there again",
            Self::Held => "denied, and kept",
            Self::Different(Different { change: Change::ManifestPut { .. }, .. }) => {
                "there, and recorded otherwise"
            }
            Self::Different(_) => "not there, and recorded",
            Self::Moved => "unclear: it changed meanwhile",
        }
    }

    /// The registry has this manifest, under this tag if there is one.
    pub(super) fn put(
        repository: &RepositoryName,
        manifest: Arc<Manifest>,
        tag: Option<&Tag>,
        previous: Option<Digest>,
    ) -> Self {
        let tags = tag.cloned().into_iter().collect();
        let change = Change::ManifestPut { repository: repository.clone(), manifest, tags };
        Self::Different(Different { change, previous, missing: None })
    }
}

/// The digest that a change puts, and the manifests that its manifest names.
pub(super) fn named(change: &Change) -> (Option<Digest>, Vec<Digest>) {
    match change {
        Change::ManifestPut { manifest, .. } => {
            (Some(manifest.digest.clone()), manifest.document.child_manifests().cloned().collect())
        }
        Change::TagDeleted { .. }
        | Change::ManifestDeleted { .. }
        | Change::ReferenceMissing { .. }
        | Change::ReferencePresent { .. }
        | Change::RepositoryFound { .. }
        | Change::RepositoryGone { .. } => (None, Vec::new()),
    }
}
