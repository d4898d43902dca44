//! What other doors that share the store do to users, tokens and logins. Each change that any door may remember the contrary of
//! leaves a mark in the same transaction, and every door looks at the mark again and again.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::MutexGuard;
use tokio_util::sync::CancellationToken;

use super::login_index::{LoginKey, LoginsByUser};
use super::login_kind::LoginKind;
use super::stored::StoredLogin;
use super::{AccountError, Accounts, random};
use crate::auth::subject::UserName;
use crate::store::{AccountChange, AccountKind, Expect};
use crate::telemetry::FailureLog;

/// The one row of its kind.
const MARK: &str = "accounts";
/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Accounts {
    /// Makes all of these changes, and has every door forget what it remembers of users, tokens and logins.
    ///
    /// # Errors
    /// When the store fails, or an account is not as expected: then none was made.
    pub(super) async fn change_for_all(&self, mut changes: Vec<AccountChange>) -> Result<(), AccountError> {
        if self.others.is_some() {
            changes.push(AccountChange {
                kind: AccountKind::LastChange,
                key: MARK.to_owned(),
                content: Some(random::<16>()?.to_vec()),
                expected: Expect::Anything,
            });
        }
        self.change(changes).await
    }

    /// Looks whether anything was changed since the last look, and forgets what is remembered if so.
    ///
    /// # Errors
    /// When the store fails; then the next look sees the same.
    pub(super) async fn heed_other_doors(&self) -> Result<(), AccountError> {
        let Some(others) = &self.others else { return Ok(()) };
        let mark = self.store.account(AccountKind::LastChange, MARK).await?;
        if others.has_seen(mark.as_deref()) {
            return Ok(());
        }
        self.reread_disabled_names().await?;
        // What this door has changed itself is seen here, too, and does no harm.
        self.version.fetch_add(1, Ordering::Release);
        others.see(mark);
        Ok(())
    }

    /// The logins of a user with what each is kept by; those as well that other doors have made since the index was read. No other
    /// one is made here until this is dropped.
    pub(super) async fn logins_of_all_doors(
        &self,
        kind: LoginKind,
        user: &UserName,
    ) -> Result<MutexGuard<'_, LoginsByUser>, AccountError> {
        let mut logins = self.login_index(kind).await?.of(user).await;
        if self.others.is_some() {
            let mut found = HashMap::new();
            let look = |key: String, login: StoredLogin| {
                if login.user == *user {
                    found.extend(LoginKey::parse(&key).map(|key| (key, login.last_use)));
                }
                ControlFlow::Continue(())
            };
            self.look_through(kind.account_kind(), None, look).await?;
            logins.replace(user, found);
        }
        Ok(logins)
    }
}

/// Heeds what other doors do until told to stop.
pub async fn follow_other_doors(accounts: Arc<Accounts>, stop: CancellationToken) {
    if accounts.others.is_none() {
        return;
    }
    let following = async {
        let failures = FailureLog::new();
        loop {
            match accounts.heed_other_doors().await {
                Ok(()) => {
                    failures.worked();
                }
                Err(error) if failures.failed(&error) => tracing::warn!(
                    %error,
                    "what other doors have changed of users and tokens cannot be read; it is tried again"
                ),
                Err(_) => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    stop.run_until_cancelled(following).await;
}
