//! What is kept of the registry's clock and of the door's own.

use async_trait::async_trait;

use crate::clock::{Estimate, Timestamp};
use crate::store::StoreError;

/// What is known of clocks, kept over a restart.
#[async_trait]
pub trait Clocks: Send + Sync + 'static {
    /// Keeps for a later run what is known of the registry's clock. Durable.
    async fn keep_clock(&self, estimate: Estimate) -> Result<(), StoreError>;

    /// What was kept of the registry's clock.
    async fn kept_clock(&self) -> Result<Option<Estimate>, StoreError>;

    /// Keeps for a later run the last time of the door's clock that has held. What the store lets go of because it is old, is
    /// old by this time. Durable.
    async fn keep_time(&self, time: Timestamp) -> Result<(), StoreError>;

    /// What was kept so.
    async fn kept_time(&self) -> Result<Option<Timestamp>, StoreError>;
}
