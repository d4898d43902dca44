//! What a sweep keeps over a restart.

use async_trait::async_trait;

use crate::store::{KeptSweep, Lease, StoreError};

/// How far a sweep is.
#[async_trait]
pub trait SweepState: Send + Sync + 'static {
    /// Keeps for a later run what a sweep has done so far: its checkpoint instead of the last one, and these marks beside
    /// those kept before. Durable.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    async fn keep_sweep(&self, lease: Lease, checkpoint: Vec<u8>, marks: Vec<u64>) -> Result<(), StoreError>;

    /// What was kept of a sweep.
    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError>;

    /// Forgets what was kept of a sweep. Durable.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    async fn forget_sweep(&self, lease: Lease) -> Result<(), StoreError>;
}
