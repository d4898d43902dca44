//! What goes by the whole, within the database: manifests, which are kept for a while, and all of a repository.

use super::super::failure::{Failure, number, stored};
use super::super::query::query;
use super::{Transaction, wanted};
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName};
use crate::store::deleted_manifest::{self, Kept};
use crate::store::ledger::View as _;
use crate::store::tombstone;

/// What was kept before of what is kept now is replaced. `$2` is one digest, or nothing for all.
const REPLACE_KEPT: &str = "
WITH gone AS (
    DELETE FROM deleted_manifests d USING manifests m
    WHERE d.repository = $1 AND m.repository = $1 AND m.digest = d.digest AND ($2::text IS NULL OR d.digest = $2)
    RETURNING d.size
)
SELECT count(*), coalesce(sum(size), 0)::bigint FROM gone";
const REMOVE_MANIFESTS: &str = "
WITH gone AS (
    DELETE FROM manifests WHERE repository = $1 AND ($2::text IS NULL OR digest = $2)
    RETURNING repository, digest, document, bytes
), kept AS (
    INSERT INTO deleted_manifests (repository, digest, at, size, document, bytes)
    SELECT repository, digest, $3::bigint, octet_length(document) + octet_length(bytes), document, bytes FROM gone
    RETURNING size
)
SELECT count(*), coalesce(sum(size), 0)::bigint FROM kept";
const REMOVE_IMAGES: &str = "DELETE FROM images WHERE repository = $1 AND ($2::text IS NULL OR digest = $2)";
const REMOVE_CHILDREN: &str =
    "DELETE FROM children WHERE repository = $1 AND ($2::text IS NULL OR parent = $2) RETURNING child";
const REMOVE_TAGS: &str = "
WITH gone AS (DELETE FROM tags WHERE repository = $1 RETURNING 1) SELECT count(*) FROM gone";
const REMOVE_FLAWS: &str = "
WITH gone AS (DELETE FROM flaws WHERE repository = $1 RETURNING kind),
counted AS (SELECT kind, count(*) AS count FROM gone GROUP BY kind)
UPDATE flaw_counts c SET count = c.count - counted.count FROM counted WHERE c.kind = counted.kind";

const OLDEST_TOMBSTONES: &str =
    "SELECT repository, reference, at FROM tombstones ORDER BY at, repository, reference LIMIT $1";
const FORGET_TOMBSTONES: &str = "
DELETE FROM tombstones t USING unnest($1::text[], $2::text[]) AS k(repository, reference)
WHERE t.repository = k.repository AND t.reference = k.reference";
const OLDEST_DELETED: &str =
    "SELECT repository, digest, at, size FROM deleted_manifests ORDER BY at, repository, digest LIMIT $1";
const FORGET_DELETED: &str = "
DELETE FROM deleted_manifests d USING unnest($1::text[], $2::text[]) AS k(repository, digest)
WHERE d.repository = k.repository AND d.digest = k.digest";

/// So many are looked at, one after another, when the oldest go.
const LOOKED_AT: i64 = 100;

