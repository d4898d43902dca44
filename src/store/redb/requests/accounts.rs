//! [`Accounts`] over the file.

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::failure::Failure;
use super::super::shared::Shared;
use super::super::transaction::Transaction;
use crate::store::group::Work;
use crate::store::{Account, AccountChange, AccountKind, Accounts, Page, PageRequest, StoreError};

/// [`Accounts::change_accounts`].
struct ChangeAccounts(Vec<AccountChange>);

impl Work<Shared> for ChangeAccounts {
    type Answer = Result<(), StoreError>;
    const ATTEMPTED: &'static str = "keep accounts";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Self::Answer, Failure> {
        transaction.change_accounts(&self.0)
    }
}

#[async_trait]
impl Accounts for RedbStore {
    async fn change_accounts(&self, changes: Vec<AccountChange>) -> Result<(), StoreError> {
        self.write(ChangeAccounts(changes)).await?
    }

    async fn account(&self, kind: AccountKind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.point(|snapshot| snapshot.account(kind, key)).await
    }

    async fn accounts(
        &self,
        kind: AccountKind,
        page: PageRequest<String>,
    ) -> Result<Page<Account, String>, StoreError> {
        self.scan(move |snapshot| snapshot.accounts(kind, &page)).await
    }
}
