//! [`Pulls`] over maps.

use async_trait::async_trait;

use super::MemoryStore;
use crate::store::day::DayCounts;
use crate::store::{Pull, Pulls, StoreError};

#[async_trait]
impl Pulls for MemoryStore {
    async fn record_pulls(&self, pulls: Vec<Pull>) -> Result<(), StoreError> {
        self.write("count pulls", |state| {
            for pull in pulls {
                let Some(row) = state.repositories.get_mut(&pull.repository) else { continue };
                row.add_pulls(&pull);
                if let Some((day, counts)) = DayCounts::of_pull(&pull) {
                    state.count_on_day(day, counts);
                }
                let Some(tag) = pull.tag.clone() else { continue };
                if let Some(row) = state.tags.get_mut(&(pull.repository.clone(), tag)) {
                    row.add_pulls(&pull);
                }
            }
        })
        .await
    }
}