impl Transaction<'_> {
    /// A manifest goes, and is kept for a while.
    pub(super) fn remove_manifest(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.touch(repository, digest);
        for child in self.remove_manifests(repository, Some(digest), now)? {
            self.touch(repository, &child);
        }
        self.rows.get_mut().manifests.forget(|key| key.0 == *repository && key.1 == *digest);
        Ok(())
    }

    /// A repository goes, with all that is in it.
    pub(super) fn remove_repository(
        &mut self,
        repository: &RepositoryName,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let row = self.repository(repository)?;
        self.remove_manifests(repository, None, now)?;
        let name = repository.to_string();
        let queries = [
            query!("DELETE FROM repositories WHERE name = $1", name.clone()),
            query!(REMOVE_TAGS, name.clone()),
            query!("DELETE FROM blobs WHERE repository = $1", name.clone()),
            query!(REMOVE_FLAWS, name),
        ];
        let answers = self.link.get_mut().send(&queries)?;
        let tags: i64 = match answers.get(1).and_then(|rows| rows.first()) {
            Some(row) => row.try_get(0)?,
            None => 0,
        };
        let totals = &mut self.sums.totals;
        totals.tags = totals.tags.saturating_sub(number(tags));
        if let Some(row) = row {
            totals.repositories = totals.repositories.saturating_sub(1);
            totals.bytes = totals.bytes.wrapping_sub(row.bytes);
            let empty = &mut self.sums.empty_repositories;
            *empty = empty.saturating_sub(u64::from(row.is_empty()));
        }
        let rows = self.rows.get_mut();
        rows.repositories.forget(|key| key == repository);
        rows.tags.forget(|key| key.0 == *repository);
        rows.manifests.forget(|key| key.0 == *repository);
        rows.blobs.forget(|key| key.0 == *repository);
        Ok(())
    }

    /// One manifest of a repository goes, or all. Answers the manifests that they named.
    fn remove_manifests(
        &mut self,
        repository: &RepositoryName,
        digest: Option<&Digest>,
        now: Timestamp,
    ) -> Result<Vec<Digest>, Failure> {
        self.flush()?;
        let (name, digest) = (repository.to_string(), digest.map(ToString::to_string));
        let queries = [
            query!(REPLACE_KEPT, name.clone(), digest.clone()),
            query!(REMOVE_MANIFESTS, name.clone(), digest.clone(), stored(now.as_milliseconds())),
            query!(REMOVE_IMAGES, name.clone(), digest.clone()),
            query!(REMOVE_CHILDREN, name, digest),
        ];
        let answers = self.link.get_mut().send(&queries)?;
        let sums = |place: usize| -> Result<(u64, u64), Failure> {
            match answers.get(place).and_then(|rows| rows.first()) {
                Some(row) => Ok((number(row.try_get(0)?), number(row.try_get(1)?))),
                None => Ok((0, 0)),
            }
        };
        let ((replaced, replaced_bytes), (kept, kept_bytes)) = (sums(0)?, sums(1)?);
        let deleted = &mut self.sums.deleted;
        deleted.count = (deleted.count + kept).saturating_sub(replaced);
        deleted.bytes = (deleted.bytes + kept_bytes).saturating_sub(replaced_bytes);
        self.sums.totals.manifests = self.sums.totals.manifests.saturating_sub(kept);
        self.deleted_at = self.deleted_at.max(Some(now));
        let children = answers.get(3).into_iter().flatten();
        children.map(|row| wanted::digest(row.try_get(0)?)).collect()
    }

    /// Lets go of the oldest of what is kept of the past, where it is too much or too old.
    pub(super) fn purge(&mut self) -> Result<(), Failure> {
        let held = self.sums.time;
        if let Some(now) = self.buried_at.take()
            && self.sums.tombstones > 0
        {
            self.flush()?;
            let mut count = self.sums.tombstones;
            self.purge_oldest(OLDEST_TOMBSTONES, FORGET_TOMBSTONES, |at, _| {
                let is_over = tombstone::is_over(at, count, now, held);
                count -= u64::from(is_over);
                is_over
            })?;
            self.sums.tombstones = count;
        }
        if let Some(now) = self.deleted_at.take() {
            let mut kept = self.sums.deleted;
            self.purge_oldest(OLDEST_DELETED, FORGET_DELETED, |at, size| {
                let is_over = deleted_manifest::is_over(at, kept, now, held);
                if is_over {
                    kept = Kept {
                        count: kept.count.saturating_sub(1),
                        bytes: kept.bytes.saturating_sub(size.unwrap_or(0)),
                    };
                }
                is_over
            })?;
            self.sums.deleted = kept;
        }
        Ok(())
    }

    fn purge_oldest(
        &self,
        oldest: &'static str,
        forget: &'static str,
        mut is_over: impl FnMut(Timestamp, Option<u64>) -> bool,
    ) -> Result<(), Failure> {
        loop {
            let mut gone: (Vec<String>, Vec<String>) = Default::default();
            let rows = self.ask(query!(oldest, LOOKED_AT))?;
            let looked_at = rows.len();
            for row in rows {
                let size: Option<i64> = if row.len() > 3 { Some(row.try_get(3)?) } else { None };
                let at = Timestamp::from_milliseconds(number(row.try_get(2)?));
                if !is_over(at, size.map(number)) {
                    break;
                }
                gone.0.push(row.try_get(0)?);
                gone.1.push(row.try_get(1)?);
            }
            let count = gone.0.len();
            if count > 0 {
                self.ask(query!(forget, gone.0, gone.1))?;
            }
            if count < looked_at || looked_at == 0 {
                return Ok(());
            }
        }
    }
}
