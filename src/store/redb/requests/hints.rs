//! [`Hints`] over the file.

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::failure::Failure;
use super::super::shared::Shared;
use super::super::transaction::Transaction;
use crate::store::group::Work;
use crate::store::{Hint, HintedReference, Hints, Lease, Page, PageRequest, Queued, StoreError};

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
struct PostponeHints(Vec<Hint>);

impl Work<Shared> for PostponeHints {
    type Answer = ();
    const ATTEMPTED: &'static str = "put down when hints are looked at next";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.postpone_hints(&self.0)
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
impl Hints for RedbStore {
    async fn add_hints(&self, hints: Vec<HintedReference>) -> Result<Queued, StoreError> {
        self.write(AddHints(hints)).await
    }

    async fn hints(
        &self,
        page: PageRequest<HintedReference>,
    ) -> Result<Page<Hint, HintedReference>, StoreError> {
        self.scan(move |snapshot| snapshot.hints(&page)).await
    }

    async fn postpone_hints(&self, _: Lease, hints: Vec<Hint>) -> Result<(), StoreError> {
        self.write(PostponeHints(hints)).await
    }

    async fn remove_hints(&self, hints: Vec<Hint>) -> Result<(), StoreError> {
        self.write(RemoveHints(hints)).await
    }
}
