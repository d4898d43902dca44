//! Counts of pulls.

use async_trait::async_trait;

use crate::store::{Pull, StoreError};

/// How often and when what is recorded was pulled, and when it was looked at.
#[async_trait]
pub trait Pulls: Send + Sync + 'static {
    /// Adds pulls to the counts of what is recorded. What is not recorded is passed over: a pull records nothing. Makes no
    /// events. Durable.
    async fn record_pulls(&self, pulls: Vec<Pull>) -> Result<(), StoreError>;
}
