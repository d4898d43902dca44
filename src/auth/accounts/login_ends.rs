//! Logins that are ended: one of them, or all of a user.

use std::sync::atomic::Ordering;

use secrecy::SecretString;
use tokio::sync::MutexGuard;

use super::command::AccountAnswer;
use super::login_index::LoginsByUser;
use super::login_kind::LoginKind;
use super::stored::StoredLogin;
use super::{AccountError, Accounts};
use crate::auth::subject::UserName;
use crate::store::AccountChange;

impl Accounts {
    /// Ends the login of a kind that is shown by this identifier, if it is this user's, where one is named. Answers whether there
    /// was one.
    pub(super) async fn end_login(
        &self,
        kind: LoginKind,
        id: &str,
        user: Option<&UserName>,
    ) -> Result<bool, AccountError> {
        let mut ended = self.logins_shown_by(kind, id).await?;
        ended.retain(|(_, login)| user.is_none_or(|user| login.user == *user));
        let removed = ended.iter().map(|(key, _)| AccountChange::removed(kind.account_kind(), key.clone()));
        self.change_for_all(removed.collect()).await?;
        self.note_end(kind, &ended).await;
        Ok(!ended.is_empty())
    }

    /// Ends the login that is shown by this identifier, of whichever kind.
    pub(super) async fn end_login_of_any_kind(
        &self,
        id: String,
        user: Option<&UserName>,
    ) -> Result<AccountAnswer, AccountError> {
        for kind in LoginKind::ALL {
            if self.end_login(kind, &id, user).await? {
                return Ok(AccountAnswer::Done);
            }
        }
        Err(AccountError::NoToken(id))
    }

    /// Ends the login that this continues, if there is one. Answers whose it was.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_own_login(
        &self,
        kind: LoginKind,
        token: &SecretString,
    ) -> Result<Option<UserName>, AccountError> {
        let Some((key, login)) = self.login_by(kind, token).await? else { return Ok(None) };
        self.remove(kind.account_kind(), &key).await?;
        let user = login.user.clone();
        self.note_end(kind, &[(key, login)]).await;
        self.version.fetch_add(1, Ordering::Release);
        Ok(Some(user))
    }

    /// All logins of a user. No other one of theirs is made until this is dropped.
    pub(super) async fn all_logins_of<'a>(
        &'a self,
        user: &'a UserName,
    ) -> Result<AllLogins<'a>, AccountError> {
        let mut kinds = Vec::with_capacity(LoginKind::ALL.len());
        // In one order: two who wait for each other would wait for ever.
        for kind in LoginKind::ALL {
            kinds.push((kind, self.logins_of_all_doors(kind, user).await?));
        }
        Ok(AllLogins { user, kinds })
    }

    /// Ends all logins of a user, those as well that have begun and are not kept yet.
    pub(super) async fn end_logins(&self, user: &UserName) -> Result<(), AccountError> {
        let logins = self.all_logins_of(user).await?;
        let ended = self.ended_once_more(user).await?;
        self.change_for_all(logins.removed().chain([ended]).collect()).await?;
        logins.forget();
        Ok(())
    }

    /// Notes that logins have ended, if it is known yet which there are.
    pub(super) async fn note_end(&self, kind: LoginKind, ended: &[(String, StoredLogin)]) {
        let Some(index) = self.login_indexes.of(kind).get() else { return };
        for (key, login) in ended {
            index.of(&login.user).await.forget(&login.user, key);
        }
    }
}

/// All logins of a user, of every kind.
pub(super) struct AllLogins<'a> {
    user: &'a UserName,
    kinds: Vec<(LoginKind, MutexGuard<'a, LoginsByUser>)>,
}

impl AllLogins<'_> {
    /// The changes that remove them.
    pub(super) fn removed(&self) -> impl Iterator<Item = AccountChange> + '_ {
        self.kinds.iter().flat_map(|(kind, logins)| {
            let keys = logins.keys_of(self.user);
            keys.map(|key| AccountChange::removed(kind.account_kind(), key.to_text()))
        })
    }

    /// Notes that they have ended.
    pub(super) fn forget(self) {
        for (_, mut logins) in self.kinds {
            logins.forget_user(self.user);
        }
    }
}
