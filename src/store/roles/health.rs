//! What is wrong with what is held.

use async_trait::async_trait;

use crate::store::{Flaw, FlawCounts, FlawRecord, Flawed, Page, PageRequest, StoreError};

/// What is wrong with what is held, as far as the record alone tells. Kept up with every change.
#[async_trait]
pub trait Health: Send + Sync + 'static {
    /// How much there is of each kind. Cheap.
    async fn flaw_counts(&self) -> Result<FlawCounts, StoreError>;

    /// What has this flaw, in bytewise order of repositories and of references within them. A part of the list ends before its
    /// number of items does when what has it is large.
    async fn flawed(
        &self,
        flaw: Flaw,
        page: PageRequest<Flawed>,
    ) -> Result<Page<FlawRecord, Flawed>, StoreError>;
}
