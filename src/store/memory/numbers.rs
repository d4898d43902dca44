//! [`Numbers`] over maps.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{MemoryStore, State, page};
use crate::oci::{Digest, RepositoryName};
use crate::store::blob::Largest;
use crate::store::day::{DayCounts, DayRow, MAXIMUM_DAYS};
use crate::store::record::MAXIMUM_PAGE;
use crate::store::{
    BlobPlace, BlobRecord, DayRecord, Numbers, Page, PageRequest, SizedDigest, StoreError, Totals,
};

impl State {
    fn totals(&self) -> Totals {
        Totals {
            repositories: self.repositories.len() as u64,
            tags: self.tags.len() as u64,
            manifests: self.manifests.len() as u64,
            bytes: self.repositories.values().fold(0, |sum: u64, row| sum.wrapping_add(row.bytes)),
        }
    }

    /// Counts what happened on a day.
    pub(super) fn count_on_day(&mut self, day: u64, counts: DayCounts) {
        let row = DayRow::with(self.days.get(&day).copied(), counts, self.totals());
        self.days.insert(day, row);
        while self.days.len() as u64 > MAXIMUM_DAYS {
            self.days.pop_first();
        }
    }
}

#[async_trait]
impl Numbers for MemoryStore {
    async fn totals(&self) -> Result<Totals, StoreError> {
        self.point(State::totals)
    }

    async fn days(&self, limit: usize) -> Result<Vec<DayRecord>, StoreError> {
        self.point(|state| state.days.iter().rev().take(limit).map(|(day, row)| row.record(*day)).collect())
    }

    async fn largest_blobs(
        &self,
        request: PageRequest<BlobPlace>,
        limit: usize,
    ) -> Result<Page<BlobRecord, BlobPlace>, StoreError> {
        self.scan(|state| {
            let places = state.blobs.iter().map(|((repository, digest), row)| BlobRecord {
                place: BlobPlace { repository: repository.clone(), digest: digest.clone() },
                size: row.size,
                holders: row.holders,
            });
            let mut behind = places.filter(|blob| Some(&blob.place) > request.after.as_ref());
            let (mut largest, mut last) = (Largest::new(limit), None);
            for blob in behind.by_ref().take(request.limit.min(MAXIMUM_PAGE)) {
                last = Some(blob.place.clone());
                largest.put(blob);
            }
            let next = behind.next().and(last);
            Page { items: largest.into_sorted(), next }
        })
        .await
    }

    async fn sizes(
        &self,
        repository: &RepositoryName,
        request: PageRequest<String>,
    ) -> Result<Page<SizedDigest, Digest>, StoreError> {
        self.scan(|state| {
            let blobs = state.blobs.iter().map(|((name, digest), row)| (name, digest, row.size));
            let manifests =
                state.manifests.iter().map(|((name, digest), (_, manifest))| (name, digest, manifest.size()));
            let all = blobs.chain(manifests).filter(|(name, digest, _)| {
                *name == repository && request.after.as_deref().is_none_or(|after| digest.as_str() > after)
            });
            // Manifests are last: of a digest of both kinds theirs is the size.
            let sizes: BTreeMap<&Digest, u64> = all.map(|(_, digest, size)| (digest, size)).collect();
            let sized = sizes
                .into_iter()
                .map(|(digest, size)| (digest.clone(), SizedDigest { digest: digest.clone(), size }));
            page(sized, request.limit)
        })
        .await
    }
}
