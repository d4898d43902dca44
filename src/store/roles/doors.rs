//! What a door tells the others, and what it does for all of them.

use async_trait::async_trait;

use crate::store::{Beat, Lease, LeaseName, StoreError};

/// The doors of one record. A store with one door grants everything, and has no other door to take for dead.
#[async_trait]
pub trait Doors: Send + Sync + 'static {
    /// Whether other doors may share the record. Cheap.
    fn is_shared(&self) -> bool;

    /// Shows that this door lives, and answers how often each door was heard, this one included; nothing where there is but
    /// one. Durable.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if this door was taken for dead.
    async fn beat(&self) -> Result<Vec<Beat>, StoreError>;

    /// Takes another door for dead, unless it was heard again since: what it carried has no known outcome, what it was to
    /// carry goes, and its leases are free. Answers whether it did. Durable.
    async fn adopt(&self, last_heard: Beat) -> Result<bool, StoreError>;

    /// Begins another life of this door. Durable.
    async fn rejoin(&self) -> Result<(), StoreError>;

    /// Takes a lease that is free, or is this door's already; answers nothing while another door holds it. Durable.
    async fn acquire(&self, name: LeaseName) -> Result<Option<Lease>, StoreError>;

    /// Gives a lease back. Durable.
    async fn release(&self, lease: Lease) -> Result<(), StoreError>;
}
