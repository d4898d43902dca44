//! Asking the registry at once whether it did what a lax answer may mean: a success that is neither the specification's nor
//! names the digest. Registries that answer so work through the door as without it; a page in place of a registry does not
//! get into the record. Only the carrier asks.

use std::time::Duration;

use tokio::time::Instant;

use super::judge::Judge;
use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};
use crate::registry::{RegistryClient, RegistryError};
use crate::store::{Change, StoreError};

/// How long the client waits for this answer, at most.
const CONFIRMATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the registry says now what the change says. No clear answer is no confirmation; nor is one that may be older than
/// the write.
pub(super) async fn is_so(registry: &RegistryClient, judge: &Judge, change: &Change) -> bool {
    match may_be_old(judge, change).await {
        Ok(false) => {}
        Ok(true) => return false,
        Err(error) => {
            tracing::warn!(%error, "a write cannot be confirmed");
            return false;
        }
    }
    let timeout = registry.timeout().min(CONFIRMATION_TIMEOUT);
    match tokio::time::timeout(timeout, ask(registry, change)).await {
        Ok(Ok(is_so)) => is_so,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a write cannot be confirmed");
            false
        }
        Err(_elapsed) => {
            tracing::debug!(?timeout, "a write was not confirmed in time");
            false
        }
    }
}

async fn may_be_old(judge: &Judge, change: &Change) -> Result<bool, StoreError> {
    let is_unsettled =
        |repository, reference| judge.unsettled(repository, Some(&reference), Instant::now()).is_some();
    match change {
        Change::TagDeleted { repository, tag } => Ok(is_unsettled(repository, Reference::Tag(tag.clone()))),
        Change::ManifestDeleted { repository, digest, .. } => {
            Ok(is_unsettled(repository, Reference::Digest(digest.clone())))
        }
        Change::ManifestPut { repository, manifest, tags } => {
            for reference in put_under(manifest, tags) {
                if judge.may_be_old(repository, &reference, &manifest.digest).await? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Change::ReferenceMissing { .. }
        | Change::ReferencePresent { .. }
        | Change::RepositoryFound { .. }
        | Change::RepositoryGone { .. } => Ok(false),
    }
}

/// By which names the registry is asked for what was put: its tags, or the digest where it has none.
fn put_under(manifest: &Manifest, tags: &[Tag]) -> Vec<Reference> {
    if tags.is_empty() {
        return vec![Reference::Digest(manifest.digest.clone())];
    }
    tags.iter().cloned().map(Reference::Tag).collect()
}

async fn ask(registry: &RegistryClient, change: &Change) -> Result<bool, RegistryError> {
    match change {
        Change::ManifestPut { repository, manifest, tags } => {
            for reference in put_under(manifest, tags) {
                if !names(registry, repository, &reference, &manifest.digest).await? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Change::TagDeleted { repository, tag } => {
            Ok(registry.resolve(repository, &Reference::Tag(tag.clone())).await?.is_none())
        }
        Change::ManifestDeleted { repository, digest, .. } => {
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
