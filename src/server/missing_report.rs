//! What the record keeps though the registry denies it, in the words of `portreeve sync` and `portreeve check`.

use std::fmt;

use serde::Deserialize;

use super::door_client::{Client, DoorError};
use crate::oci::RepositoryName;
use crate::store::{Missing, Page, PageRequest, Records, StoreError};

/// How many repositories are named.
const NAMED_REPOSITORIES: usize = 10;

/// Tags and manifests that the registry denies and the record keeps all the same.
pub(super) struct MissingReport {
    pub(super) missing: Missing,
    repositories: Vec<MissingInRepository>,
    has_more: bool,
}

#[derive(Deserialize)]
struct MissingInRepository {
    repository: RepositoryName,
    tags: u64,
    manifests: u64,
}

#[derive(Deserialize)]
struct RepositoriesPart {
    items: Vec<MissingInRepository>,
    next: Option<String>,
}

impl MissingReport {
    /// Of a store that is open here.
    pub(super) async fn in_store(store: &dyn Records) -> Result<Self, StoreError> {
        let page = PageRequest { after: None, limit: NAMED_REPOSITORIES };
        let Page { items, next } = store.repositories_with_missing(page).await?;
        let repositories = items
            .into_iter()
            .map(|record| MissingInRepository {
                repository: record.name,
                tags: record.missing.tags,
                manifests: record.missing.manifests,
            })
            .collect();
        Ok(Self { missing: store.missing(), repositories, has_more: next.is_some() })
    }
}

impl Client {
    /// Of the running door.
    pub(super) async fn missing_report(&self) -> Result<MissingReport, DoorError> {
        let missing = self.missing().await?;
        let request = self.http.get(format!("http://door/api/v1/removals?n={NAMED_REPOSITORIES}"));
        let RepositoriesPart { items, next } = self.ask("tell what is held", request).await?;
        Ok(MissingReport { missing, repositories: items, has_more: next.is_some() })
    }
}

impl fmt::Display for MissingReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { tags, manifests } = self.missing;
        write!(
            formatter,
            "held: the registry denies {tags} tags and {manifests} manifests that are recorded and that no client deleted \
             through the door, in"
        )?;
        for (number, MissingInRepository { repository, tags, manifests }) in
            self.repositories.iter().enumerate()
        {
            let comma = if number == 0 { "" } else { "," };
            write!(formatter, "{comma} {repository} ({tags} tags, {manifests} manifests)")?;
        }
        if self.has_more {
            formatter.write_str(" and further repositories")?;
        }
        formatter.write_str(
            ". They stay in the record. If the registry's storage or registry.url is wrong, mend that; if they are gone for \
             good, run: portreeve sync --accept-removals",
        )
    }
}
