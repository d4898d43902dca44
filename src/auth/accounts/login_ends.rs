//! Logins that are ended: one of them, or all of a user.

use std::sync::atomic::Ordering;

use secrecy::SecretString;

use super::command::AccountAnswer;
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
        self.change(removed.collect()).await?;
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
        let key = Self::login_key(token);
        let Some(login) = self.read::<StoredLogin>(kind.account_kind(), &key).await? else { return Ok(None) };
        self.remove(kind.account_kind(), &key).await?;
        let user = login.user.clone();
        self.note_end(kind, &[(key, login)]).await;
        self.version.fetch_add(1, Ordering::Release);
        Ok(Some(user))
    }

    /// The changes that remove all logins of a user.
    pub(super) async fn removed_logins_of(
        &self,
        name: &UserName,
    ) -> Result<Vec<AccountChange>, AccountError> {
        let mut removed = Vec::new();
        for kind in LoginKind::ALL.map(LoginKind::account_kind) {
            let keys = self.keys_where(kind, |login: &StoredLogin| login.user == *name).await?;
            removed.extend(keys.into_iter().map(|key| AccountChange::removed(kind, key)));
        }
        Ok(removed)
    }

    /// Ends all logins of a user.
    pub(super) async fn end_logins(&self, user: &UserName) -> Result<(), AccountError> {
        self.change(self.removed_logins_of(user).await?).await?;
        self.forget_logins_of(user).await;
        Ok(())
    }

    /// Notes that logins have ended, if it is known yet which there are.
    pub(super) async fn note_end(&self, kind: LoginKind, ended: &[(String, StoredLogin)]) {
        let Some(index) = self.login_indexes.of(kind).get() else { return };
        for (key, login) in ended {
            index.of(&login.user).await.forget(&login.user, key);
        }
    }

    /// Notes that all logins of a user have ended.
    pub(super) async fn forget_logins_of(&self, user: &UserName) {
        for kind in LoginKind::ALL {
            if let Some(index) = self.login_indexes.of(kind).get() {
                index.of(user).await.forget_user(user);
            }
        }
    }
}
