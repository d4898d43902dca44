//! [`Health`] over the database.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::super::PostgresStore;
use super::super::failure::{Failure, number};
use super::super::query::query;
use super::super::reading::{page, rows_for, understood};
use super::super::transaction::{digest, name, reference};
use crate::oci::{Digest, Reference};
use crate::store::{Flaw, FlawCounts, FlawRecord, Flawed, Health, Page, PageRequest, StoreError};

/// Behind which place a page begins: a repository and what in it.
macro_rules! behind {
    ($repository:literal, $reference:literal) => {
        concat!("($1::text IS NULL OR (", $repository, ", ", $reference, ") > ($1, $2::text))")
    };
}

const EMPTY: &str = "
SELECT name, NULL::text, NULL::text[] FROM repositories WHERE is_empty AND ($1::text IS NULL OR name > $1) AND $2::text IS NOT DISTINCT FROM $2
ORDER BY name LIMIT $3";
const LOST: &str = concat!(
    "SELECT repository, tag, ARRAY[digest] FROM tags WHERE is_missing AND ",
    behind!("repository", "tag"),
    " ORDER BY repository, tag LIMIT $3"
);
/// Children that are not there, each once and in the order of the index; at most [`MAXIMUM_LACKING`](crate::store::flaw::MAXIMUM_LACKING).
const MISSING_CHILDREN: &str = concat!(
    "SELECT f.repository, f.digest, ARRAY(SELECT c.child FROM children c
     WHERE c.repository = f.repository AND c.parent = f.digest
     AND NOT EXISTS (SELECT 1 FROM manifests m WHERE m.repository = c.repository AND m.digest = c.child)
     ORDER BY c.place LIMIT 100)
     FROM flaws f WHERE f.kind = 'missing_children' AND ",
    behind!("f.repository", "f.digest"),
    " ORDER BY f.repository, f.digest LIMIT $3"
);
const MISSING_SUBJECT: &str = concat!(
    "SELECT f.repository, f.digest, ARRAY[m.subject] FROM flaws f
     JOIN manifests m ON m.repository = f.repository AND m.digest = f.digest WHERE f.kind = 'missing_subject' AND ",
    behind!("f.repository", "f.digest"),
    " ORDER BY f.repository, f.digest LIMIT $3"
);
const UNTAGGED: &str = concat!(
    "SELECT f.repository, f.digest, NULL::text[] FROM flaws f WHERE f.kind = 'untagged' AND ",
    behind!("f.repository", "f.digest"),
    " ORDER BY f.repository, f.digest LIMIT $3"
);

#[async_trait]
impl Health for PostgresStore {
    async fn flaw_counts(&self) -> Result<FlawCounts, StoreError> {
        let rows = self.rows(query!("SELECT kind, count FROM flaw_counts")).await?;
        let sums = self.sums().await?;
        understood(|| {
            let mut counts = FlawCounts {
                lost_tag: sums.missing.tags,
                empty_repository: sums.empty_repositories,
                ..FlawCounts::default()
            };
            for row in &rows {
                let kind: &str = row.try_get(0)?;
                if let Ok(flaw) = kind.parse::<Flaw>() {
                    *counts.of_mut(flaw) = number(row.try_get::<_, i64>(1)?.max(0));
                }
            }
            Ok(counts)
        })
    }

    async fn flawed(
        &self,
        flaw: Flaw,
        request: PageRequest<Flawed>,
    ) -> Result<Page<FlawRecord, Flawed>, StoreError> {
        let sql = match flaw {
            Flaw::MissingChildren => MISSING_CHILDREN,
            Flaw::MissingSubject => MISSING_SUBJECT,
            Flaw::LostTag => LOST,
            Flaw::EmptyRepository => EMPTY,
            Flaw::Untagged => UNTAGGED,
        };
        let after = request.after.map(|Flawed { repository, reference }| {
            (repository.to_string(), reference.as_ref().map_or("", Reference::as_str).to_owned())
        });
        let (repository, reference) = after.unzip();
        let rows = self.rows(query!(sql, repository, reference, rows_for(request.limit))).await?;
        page(&rows, request.limit, false, record)
    }
}

fn record(row: &Row) -> Result<(Flawed, FlawRecord), Failure> {
    let about: Option<&str> = row.try_get(1)?;
    let lacks: Option<Vec<&str>> = row.try_get(2)?;
    let about = Flawed { repository: name(row.try_get(0)?)?, reference: about.map(reference).transpose()? };
    let lacks: Vec<Digest> = lacks.into_iter().flatten().map(digest).collect::<Result<_, _>>()?;
    Ok((about.clone(), FlawRecord { about, lacks }))
}
