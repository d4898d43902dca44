//! What is held, in the words of `portreeve sync` and `portreeve check`.

use std::fmt;

use serde::Deserialize;

use super::door_client::Client;
use super::sync_command::SyncError;
use crate::oci::RepositoryName;
use crate::store::{Missing, Page, PageRequest, RedbStore, Store as _, StoreError};

/// How many repositories are named.
const NAMED: usize = 10;

/// Tags and manifests that the registry denies and the record keeps all the same.
pub(super) struct Held {
    pub(super) missing: Missing,
    repositories: Vec<HeldRepository>,
    has_more: bool,
}

#[derive(Deserialize)]
struct HeldRepository {
    repository: RepositoryName,
    tags: u64,
    manifests: u64,
}

#[derive(Deserialize)]
struct RepositoriesPart {
    items: Vec<HeldRepository>,
    next: Option<String>,
}

impl Held {
    /// What a store holds that is open here.
    pub(super) async fn in_store(store: &RedbStore) -> Result<Self, StoreError> {
        let page = PageRequest { after: None, limit: NAMED };
        let Page { items, next } = store.repositories_with_missing(page).await?;
        let repositories = items
            .into_iter()
            .map(|record| HeldRepository {
                repository: record.name,
                tags: record.missing.tags,
                manifests: record.missing.manifests,
            })
            .collect();
        Ok(Self { missing: store.missing(), repositories, has_more: next.is_some() })
    }
}

impl Client {
    /// What the running door holds.
    pub(super) async fn held(&self) -> Result<Held, SyncError> {
        let missing = self.missing().await?;
        let request = self.http.get(format!("http://door/api/v1/removals?n={NAMED}"));
        let RepositoriesPart { items, next } = self.ask("tell what is held", request).await?;
        Ok(Held { missing, repositories: items, has_more: next.is_some() })
    }
}

impl fmt::Display for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { tags, manifests } = self.missing;
        write!(
            formatter,
            "held: the registry denies {tags} tags and {manifests} manifests that are recorded and that nobody deleted \
             through the door, in"
        )?;
        for (number, HeldRepository { repository, tags, manifests }) in self.repositories.iter().enumerate() {
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
