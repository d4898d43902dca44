//! Verify: ask the registry about one reference, and record the difference.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};
use crate::registry::{RegistryClient, RegistryError};
use crate::store::{Change, Guard, Recorded, Source, Store, StoreError};

/// How often one verification asks anew when something newer came in between.
const ATTEMPTS: usize = 4;

/// Asks the registry about single references and records what differs.
pub struct Verifier {
    store: Arc<dyn Store>,
    registry: Arc<RegistryClient>,
}

/// What a verification came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many events it recorded: none where record and registry agreed.
    pub events: usize,
    /// The digest that the registry names for the reference; none if it is not there.
    pub digest: Option<Digest>,
    /// What the record held for the tag before, where that was another: it may be gone as well.
    pub previous: Option<Digest>,
    /// The manifests that a manifest names which was recorded just now: they may not be recorded yet.
    pub children: Vec<Digest>,
}

/// Why a verification came to no end. Nothing was recorded; it has to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The registry gave no clear answer.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something newer touched the reference each time.
    #[error(
        "{repository}:{reference} was written to while the registry was asked about it, {ATTEMPTS} times"
    )]
    Busy {
        /// In which repository.
        repository: RepositoryName,
        /// Which reference.
        reference: Reference,
    },
}

impl Verifier {
    /// A verifier for this record and this registry.
    pub fn new(store: Arc<dyn Store>, registry: Arc<RegistryClient>) -> Self {
        Self { store, registry }
    }

    /// How long the registry may be at a write: `registry.commit_timeout`.
    pub(super) fn commit_timeout(&self) -> std::time::Duration {
        self.registry.commit_timeout()
    }

    /// Makes the record of one reference equal to what the registry says of it, unless something newer touches it
    /// meanwhile: then it asks again, a few times. Removal happens only on the registry's own "not there" about this very
    /// reference.
    ///
    /// Dropping the future is harmless: a difference is recorded whole or not at all.
    ///
    /// # Errors
    /// When the registry gave no clear answer or contradicted itself, the store failed, or the reference is too busy.
    pub async fn verify(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        source: Source,
    ) -> Result<Verified, VerifyError> {
        let mut verified = Verified::default();
        let mut is_contradiction = false;
        for _ in 0..ATTEMPTS {
            let since = self.store.sequence().await?;
            let guard = Guard { reference: Some(reference.clone()), since };
            let found = match reference {
                Reference::Tag(tag) => self.tag_difference(repository, tag).await?,
                Reference::Digest(digest) => {
                    self.digest_difference(repository, digest, source, &mut verified).await?
                }
            };
            is_contradiction = matches!(found, Found::Moved);
            let recorded = match found {
                Found::Same(digest) => {
                    verified.digest = digest;
                    Recorded::Unchanged
                }
                Found::Moved => Recorded::Superseded,
                Found::Different { change, previous } => {
                    let (digest, children) = named(&change);
                    let recorded = self.store.record(vec![change], source, guard, Timestamp::now()).await?;
                    if recorded != Recorded::Superseded {
                        (verified.digest, verified.children, verified.previous) =
                            (digest, children, previous);
                    }
                    recorded
                }
            };
            let result = match recorded {
                Recorded::Unchanged => "same",
                Recorded::Changed(_) => "different",
                Recorded::Superseded => "superseded",
            };
            metrics::counter!("portreeve_verifications_total", "result" => result).increment(1);
            match recorded {
                Recorded::Superseded => continue,
                Recorded::Unchanged => {}
                Recorded::Changed(events) => {
                    verified.events += events;
                    // The first sweep finds everything at once, and each finding is an event anyway.
                    tracing::debug!(%repository, %reference, ?source, since = since.get(), "the record differed from the registry and was mended");
                }
            }
            return Ok(verified);
        }
        if is_contradiction {
            return Err(contradiction(repository, reference).into());
        }
        Err(VerifyError::Busy { repository: repository.clone(), reference: reference.clone() })
    }

