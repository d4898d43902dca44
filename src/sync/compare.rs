//! Comparing names: how far the record is from what the registry lists, without mending anything. Asked by
//! `portreeve check`; a sweep looks closer.

use std::collections::HashSet;

use async_trait::async_trait;

use super::listing::{LoopGuard, Marks};
use crate::oci::{RepositoryName, Tag};
use crate::registry::{RegistryClient, RegistryError};
use crate::store::{Page, PageRequest, Records, StoreError};

/// How many rows of the record are read at once.
const ROWS: usize = 1_000;

/// Where the names of the record are read: in the store, or through the door that has it open.
#[async_trait]
pub trait RecordedNames: Sync {
    /// How many tags there are.
    async fn tag_count(&self) -> Result<u64, CompareError>;

    /// The tags of a repository after one of them, in any order that stays the same; none of one that is not recorded.
    async fn tags(
        &self,
        repository: &RepositoryName,
        after: Option<Tag>,
    ) -> Result<Page<Tag, Tag>, CompareError>;
}

/// The names in a store that is open here.
pub struct NamesInStore<'s>(pub &'s dyn Records);

#[async_trait]
impl RecordedNames for NamesInStore<'_> {
    async fn tag_count(&self) -> Result<u64, CompareError> {
        Ok(self.0.statistics().await?.tags)
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        after: Option<Tag>,
    ) -> Result<Page<Tag, Tag>, CompareError> {
        Ok(self
            .0
            .tag_names(repository, PageRequest { after: after.map(|tag| tag.to_string()), limit: ROWS })
            .await?)
    }
}

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
    /// The door that has the store open did not tell.
    #[error("{0}")]
    Door(Box<dyn std::error::Error + Send + Sync>),
    /// A listing of the registry comes to no end.
    #[error("the list of {0} goes round in circles")]
    Endless(String),
}

/// Compares all names, one repository after the other. Holds the names of one repository's tags at a time.
///
/// # Errors
/// When either side cannot be read to its end.
pub async fn compare(
    record: &dyn RecordedNames,
    registry: &RegistryClient,
) -> Result<Comparison, CompareError> {
    let mut comparison = Comparison::default();
    let mut recorded = record.tag_count().await?;
    let (mut compared, mut guard) = (Marks::default(), LoopGuard::default());
    let mut from = None;
    loop {
        let page = registry.catalog(from.as_ref()).await?;
        let mut has_news = false;
        for name in page.names.iter().filter_map(|name| RepositoryName::parse(name).ok()) {
            if !compared.mark(name.as_str()) {
                continue;
            }
            has_news = true;
            let listed = listed_tags(registry, &name).await?;
            let known = known_among(record, &name, &listed).await?;
            comparison.repositories += 1;
            comparison.tags += listed.len() as u64;
            comparison.missing += listed.len() as u64 - known;
            recorded = recorded.saturating_sub(known);
        }
        if guard.is_endless(page.next.as_ref(), has_news) {
            return Err(CompareError::Endless("the repositories".to_owned()));
        }
        from = page.next;
        if from.is_none() {
            comparison.unlisted = recorded;
            return Ok(comparison);
        }
    }
}

async fn listed_tags(registry: &RegistryClient, name: &RepositoryName) -> Result<HashSet<Tag>, CompareError> {
    let (mut tags, mut guard) = (HashSet::new(), LoopGuard::default());
    let mut from = None;
    while let Some(page) = registry.tags(name, from.as_ref()).await? {
        let before = tags.len();
        tags.extend(page.names.iter().filter_map(|tag| Tag::parse(tag).ok()));
        if guard.is_endless(page.next.as_ref(), tags.len() > before) {
            return Err(CompareError::Endless(format!("the tags of {name}")));
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    Ok(tags)
}

/// How many recorded tags are among the listed ones.
async fn known_among(
    record: &dyn RecordedNames,
    name: &RepositoryName,
    listed: &HashSet<Tag>,
) -> Result<u64, CompareError> {
    let mut known = HashSet::new();
    let mut after = None;
    loop {
        let page = record.tags(name, after).await?;
        known.extend(page.items.into_iter().filter(|tag| listed.contains(tag)));
        after = page.next;
        if after.is_none() {
            return Ok(known.len() as u64);
        }
    }
}
