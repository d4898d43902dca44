//! [`Accounts`] over maps.

use async_trait::async_trait;

use super::{MemoryStore, page};
use crate::store::{Account, AccountChange, AccountKind, Accounts, Page, PageRequest, StoreError};

#[async_trait]
impl Accounts for MemoryStore {
    async fn change_accounts(&self, changes: Vec<AccountChange>) -> Result<(), StoreError> {
        self.write("keep accounts", |state| {
            for AccountChange { kind, key, expected, .. } in &changes {
                let kept = state.accounts.get(&(kind.as_str(), key.clone()));
                if !expected.is_met_by(kept.map(Vec::as_slice)) {
                    return Err(StoreError::Conflict);
                }
            }
            for AccountChange { kind, key, content, .. } in changes {
                match content {
                    Some(content) => state.accounts.insert((kind.as_str(), key), content),
                    None => state.accounts.remove(&(kind.as_str(), key)),
                };
            }
            Ok(())
        })
        .await?
    }

    async fn account(&self, kind: AccountKind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.point(|state| state.accounts.get(&(kind.as_str(), key.to_owned())).cloned())
    }

    async fn accounts(
        &self,
        kind: AccountKind,
        request: PageRequest<String>,
    ) -> Result<Page<Account, String>, StoreError> {
        self.scan(|state| {
            let accounts = state
                .accounts
                .iter()
                .filter(|((of, key), _)| *of == kind.as_str() && Some(key) > request.after.as_ref());
            let accounts = accounts.map(|((_, key), content)| {
                (key.clone(), Account { key: key.clone(), content: content.clone() })
            });
            page(accounts, request.limit)
        })
        .await
    }
}
