//! Verify: ask the registry about one reference, and record the difference.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::registry::{RegistryClient, RegistryError};
use crate::store::{Change, Guard, Recorded, Source, Store, StoreError};

/// How often one verification asks anew when something newer came in between.
const ATTEMPTS: usize = 4;

/// Asks the registry about single references and records what differs.
pub struct Verifier {
    store: Arc<dyn Store>,
    registry: Arc<RegistryClient>,
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

    /// Makes the record of one reference equal to what the registry says of it, unless something newer touches it
    /// meanwhile: then it asks again, a few times. Removal happens only on the registry's own "not there" about this very
    /// reference.
    ///
    /// Dropping the future is harmless: a difference is recorded whole or not at all.
    ///
    /// # Errors
    /// When the registry gave no clear answer, the store failed, or the reference is too busy.
    pub async fn verify(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        source: Source,
    ) -> Result<(), VerifyError> {
        for _ in 0..ATTEMPTS {
            let since = self.store.sequence().await?;
            let guard = Guard { reference: Some(reference.clone()), since };
            let found = match reference {
                Reference::Tag(tag) => self.tag_difference(repository, tag).await?,
                Reference::Digest(digest) => self.digest_difference(repository, digest, source).await?,
            };
            let recorded = match found {
                Found::Same => Recorded::Unchanged,
                Found::Moved => Recorded::Superseded,
                Found::Different(change) => {
                    self.store.record(vec![change], source, guard, Timestamp::now()).await?
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
                Recorded::Changed(_) => {
                    tracing::info!(%repository, %reference, ?source, since = since.get(), "the record differed from the registry and was mended");
                }
            }
            return Ok(());
        }
        Err(VerifyError::Busy { repository: repository.clone(), reference: reference.clone() })
    }

    async fn tag_difference(&self, repository: &RepositoryName, tag: &Tag) -> Result<Found, VerifyError> {
        let head = self.registry.resolve(repository, &Reference::Tag(tag.clone())).await?;
        let recorded = self.store.tag(repository, tag).await?;
        let digest = match (head, recorded) {
            (None, None) => return Ok(Found::Same),
            (None, Some(_)) => {
                let change = Change::TagDeleted { repository: repository.clone(), tag: tag.clone() };
                return Ok(Found::Different(change));
            }
            (Some(head), Some(recorded)) if head.digest == recorded.digest => return Ok(Found::Same),
            (Some(head), _) => head.digest,
        };
        self.put(repository, digest, vec![tag.clone()]).await
    }

    async fn digest_difference(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        source: Source,
    ) -> Result<Found, VerifyError> {
        let head = self.registry.resolve(repository, &Reference::Digest(digest.clone())).await?;
        let recorded = self.store.manifest(repository, digest).await?;
        match (head, recorded) {
            (None, None) | (Some(_), Some(_)) => Ok(Found::Same),
            (Some(_), None) => self.put(repository, digest.clone(), Vec::new()).await,
            (None, Some(_)) => {
                // No tag goes by implication: each is asked about itself.
                for tag in self.store.tags_of(repository, digest).await? {
                    Box::pin(self.verify(repository, &Reference::Tag(tag), source)).await?;
                }
                if !self.store.tags_of(repository, digest).await?.is_empty() {
                    return Ok(Found::Moved);
                }
                let change =
                    Change::ManifestDeleted { repository: repository.clone(), digest: digest.clone() };
                Ok(Found::Different(change))
            }
        }
    }

    /// The manifest that the registry names, with its bytes from the record if they are there, else from the registry.
    async fn put(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        tags: Vec<Tag>,
    ) -> Result<Found, VerifyError> {
        let manifest = match self.store.manifest_content(&digest).await? {
            Some(manifest) => manifest,
            None => match self.registry.manifest(repository, &Reference::Digest(digest)).await? {
                Some(manifest) => Arc::new(manifest),
                None => return Ok(Found::Moved),
            },
        };
        Ok(Found::Different(Change::ManifestPut { repository: repository.clone(), manifest, tags }))
    }
}

/// What a question found.
enum Found {
    /// Record and registry agree.
    Same,
    /// They do not.
    Different(Change),
    /// The registry changed while it was asked.
    Moved,
}
