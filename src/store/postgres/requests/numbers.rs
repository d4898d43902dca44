//! [`Numbers`] over the database.

use async_trait::async_trait;

use super::super::PostgresStore;
use super::super::failure::{decode, number};
use super::super::query::query;
use super::super::reading::{any_text, page, rows_for, understood};
use super::super::transaction::{digest, name};
use crate::oci::{Digest, RepositoryName};
use crate::store::blob::Largest;
use crate::store::day::DayRow;
use crate::store::row::BlobRow;
use crate::store::{
    BlobPlace, BlobRecord, DayRecord, Numbers, Page, PageRequest, SizedDigest, StoreError, Totals,
};

const BLOBS: &str = "
SELECT repository, digest, content FROM blobs
WHERE $1::text IS NULL OR (repository, digest) > ($1, $2::text) ORDER BY repository, digest LIMIT $3";
/// Manifests by their bytes, blobs by what was said of them. A digest of both kinds is the manifest's: its bytes are known.
const SIZES: &str = "
SELECT digest, size, content FROM (
    (SELECT digest, octet_length(bytes)::bigint AS size, NULL::bytea AS content FROM manifests
     WHERE repository = $1 AND ($2::text IS NULL OR digest > $2) ORDER BY digest LIMIT $3)
    UNION ALL
    (SELECT digest, NULL, content FROM blobs b WHERE repository = $1 AND ($2::text IS NULL OR digest > $2)
     AND NOT EXISTS (SELECT 1 FROM manifests m WHERE m.repository = $1 AND m.digest = b.digest)
     ORDER BY digest LIMIT $3)
) both_kinds ORDER BY digest LIMIT $3";

#[async_trait]
impl Numbers for PostgresStore {
    async fn totals(&self) -> Result<Totals, StoreError> {
        Ok(self.sums().await?.totals)
    }

    async fn days(&self, limit: usize) -> Result<Vec<DayRecord>, StoreError> {
        let sql = "SELECT day, content FROM days ORDER BY day DESC LIMIT $1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.rows(query!(sql, limit)).await?;
        understood(|| {
            let mut days = Vec::new();
            for row in &rows {
                let day = number(row.try_get(0)?);
                let row: DayRow = decode(|| format!("day {day}"), row.try_get(1)?)?;
                days.push(row.record(day));
            }
            Ok(days)
        })
    }

    async fn largest_blobs(
        &self,
        request: PageRequest<BlobPlace>,
        limit: usize,
    ) -> Result<Page<BlobRecord, BlobPlace>, StoreError> {
        let after = request.after.map(|place| (place.repository.to_string(), place.digest.to_string()));
        let (repository, of) = after.unzip();
        let rows = self.rows(query!(BLOBS, repository, of, rows_for(request.limit))).await?;
        let Page { items, next } = page(&rows, request.limit, false, |row| {
            let place = BlobPlace { repository: name(row.try_get(0)?)?, digest: digest(row.try_get(1)?)? };
            let row: BlobRow = decode(
                || format!("blob row of `{}` in `{}`", place.digest, place.repository),
                row.try_get(2)?,
            )?;
            Ok((place.clone(), BlobRecord { place, size: row.size, holders: row.holders }))
        })?;
        let mut largest = Largest::new(limit);
        items.into_iter().for_each(|blob| largest.put(blob));
        Ok(Page { items: largest.into_sorted(), next })
    }

    async fn sizes(
        &self,
        repository: &RepositoryName,
        request: PageRequest<String>,
    ) -> Result<Page<SizedDigest, Digest>, StoreError> {
        let rows = self
            .rows(query!(SIZES, repository.to_string(), any_text(request.after), rows_for(request.limit)))
            .await?;
        page(&rows, request.limit, false, |row| {
            let digest = digest(row.try_get(0)?)?;
            let (known, said): (Option<i64>, Option<&[u8]>) = (row.try_get(1)?, row.try_get(2)?);
            let size = match (known, said) {
                (Some(known), _) => number(known),
                (None, Some(said)) => {
                    let row: BlobRow = decode(|| format!("blob row of `{digest}` in `{repository}`"), said)?;
                    row.size
                }
                (None, None) => 0,
            };
            Ok((digest.clone(), SizedDigest { digest, size }))
        })
    }
}
