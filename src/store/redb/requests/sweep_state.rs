//! [`SweepState`] over the file.

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::failure::Failure;
use super::super::shared::Shared;
use super::super::snapshot::Snapshot;
use super::super::transaction::Transaction;
use crate::store::group::Work;
use crate::store::{KeptSweep, Lease, StoreError, SweepState};

/// [`SweepState::keep_sweep`].
struct KeepSweep {
    checkpoint: Vec<u8>,
    marks: Vec<u64>,
}

impl Work<Shared> for KeepSweep {
    type Answer = ();
    const ATTEMPTED: &'static str = "keep how far a sweep is";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.keep_sweep(&self.checkpoint, &self.marks)
    }
}

/// [`SweepState::forget_sweep`].
struct ForgetSweep;

impl Work<Shared> for ForgetSweep {
    type Answer = ();
    const ATTEMPTED: &'static str = "forget how far a sweep was";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.forget_sweep()
    }
}

#[async_trait]
impl SweepState for RedbStore {
    async fn keep_sweep(&self, _: Lease, checkpoint: Vec<u8>, marks: Vec<u64>) -> Result<(), StoreError> {
        self.write(KeepSweep { checkpoint, marks }).await
    }

    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError> {
        self.scan(Snapshot::kept_sweep).await
    }

    async fn forget_sweep(&self, _: Lease) -> Result<(), StoreError> {
        self.write(ForgetSweep).await
    }
}
