//! [`Numbers`] over maps.

use async_trait::async_trait;

use super::{MemoryStore, State};
use crate::store::blob::Largest;
use crate::store::day::{DayCounts, DayRow, MAXIMUM_DAYS};
use crate::store::record::MAXIMUM_PAGE;
use crate::store::{BlobPlace, BlobRecord, DayRecord, Numbers, Page, PageRequest, StoreError, Totals};

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
}
