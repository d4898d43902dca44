//! Users, access tokens, refresh tokens and sessions.

use async_trait::async_trait;

use crate::store::{Account, AccountChange, AccountKind, Page, PageRequest, StoreError};

/// What is kept of who comes in.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Makes accounts what they are to be, all at once, or none if one of them is not as expected before. Durable.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when one is not as expected.
    async fn change_accounts(&self, changes: Vec<AccountChange>) -> Result<(), StoreError>;

    /// What is kept of an account.
    async fn account(&self, kind: AccountKind, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// The accounts of a kind in bytewise order.
    async fn accounts(
        &self,
        kind: AccountKind,
        page: PageRequest<String>,
    ) -> Result<Page<Account, String>, StoreError>;
}
