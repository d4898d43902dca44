//! How much there is, what happened on each day, and what takes the most room.

use std::ops::Bound;

use redb::{AccessGuard, ReadableTable, ReadableTableMetadata};

use super::super::failure::Failure;
use super::super::tables::{
    BLOBS, DAYS, Json, MANIFESTS, META, META_BYTES, ManifestRows, REPOSITORIES, TAGS, TwoKeys, behind,
    decode, number, stored_digest, stored_name,
};
use super::Snapshot;
use super::page::{Filling, keys_behind};
use crate::oci::{Digest, RepositoryName};
use crate::store::blob::Largest;
use crate::store::day::DayRow;
use crate::store::record::MAXIMUM_PAGE;
use crate::store::row::BlobRow;
use crate::store::{BlobPlace, BlobRecord, DayRecord, Page, PageRequest, SizedDigest, Totals};

type Row<'a, V> = Result<(AccessGuard<'a, TwoKeys>, AccessGuard<'a, V>), redb::StorageError>;

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

    pub(crate) fn sizes(
        &self,
        repository: &RepositoryName,
        page: &PageRequest<String>,
    ) -> Result<Page<SizedDigest, Digest>, Failure> {
        let (manifests, blobs) = (self.0.open_table(MANIFESTS)?, self.0.open_table(BLOBS)?);
        let end = behind(repository);
        let after = page.after.as_deref().unwrap_or_default();
        let mut manifests =
            manifests.range(keys_behind(repository, &end, after))?.map(|entry: Row<'_, ManifestRows>| {
                let (key, rows) = entry?;
                let (_, _, bytes) = rows.value();
                Ok::<_, Failure>(SizedDigest {
                    digest: stored_digest(key.value().1)?,
                    size: bytes.len() as u64,
                })
            });
        let mut blobs = blobs.range(keys_behind(repository, &end, after))?.map(|entry: Row<'_, Json>| {
            let (key, row) = entry?;
            let digest = stored_digest(key.value().1)?;
            let row: BlobRow = decode(|| format!("blob row of `{digest}` in `{repository}`"), row.value())?;
            Ok::<_, Failure>(SizedDigest { digest, size: row.size })
        });
        let mut filling = Filling::of(page.limit);
        let mut manifest = manifests.next().transpose()?;
        let mut blob = blobs.next().transpose()?;
        loop {
            // A digest of both kinds is the manifest's: its bytes are known, not only said.
            if blob.is_some()
                && blob.as_ref().map(|blob| &blob.digest) == manifest.as_ref().map(|one| &one.digest)
            {
                blob = blobs.next().transpose()?;
            }
            let is_manifest = match (&manifest, &blob) {
                (None, None) => return Ok(filling.end()),
                (Some(manifest), Some(blob)) => manifest.digest < blob.digest,
                (manifest, _) => manifest.is_some(),
            };
            if filling.is_full() {
                return Ok(filling.part());
            }
            let next = match is_manifest {
                true => std::mem::replace(&mut manifest, manifests.next().transpose()?),
                false => std::mem::replace(&mut blob, blobs.next().transpose()?),
            };
            if let Some(next) = next {
                filling.push(next.digest.clone(), next);
            }
        }
    }
}
