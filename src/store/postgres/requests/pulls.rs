//! [`Pulls`] over the database.

use async_trait::async_trait;

use super::super::PostgresStore;
use super::super::failure::Failure;
use super::super::shared::Shared;
use super::super::transaction::Transaction;
use crate::store::group::Work;
use crate::store::{Pull, Pulls, StoreError};

/// [`Pulls::record_pulls`].
struct RecordPulls(Vec<Pull>);

impl Work<Shared> for RecordPulls {
    type Answer = ();
    const ATTEMPTED: &'static str = "count pulls";

    fn prepare(&self, transaction: &mut Transaction<'_>) {
        self.0.iter().for_each(|pull| transaction.wanted().pull(pull));
    }

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        self.0.iter().try_for_each(|pull| transaction.record_pull(pull))
    }
}

#[async_trait]
impl Pulls for PostgresStore {
    async fn record_pulls(&self, pulls: Vec<Pull>) -> Result<(), StoreError> {
        self.write(RecordPulls(pulls)).await
    }
}
