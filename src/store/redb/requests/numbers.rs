//! [`Numbers`] over the file.

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::snapshot::Snapshot;
use crate::oci::{Digest, RepositoryName};
use crate::store::{
    BlobPlace, BlobRecord, DayRecord, Numbers, Page, PageRequest, SizedDigest, StoreError, Totals,
};

#[async_trait]
impl Numbers for RedbStore {
    async fn totals(&self) -> Result<Totals, StoreError> {
        self.point(Snapshot::totals).await
    }

    async fn days(&self, limit: usize) -> Result<Vec<DayRecord>, StoreError> {
        self.scan(move |snapshot| snapshot.days(limit)).await
    }

    async fn largest_blobs(
        &self,
        page: PageRequest<BlobPlace>,
        limit: usize,
    ) -> Result<Page<BlobRecord, BlobPlace>, StoreError> {
        self.scan(move |snapshot| snapshot.largest_blobs(&page, limit)).await
    }

    async fn sizes(
        &self,
        repository: &RepositoryName,
        page: PageRequest<String>,
    ) -> Result<Page<SizedDigest, Digest>, StoreError> {
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.sizes(&repository, &page)).await
    }
}
