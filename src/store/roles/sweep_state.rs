//! What sweeps are asked for, and what is kept of them: for a restart, and for doors that do not sweep.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::store::{
    BegunSweep, KeptSweep, Lease, RequestedSweep, StoreError, SweepKind, SweepQueue, SweepReport, SweepUpdate,
};

/// The queue of sweeps, and how far the one is that is under way. Any door asks; the one that holds the lease sweeps.
#[async_trait]
pub trait SweepState: Send + Sync + 'static {
    /// Asks for a sweep that begins from now on. It stays asked for until it has ended. `since` is since when sweeps are
    /// numbered if they were not. Durable.
    async fn request_sweep(&self, kind: SweepKind, since: Timestamp) -> Result<RequestedSweep, StoreError>;

    /// Which sweeps are asked for, and the last number. Cheap.
    async fn sweep_queue(&self) -> Result<SweepQueue, StoreError>;

    /// Begins the next sweep: one that is asked for, or else the one that is due; nothing if there is none. Durable.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    async fn begin_sweep(
        &self,
        lease: Lease,
        due: Option<SweepKind>,
        since: Timestamp,
    ) -> Result<Option<BegunSweep>, StoreError>;

    /// Keeps for a later run what a sweep has done so far. Durable.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    async fn keep_sweep(&self, lease: Lease, update: SweepUpdate) -> Result<(), StoreError>;

    /// What was kept of a sweep.
    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError>;

    /// Shows other doors what this one, which sweeps, is at. Durable.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    async fn show_sweep(&self, lease: Lease, activity: Vec<u8>) -> Result<(), StoreError>;

    /// Ends the sweep with this number: keeps what outlives it, and how it ended. What was shown of it goes. Durable.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    async fn end_sweep(
        &self,
        lease: Lease,
        number: u64,
        update: SweepUpdate,
        finished: Vec<u8>,
    ) -> Result<(), StoreError>;

    /// What was shown and kept of sweeps for those that do not sweep.
    async fn sweep_report(&self) -> Result<SweepReport, StoreError>;
}
