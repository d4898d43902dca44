//! [`Hints`] over the database.

use async_trait::async_trait;

use super::super::PostgresStore;
use super::super::failure::{Failure, decode};
use super::super::query::query;
use super::super::reading::{page, rows_for};
use super::super::shared::Shared;
use super::super::transaction::{Transaction, name, reference};
use crate::store::group::Work;
use crate::store::row::HintRow;
use crate::store::{Hint, HintedReference, Hints, Incarnation, Lease, Page, PageRequest, Queued, StoreError};

/// [`Hints::add_hints`].
struct AddHints(Vec<HintedReference>);

impl Work<Shared> for AddHints {
    type Answer = Queued;
    const ATTEMPTED: &'static str = "keep hints";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Queued, Failure> {
        transaction.add_hints(&self.0)
    }
}

/// [`Hints::postpone_hints`].
struct PostponeHints {
    by: Incarnation,
    lease: Lease,
    hints: Vec<Hint>,
}

impl Work<Shared> for PostponeHints {
    type Answer = ();
    const ATTEMPTED: &'static str = "put down when hints are looked at next";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.check_lease(self.by, self.lease)?;
        transaction.postpone_hints(&self.hints)
    }
}

/// [`Hints::remove_hints`].
struct RemoveHints(Vec<Hint>);

impl Work<Shared> for RemoveHints {
    type Answer = ();
    const ATTEMPTED: &'static str = "remove hints";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.remove_hints(&self.0)
    }
}

#[async_trait]
impl Hints for PostgresStore {
    async fn add_hints(&self, hints: Vec<HintedReference>) -> Result<Queued, StoreError> {
        self.write(AddHints(hints)).await
    }

    async fn hints(
        &self,
        request: PageRequest<HintedReference>,
    ) -> Result<Page<Hint, HintedReference>, StoreError> {
        let sql = "
SELECT repository, reference, content FROM hints
WHERE $1::text IS NULL OR (repository, reference) > ($1, $2::text) ORDER BY repository, reference LIMIT $3";
        let after =
            request.after.map(|after| (after.repository.to_string(), after.reference.as_str().to_owned()));
        let (repository, of) = after.unzip();
        let rows = self.rows(query!(sql, repository, of, rows_for(request.limit))).await?;
        page(&rows, request.limit, false, |row| {
            let about = HintedReference {
                repository: name(row.try_get(0)?)?,
                reference: reference(row.try_get(1)?)?,
            };
            let row: HintRow = decode(
                || format!("hint about `{}` in `{}`", about.reference.as_str(), about.repository),
                row.try_get(2)?,
            )?;
            Ok((about.clone(), row.into_hint(about)))
        })
    }

    async fn postpone_hints(&self, lease: Lease, hints: Vec<Hint>) -> Result<(), StoreError> {
        self.write(PostponeHints { by: self.shared.incarnation(), lease, hints }).await
    }

    async fn remove_hints(&self, hints: Vec<Hint>) -> Result<(), StoreError> {
        self.write(RemoveHints(hints)).await
    }
}
