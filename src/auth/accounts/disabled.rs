//! Users who are disabled, wherever they are known from: a row of its own for each name, so that users of a file are disabled,
//! too. Nothing lets them in until they are enabled; what they have in the store stays, but for their logins.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;

use super::command::{AccountAnswer, DisabledShown};
use super::stored::StoredDisabling;
use super::{AccountError, Accounts, change_to};
use crate::auth::hashing::Ticket;
use crate::auth::identity::{Credentials, Found, IdentitySource, SourceError, Verdict};
use crate::auth::subject::UserName;
use crate::store::{AccountChange, AccountKind, Expect, Page, PageRequest};

impl Accounts {
    /// Disables a user, and ends all their logins, those as well that have begun and are not kept yet. One who is disabled already stays so since then.
    pub(super) async fn disable_user(&self, name: &UserName) -> Result<AccountAnswer, AccountError> {
        let kind = AccountKind::DisabledUser;
        let logins = self.all_logins_of(name).await?;
        let ended = self.ended_once_more(name).await?;
        let mut changes: Vec<_> = logins.removed().chain([ended]).collect();
        if self.store.account(kind, name.as_str()).await?.is_none() {
            let disabling = StoredDisabling { since: self.clock.now() };
            changes.push(change_to(kind, name.as_str(), &disabling, Expect::Absent)?);
        }
        self.change_for_all(changes).await?;
        self.disabled.note(name, true);
        logins.forget();
        Ok(AccountAnswer::Done)
    }

    pub(super) async fn enable_user(&self, name: &UserName) -> Result<AccountAnswer, AccountError> {
        self.change_for_all(vec![Self::enabling(name)]).await?;
        self.note_enabled(name);
        Ok(AccountAnswer::Done)
    }

    /// The change that enables a user.
    pub(super) fn enabling(name: &UserName) -> AccountChange {
        AccountChange::removed(AccountKind::DisabledUser, name.to_string())
    }

    pub(super) fn note_enabled(&self, name: &UserName) {
        self.disabled.note(name, false);
    }

    /// Who is disabled, in the order of their names; names that nobody has any more as well.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn disabled_users(
        &self,
        page: PageRequest<String>,
    ) -> Result<Page<DisabledShown, String>, AccountError> {
        let Page { items, next } = self.store.accounts(AccountKind::DisabledUser, page).await?;
        let mut disabled = Vec::with_capacity(items.len());
        for account in items {
            let row: Result<StoredDisabling, _> = serde_json::from_slice(&account.content);
            let StoredDisabling { since } = row.map_err(|_| AccountError::Damaged(account.key.clone()))?;
            disabled.extend(UserName::parse(&account.key).ok().map(|name| DisabledShown { name, since }));
        }
        Ok(Page { items: disabled, next })
    }

    /// Those of these names that are disabled, which are in the order of their bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn disabled_among(&self, names: &[&UserName]) -> Result<Vec<DisabledShown>, AccountError> {
        let mut disabled = Vec::new();
        let (Some(first), Some(last)) = (names.first(), names.last()) else { return Ok(disabled) };
        let mut note = |key: &str, StoredDisabling { since }: StoredDisabling| {
            if let Ok(found) = names.binary_search_by(|name| name.as_str().cmp(key)) {
                disabled.push(DisabledShown { name: names[found].clone(), since });
            }
        };
        if let Some(row) = self.read(AccountKind::DisabledUser, first.as_str()).await? {
            note(first.as_str(), row);
        }
        let look = |key: String, row| {
            if key.as_str() > last.as_str() {
                return ControlFlow::Break(());
            }
            note(&key, row);
            ControlFlow::Continue(())
        };
        self.look_through(AccountKind::DisabledUser, Some(first.to_string()), look).await?;
        Ok(disabled)
    }

    /// Whether a token of the door's is a disabled user's. The store is asked the first time alone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_token_of_disabled(&self, subject: &str) -> Result<bool, AccountError> {
        let names = match self.disabled.0.get() {
            Some(names) => names,
            // Apart: the future of each request would be as large.
            None => Box::pin(self.disabled_names()).await?,
        };
        Ok(names.read().unwrap_or_else(PoisonError::into_inner).contains(subject))
    }

    async fn disabled_names(&self) -> Result<&RwLock<HashSet<String>>, AccountError> {
        let reading = || async {
            // No command may come between what is read and what is kept.
            let _alone = self.commands.lock().await;
            Ok(RwLock::new(self.read_disabled_names().await?))
        };
        self.disabled.0.get_or_try_init(reading).await
    }

    async fn read_disabled_names(&self) -> Result<HashSet<String>, AccountError> {
        let names = self.keys_where::<StoredDisabling>(AccountKind::DisabledUser, |_| true).await?;
        Ok(names.into_iter().collect())
    }

    /// Reads again who is disabled, if it is known yet.
    pub(super) async fn reread_disabled_names(&self) -> Result<(), AccountError> {
        let Some(names) = self.disabled.0.get() else { return Ok(()) };
        let _alone = self.commands.lock().await;
        let read = self.read_disabled_names().await?;
        *names.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }
}

/// Users who are disabled, as a source that is asked first: it knows nobody, and shuts them out of all others.
pub struct DisabledUsers(pub Arc<Accounts>);

#[async_trait]
impl IdentitySource for DisabledUsers {
    async fn verify(&self, _: &Credentials, _: &Ticket) -> Result<Verdict, SourceError> {
        // The others take their time, so that who is disabled is refused as late as who is not.
        Ok(Verdict::Unknown)
    }

    async fn find(&self, _: &UserName) -> Result<Option<Found>, SourceError> {
        Ok(None)
    }

    async fn shuts_out(&self, name: &UserName) -> Result<bool, SourceError> {
        let row = self.0.store.account(AccountKind::DisabledUser, name.as_str()).await;
        Ok(row.map_err(|error| SourceError::Unavailable(Arc::new(error)))?.is_some())
    }

    fn is_of_the_store(&self) -> bool {
        true
    }

    fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }
}
