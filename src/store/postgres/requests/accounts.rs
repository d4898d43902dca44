//! [`Accounts`] over the database.

use async_trait::async_trait;

use super::super::PostgresStore;
use super::super::failure::Failure;
use super::super::query::query;
use super::super::reading::{page, rows_for, understood};
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
impl Accounts for PostgresStore {
    async fn change_accounts(&self, changes: Vec<AccountChange>) -> Result<(), StoreError> {
        self.write(ChangeAccounts(changes)).await?
    }

    async fn account(&self, kind: AccountKind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT content FROM accounts WHERE kind = $1 AND key = $2";
        let row = self.row(query!(sql, kind.as_str(), key.as_bytes().to_vec())).await?;
        understood(|| Ok(row.map(|row| row.try_get(0)).transpose()?))
    }

    async fn accounts(
        &self,
        kind: AccountKind,
        request: PageRequest<String>,
    ) -> Result<Page<Account, String>, StoreError> {
        let sql = "SELECT key, content FROM accounts WHERE kind = $1 AND ($2::bytea IS NULL OR key > $2) ORDER BY key LIMIT $3";
        let after = request.after.map(String::into_bytes);
        let rows = self.rows(query!(sql, kind.as_str(), after, rows_for(request.limit))).await?;
        page(&rows, request.limit, false, |row| {
            let key =
                String::from_utf8(row.try_get(0)?).map_err(|cause| Failure::corrupt("account key", cause))?;
            Ok((key.clone(), Account { key, content: row.try_get(1)? }))
        })
    }
}
