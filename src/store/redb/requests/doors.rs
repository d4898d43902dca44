//! [`Doors`] over the file, which one door has to itself.

use async_trait::async_trait;

use super::super::RedbStore;
use crate::store::{Beat, DoorId, Doors, Incarnation, Lease, LeaseName, StoreError};

/// The only door of a file.
pub(in crate::store::redb) const ALONE: Incarnation = Incarnation { door: DoorId(0), epoch: 0 };

#[async_trait]
impl Doors for RedbStore {
    fn is_shared(&self) -> bool {
        false
    }

    async fn beat(&self) -> Result<Vec<Beat>, StoreError> {
        Ok(Vec::new())
    }

    async fn adopt(&self, _: Beat) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn rejoin(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn acquire(&self, name: LeaseName) -> Result<Option<Lease>, StoreError> {
        Ok(Some(Lease { name, epoch: 0 }))
    }

    async fn release(&self, _: Lease) -> Result<(), StoreError> {
        Ok(())
    }
}
