//! [`Health`] over the file.

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::snapshot::Snapshot;
use crate::store::{Flaw, FlawCounts, FlawRecord, Flawed, Health, Page, PageRequest, StoreError};

#[async_trait]
impl Health for RedbStore {
    async fn flaw_counts(&self) -> Result<FlawCounts, StoreError> {
        self.point(Snapshot::flaw_counts).await
    }

    async fn flawed(
        &self,
        flaw: Flaw,
        page: PageRequest<Flawed>,
    ) -> Result<Page<FlawRecord, Flawed>, StoreError> {
        self.scan(move |snapshot| snapshot.flawed(flaw, &page)).await
    }
}
