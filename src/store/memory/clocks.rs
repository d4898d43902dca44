//! [`Clocks`] over maps.

use async_trait::async_trait;

use super::MemoryStore;
use crate::clock::{Estimate, Timestamp};
use crate::store::{Clocks, StoreError};

#[async_trait]
impl Clocks for MemoryStore {
    async fn keep_clock(&self, estimate: Estimate) -> Result<(), StoreError> {
        self.write("keep what is known of the registry's clock", |state| state.clock = Some(estimate)).await
    }

    async fn kept_clock(&self) -> Result<Option<Estimate>, StoreError> {
        self.point(|state| state.clock)
    }

    async fn keep_time(&self, time: Timestamp) -> Result<(), StoreError> {
        self.write("keep the time", |state| state.time = Some(time)).await
    }

    async fn kept_time(&self) -> Result<Option<Timestamp>, StoreError> {
        self.point(|state| state.time)
    }
}
