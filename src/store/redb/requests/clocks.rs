//! [`Clocks`] over the file.

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::failure::Failure;
use super::super::shared::Shared;
use super::super::snapshot::Snapshot;
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
        transaction.keep_clock(self.0)
    }
}

/// [`Clocks::keep_time`].
struct KeepTime(Timestamp);

impl Work<Shared> for KeepTime {
    type Answer = ();
    const ATTEMPTED: &'static str = "keep the time";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.keep_time(self.0)
    }
}

#[async_trait]
impl Clocks for RedbStore {
    async fn keep_clock(&self, estimate: Estimate) -> Result<(), StoreError> {
        self.write(KeepClock(estimate)).await
    }

    async fn kept_clock(&self) -> Result<Option<Estimate>, StoreError> {
        self.point(Snapshot::kept_clock).await
    }

    async fn keep_time(&self, time: Timestamp) -> Result<(), StoreError> {
        self.write(KeepTime(time)).await
    }

    async fn kept_time(&self) -> Result<Option<Timestamp>, StoreError> {
        self.point(Snapshot::kept_time).await
    }
}
