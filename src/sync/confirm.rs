//! Asking the registry at once whether it did what a lax answer may mean: a success that is neither the specification's nor
//! names the digest. Registries that answer so work through the door as without it; a page in place of a registry does not
//! get into the record. Only the carrier asks.

use std::time::Duration;

use super::judge::Judge;
use crate::oci::{Digest, Reference, RepositoryName};
use crate::registry::{RegistryClient, RegistryError};
use crate::store::Change;

/// How long the client waits for this answer, at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the registry says now what the change says. No clear answer is no confirmation; nor is "not there" about what was
/// written just now, which may be older than that.
pub(super) async fn is_so(registry: &RegistryClient, judge: &Judge, change: &Change) -> bool {
    let is_unsettled = |repository, reference| judge.unsettled(repository, Some(&reference)).is_some();
    let may_be_old = match change {
        Change::TagDeleted { repository, tag } => is_unsettled(repository, Reference::Tag(tag.clone())),
        Change::ManifestDeleted { repository, digest } => {
            is_unsettled(repository, Reference::Digest(digest.clone()))
        }
        Change::ManifestPut { .. }
        | Change::ReferenceMissing { .. }
        | Change::ReferencePresent { .. }
        | Change::RepositoryFound { .. }
        | Change::RepositoryGone { .. } => false,
    };
    if may_be_old {
        return false;
    }
    let patience = registry.timeout().min(PATIENCE);
    match tokio::time::timeout(patience, ask(registry, change)).await {
        Ok(Ok(is_so)) => is_so,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a write cannot be confirmed");
            false
        }
        Err(_elapsed) => {
            tracing::debug!(?patience, "a write was not confirmed in time");
            false
        }
    }
}

async fn ask(registry: &RegistryClient, change: &Change) -> Result<bool, RegistryError> {
    match change {
        Change::ManifestPut { repository, manifest, tags } => {
            for tag in tags {
                if !names(registry, repository, &Reference::Tag(tag.clone()), &manifest.digest).await? {
                    return Ok(false);
                }
            }
            let reference = Reference::Digest(manifest.digest.clone());
            Ok(!tags.is_empty() || names(registry, repository, &reference, &manifest.digest).await?)
        }
        Change::TagDeleted { repository, tag } => {
            Ok(registry.resolve(repository, &Reference::Tag(tag.clone())).await?.is_none())
        }
        Change::ManifestDeleted { repository, digest } => {
            Ok(registry.resolve(repository, &Reference::Digest(digest.clone())).await?.is_none())
        }
        Change::ReferenceMissing { .. }
        | Change::ReferencePresent { .. }
        | Change::RepositoryFound { .. }
        | Change::RepositoryGone { .. } => Ok(false),
    }
}

async fn names(
    registry: &RegistryClient,
    repository: &RepositoryName,
    reference: &Reference,
    digest: &Digest,
) -> Result<bool, RegistryError> {
    Ok(registry.resolve(repository, reference).await?.is_some_and(|head| head.digest == *digest))
}
