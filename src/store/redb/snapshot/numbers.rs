//! How much there is, what happened on each day, and what takes the most room.

use std::ops::Bound;

use redb::{ReadableTable, ReadableTableMetadata};

use super::super::failure::Failure;
use super::super::tables::{
    BLOBS, DAYS, MANIFESTS, META, META_BYTES, REPOSITORIES, TAGS, decode, number, stored_digest, stored_name,
};
use super::Snapshot;
use crate::store::blob::Largest;
use crate::store::day::DayRow;
use crate::store::record::MAXIMUM_PAGE;
use crate::store::row::BlobRow;
use crate::store::{BlobPlace, BlobRecord, DayRecord, Page, PageRequest, Totals};

impl Snapshot {
    pub(crate) fn totals(&self) -> Result<Totals, Failure> {
        Ok(Totals {
            repositories: self.0.open_table(REPOSITORIES)?.len()?,
            tags: self.0.open_table(TAGS)?.len()?,
            manifests: self.0.open_table(MANIFESTS)?.len()?,
            bytes: number(&self.0.open_table(META)?, META_BYTES)?,
        })
    }

    pub(crate) fn days(&self, limit: usize) -> Result<Vec<DayRecord>, Failure> {
        let mut days = Vec::new();
        for entry in self.0.open_table(DAYS)?.iter()?.rev().take(limit) {
            let (day, row) = entry?;
            let day = day.value();
            let row: DayRow = decode(|| format!("day {day}"), row.value())?;
            days.push(row.record(day));
        }
        Ok(days)
    }

    pub(crate) fn largest_blobs(
        &self,
        page: &PageRequest<BlobPlace>,
        limit: usize,
    ) -> Result<Page<BlobRecord, BlobPlace>, Failure> {
        let table = self.0.open_table(BLOBS)?;
        let after = page.after.as_ref().map(|place| (place.repository.as_str(), place.digest.as_str()));
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let mut largest = Largest::new(limit);
        let rows = page.limit.min(MAXIMUM_PAGE);
        let place = |repository: &str, digest: &str| -> Result<BlobPlace, Failure> {
            Ok(BlobPlace { repository: stored_name(repository)?, digest: stored_digest(digest)? })
        };
        for (number, entry) in table.range::<(&str, &str)>(range)?.enumerate() {
            let (key, row) = entry?;
            let (repository, digest) = key.value();
            let row: BlobRow = decode(|| format!("blob row of `{digest}` in `{repository}`"), row.value())?;
            if largest.may_have(row.size) {
                let place = place(repository, digest)?;
                largest.put(BlobRecord { place, size: row.size, holders: row.holders });
            }
            if number + 1 >= rows {
                let next = table.range(key.value()..)?.nth(1).transpose()?;
                let next = next.map(|_| place(repository, digest)).transpose()?;
                return Ok(Page { items: largest.into_sorted(), next });
            }
        }
        Ok(Page { items: largest.into_sorted(), next: None })
    }
}
