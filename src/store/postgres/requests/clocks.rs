//! [`Clocks`] over the database.

use async_trait::async_trait;

use super::super::PostgresStore;
use super::super::failure::Failure;
use super::super::shared::Shared;
use super::super::transaction::Transaction;
use crate::clock::{Estimate, Timestamp};
use crate::store::group::Work;
use crate::store::{Clocks, StoreError};

/// [`Clocks::keep_clock`].
struct KeepClock(Estimate);

impl Work<Shared> for KeepClock {
    type Answer = ();
    const ATTEMPTED: &'static str = "keep what is known of the registry's clock";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.keep_clock(self.0);
        Ok(())
    }
}

/// [`Clocks::keep_time`].
struct KeepTime(Timestamp);

impl Work<Shared> for KeepTime {
    type Answer = ();
    const ATTEMPTED: &'static str = "keep the time";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.keep_time(self.0);
        Ok(())
    }
}

#[async_trait]
impl Clocks for PostgresStore {
    async fn keep_clock(&self, estimate: Estimate) -> Result<(), StoreError> {
        self.write(KeepClock(estimate)).await
    }

    async fn kept_clock(&self) -> Result<Option<Estimate>, StoreError> {
        Ok(self.sums().await?.clock)
    }

    async fn keep_time(&self, time: Timestamp) -> Result<(), StoreError> {
        self.write(KeepTime(time)).await
    }

    async fn kept_time(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.sums().await?.time)
    }
}
