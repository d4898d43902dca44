//! [`SweepState`] over maps.

use async_trait::async_trait;

use super::MemoryStore;
use crate::store::{KeptSweep, Lease, StoreError, SweepState};

#[async_trait]
impl SweepState for MemoryStore {
    async fn keep_sweep(&self, lease: Lease, checkpoint: Vec<u8>, marks: Vec<u64>) -> Result<(), StoreError> {
        self.write_under(lease, "keep how far a sweep is", |state| {
            let kept = state.sweep.get_or_insert_default();
            kept.checkpoint = checkpoint;
            kept.marks.extend(marks);
        })
        .await
    }

    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError> {
        self.scan(|state| state.sweep.clone()).await
    }

    async fn forget_sweep(&self, lease: Lease) -> Result<(), StoreError> {
        self.write_under(lease, "forget how far a sweep was", |state| state.sweep = None).await
    }
}