    async fn tag_difference(&self, repository: &RepositoryName, tag: &Tag) -> Result<Found, VerifyError> {
        let reference = Reference::Tag(tag.clone());
        if self.store.tag(repository, tag).await?.is_none() {
            // Nothing to compare with: its bytes are wanted in any case.
            return Ok(match self.registry.manifest(repository, &reference).await? {
                Some(manifest) => Found::put(repository, Arc::new(manifest), Some(tag), None),
                None => Found::Same(None),
            });
        }
        let head = self.registry.resolve(repository, &reference).await?;
        let recorded = self.store.tag(repository, tag).await?.map(|record| record.digest);
        match (head.map(|head| head.digest), recorded) {
            (None, None) => Ok(Found::Same(None)),
            (None, previous @ Some(_)) => {
                let change = Change::TagDeleted { repository: repository.clone(), tag: tag.clone() };
                Ok(Found::Different { change, previous })
            }
            (Some(digest), Some(recorded)) if digest == recorded => Ok(Found::Same(Some(digest))),
            (Some(digest), previous) => self.put(repository, digest, Some(tag), previous).await,
        }
    }

    async fn digest_difference(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        source: Source,
        verified: &mut Verified,
    ) -> Result<Found, VerifyError> {
        let head = self.registry.resolve(repository, &Reference::Digest(digest.clone())).await?;
        let recorded = self.store.manifest(repository, digest).await?;
        match (head, recorded) {
            (None, None) => Ok(Found::Same(None)),
            (Some(head), Some(_)) => Ok(Found::Same(Some(head.digest))),
            (Some(_), None) => self.put(repository, digest.clone(), None, None).await,
            (None, Some(_)) => {
                // No tag goes by implication: each is asked about itself.
                for tag in self.store.tags_of(repository, digest).await? {
                    let tag = Box::pin(self.verify(repository, &Reference::Tag(tag), source)).await?;
                    verified.events += tag.events;
                }
                if !self.store.tags_of(repository, digest).await?.is_empty() {
                    return Ok(Found::Moved);
                }
                let change =
                    Change::ManifestDeleted { repository: repository.clone(), digest: digest.clone() };
                Ok(Found::Different { change, previous: None })
            }
        }
    }

    /// The manifest that the registry names, with its bytes from the record if they are there, else from the registry.
    async fn put(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        tag: Option<&Tag>,
        previous: Option<Digest>,
    ) -> Result<Found, VerifyError> {
        let manifest = match self.store.manifest_content(repository, &digest).await? {
            Some(manifest) => manifest,
            None => match self.registry.manifest(repository, &Reference::Digest(digest)).await? {
                Some(manifest) => Arc::new(manifest),
                None => return Ok(Found::Moved),
            },
        };
        Ok(Found::put(repository, manifest, tag, previous))
    }
}

/// Nobody wrote through the door, and the registry is of two minds again and again: no answer of its is clear.
fn contradiction(repository: &RepositoryName, reference: &Reference) -> RegistryError {
    RegistryError::Malformed {
        asked: format!("HEAD {repository}:{reference}"),
        reason: "it names a manifest that it denies to have".to_owned(),
    }
}

/// What a question found.
enum Found {
    /// Record and registry agree: on this digest, or that there is none.
    Same(Option<Digest>),
    /// They do not.
    Different {
        /// What has to be recorded.
        change: Change,
        /// What the tag pointed to before.
        previous: Option<Digest>,
    },
    /// The registry changed while it was asked; or it contradicts itself.
    Moved,
}

impl Found {
    fn put(
        repository: &RepositoryName,
        manifest: Arc<Manifest>,
        tag: Option<&Tag>,
        previous: Option<Digest>,
    ) -> Self {
        let tags = tag.cloned().into_iter().collect();
        let change = Change::ManifestPut { repository: repository.clone(), manifest, tags };
        Self::Different { change, previous }
    }
}

/// The digest that a change puts, and what its manifest names.
fn named(change: &Change) -> (Option<Digest>, Vec<Digest>) {
    match change {
        Change::ManifestPut { manifest, .. } => {
            let children = manifest.children.iter().map(|child| child.digest.clone());
            (Some(manifest.digest.clone()), children.collect())
        }
        Change::TagDeleted { .. }
        | Change::ManifestDeleted { .. }
        | Change::RepositoryFound { .. }
        | Change::RepositoryGone { .. } => (None, Vec::new()),
    }
}
