//! Comparing names: how far the record is from what the registry lists, without mending anything. Asked by
//! `portreeve check`; a sweep looks closer.

use std::collections::HashSet;

use crate::oci::{RepositoryName, Tag};
use crate::registry::{RegistryClient, RegistryError};
use crate::store::{PageRequest, Store, StoreError};

/// How many rows of the record are read at once.
const ROWS: usize = 1_000;

/// How record and registry differ by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Repositories that the registry lists.
    pub repositories: u64,
    /// Tags that it lists in them.
    pub tags: u64,
    /// Tags that it lists and the record does not have.
    pub missing: u64,
    /// Tags that the record has and the registry does not list; it may have them all the same.
    pub unlisted: u64,
}

/// Why record and registry could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The registry gave no clear answer.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares all names, one repository after the other. Holds the names of one repository's tags at a time.
///
/// # Errors
/// When either side cannot be read to its end.
pub async fn compare(store: &dyn Store, registry: &RegistryClient) -> Result<Comparison, CompareError> {
    let mut comparison = Comparison::default();
    let mut recorded = store.statistics().await?.tags;
    let mut from = None;
    loop {
        let page = registry.catalog(from.as_ref()).await?;
        for name in page.names.iter().filter_map(|name| RepositoryName::parse(name).ok()) {
            comparison.repositories += 1;
            let listed = listed_tags(registry, &name).await?;
            comparison.tags += listed.len() as u64;
            let unknown = store.unknown_tags(&name, listed.iter().cloned().collect()).await?;
            comparison.missing += unknown.len() as u64;
            recorded = recorded.saturating_sub(known_among(store, &name, &listed).await?);
        }
        from = page.next;
        if from.is_none() {
            comparison.unlisted = recorded;
            return Ok(comparison);
        }
    }
}

async fn listed_tags(
    registry: &RegistryClient,
    name: &RepositoryName,
) -> Result<HashSet<Tag>, RegistryError> {
    let mut tags = HashSet::new();
    let mut from = None;
    while let Some(page) = registry.tags(name, from.as_ref()).await? {
        tags.extend(page.names.iter().filter_map(|tag| Tag::parse(tag).ok()));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    Ok(tags)
}

/// How many recorded tags are among the listed ones.
async fn known_among(
    store: &dyn Store,
    name: &RepositoryName,
    listed: &HashSet<Tag>,
) -> Result<u64, StoreError> {
    let mut known = 0;
    let mut after = None;
    loop {
        let page = store.tag_names(name, PageRequest { after, limit: ROWS }).await?;
        known += page.items.iter().filter(|tag| listed.contains(*tag)).count() as u64;
        after = page.next;
        if after.is_none() {
            return Ok(known);
        }
    }
}
