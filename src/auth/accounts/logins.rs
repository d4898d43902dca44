//! Logins that continue without their password: Docker's refresh tokens. Opaque, kept by their hashes, and bound to user,
//! service and password.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::MutexGuard;

use super::command::LoginShown;
use super::login_index::{KEPT, LoginIndex, LoginKey, LoginsByUser};
use super::sources::NOTE_EVERY;
use super::stored::StoredLogin;
use super::{AccountError, Accounts, change_to, hash_of, random};
use crate::auth::identity::Found;
use crate::auth::login_failure::LoginFailure;
use crate::auth::subject::UserName;
use crate::clock::{RetentionClock, Timestamp};
use crate::store::{AccountChange, AccountKind, Expect};

/// How many hexadecimal digits of its hash a login is known by.
pub(super) const SHOWN: usize = 16;

/// A refresh token that was shown, and the login that it continues if its user's password is still known by its proof.
pub struct RefreshToken {
    key: String,
    login: StoredLogin,
    content: Vec<u8>,
}

impl RefreshToken {
    /// Whose it is.
    pub fn user(&self) -> &UserName {
        &self.login.user
    }

    /// What their password has to be known by.
    pub fn proof(&self) -> &str {
        &self.login.proof
    }
}

/// When logins end.
#[derive(Clone, Copy, Debug)]
pub struct LoginLife {
    /// After which time without use.
    pub idle: Duration,
    /// After which time in any case.
    pub lifetime: Duration,
}

impl LoginLife {
    /// When a login ends that was made and used last at these times.
    pub fn end_of(self, login: &LoginShown) -> Timestamp {
        login.last_use.later_by(self.idle).min(login.created.later_by(self.lifetime))
    }
}

impl StoredLogin {
    fn is_over(&self, now: Timestamp, life: LoginLife) -> bool {
        now.since(self.last_use) > life.idle || now.since(self.created) > life.lifetime
    }
}

/// Logins that end for a new one. What is not known to have ended when this is dropped counts on.
struct Ending<'a> {
    logins: MutexGuard<'a, LoginsByUser>,
    user: &'a UserName,
    ended: Vec<(LoginKey, Timestamp)>,
}

impl<'a> Ending<'a> {
    fn begin(
        mut logins: MutexGuard<'a, LoginsByUser>,
        user: &'a UserName,
        new: LoginKey,
        now: Timestamp,
    ) -> Self {
        let ended = logins.add(user, new, now);
        Self { logins, user, ended }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        for (key, last_use) in self.ended.drain(..) {
            self.logins.note(self.user, key, last_use);
        }
    }
}

impl Accounts {
    /// A refresh token: it continues a login without a password. Where its user has too many, the one that was used longest
    /// ago ends.
    ///
    /// # Errors
    /// When the store cannot keep it.
    pub async fn issue_refresh_token(
        &self,
        found: &Found,
        service: &str,
    ) -> Result<SecretString, AccountError> {
        let token = URL_SAFE_NO_PAD.encode(random::<32>()?);
        let now = self.clock.now();
        let login = StoredLogin {
            user: found.identity.name.clone(),
            service: service.to_owned(),
            proof: found.proof.clone(),
            created: now,
            last_use: now,
        };
        let text = hash_of(&token);
        let key = LoginKey::parse(&text).ok_or_else(|| AccountError::Damaged(text.clone()))?;
        let mut changes = vec![change_to(AccountKind::RefreshToken, &text, &login, Expect::Absent)?];
        let logins = self.login_index().await?.of(&login.user).await;
        // Held until the store has taken all, which it does in the order of asking.
        let mut ending = Ending::begin(logins, &login.user, key, now);
        let removed = |key: LoginKey| AccountChange::removed(AccountKind::RefreshToken, key.to_text());
        changes.extend(ending.ended.iter().map(|(key, _)| removed(*key)));
        self.change(changes).await?;
        ending.ended.clear();
        Ok(token.into())
    }

    async fn login_index(&self) -> Result<&LoginIndex, AccountError> {
        let reading = || async {
            let index = LoginIndex::new();
            for (key, login) in self.all::<StoredLogin>(AccountKind::RefreshToken).await? {
                if let Some(key) = LoginKey::parse(&key) {
                    index.of(&login.user).await.note(&login.user, key, login.last_use);
                }
            }
            Ok(index)
        };
        self.login_index.get_or_try_init(reading).await
    }

    /// Notes that logins have ended, if it is known yet which there are.
    async fn note_end(&self, ended: &[(String, StoredLogin)]) {
        let Some(index) = self.login_index.get() else { return };
        for (key, login) in ended {
            index.of(&login.user).await.forget(&login.user, key);
        }
    }

    /// Notes that all logins of a user have ended.
    pub(super) async fn forget_logins_of(&self, user: &UserName) {
        if let Some(index) = self.login_index.get() {
            index.of(user).await.forget_user(user);
        }
    }

    /// Looks a refresh token up; or why it is not good: it is not known, too old, or of another service. It is not removed for being too old: that is done when
    /// the door's clock is sure.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_refresh_token(
        &self,
        token: &SecretString,
        service: &str,
        life: LoginLife,
    ) -> Result<Result<RefreshToken, LoginFailure>, AccountError> {
        let key = hash_of(token.expose_secret());
        let kept = self.read_with_content::<StoredLogin>(AccountKind::RefreshToken, &key).await?;
        let Some((login, content)) = kept else { return Ok(Err(LoginFailure::Revoked)) };
        if login.service != service {
            return Ok(Err(LoginFailure::WrongSecret));
        }
        if login.is_over(self.clock.now(), life) {
            return Ok(Err(LoginFailure::Expired));
        }
        Ok(Ok(RefreshToken { key, login, content }))
    }

    /// Writes down that a refresh token was used.
    pub async fn note_refresh(&self, token: RefreshToken) {
        let RefreshToken { key, login, content } = token;
        let now = self.clock.now();
        if now.since(login.last_use) >= NOTE_EVERY {
            let used = StoredLogin { last_use: now, ..login.clone() };
            self.note_use(AccountKind::RefreshToken, &key, content, &used).await;
            if let Some(index) = self.login_index.get() {
                index.of(&login.user).await.note_use(&login.user, &key, now);
            }
        }
    }

    /// Whether the login that is kept under this key goes on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_login(&self, key: &str) -> Result<bool, AccountError> {
        Ok(self.store.account(AccountKind::RefreshToken, key).await?.is_some())
    }

    /// Under which key a login is kept.
    pub fn login_key(token: &SecretString) -> String {
        hash_of(token.expose_secret())
    }

    /// Removes the logins that are over by a time that has held, and what is too much of one user's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purge_logins(&self, life: LoginLife, clock: &RetentionClock) -> Result<usize, AccountError> {
        let now = clock.now();
        let mut logins = self.all::<StoredLogin>(AccountKind::RefreshToken).await?;
        if let Some(confirmed) = clock.confirmed() {
            self.bring_back(&mut logins, confirmed).await?;
        }
        logins.sort_by_key(|(_, login)| std::cmp::Reverse(login.last_use));
        let mut kept: HashMap<UserName, usize> = HashMap::new();
        logins.retain(|(_, login)| {
            let kept = kept.entry(login.user.clone()).or_default();
            *kept += usize::from(!login.is_over(now, life));
            login.is_over(now, life) || *kept > KEPT
        });
        let gone = logins.len();
        if gone > 0 {
            let removed =
                logins.iter().map(|(key, _)| AccountChange::removed(AccountKind::RefreshToken, key.clone()));
            self.change(removed.collect()).await?;
            self.note_end(&logins).await;
        }
        Ok(gone)
    }

    /// Logins of a time when the clock was ahead begin now: else they would go on for so much longer than their life.
    async fn bring_back(
        &self,
        logins: &mut [(String, StoredLogin)],
        now: Timestamp,
    ) -> Result<(), AccountError> {
        for (key, login) in logins {
            let back = StoredLogin {
                created: login.created.min(now),
                last_use: login.last_use.min(now),
                ..login.clone()
            };
            if back.created == login.created && back.last_use == login.last_use {
                continue;
            }
            let before = serde_json::to_vec(login).map_err(|_| AccountError::Damaged(key.clone()))?;
            match self.write(AccountKind::RefreshToken, key, &back, Expect::Exactly(before)).await {
                Ok(()) => *login = back,
                // It was used or ended meanwhile; the next time is early enough.
                Err(AccountError::Overtaken) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// All logins that continue.
    #[cfg(test)]
    pub(super) async fn logins(&self) -> Result<Vec<LoginShown>, AccountError> {
        let logins = self.all::<StoredLogin>(AccountKind::RefreshToken).await?;
        Ok(logins.into_iter().map(|(key, login)| shown(&key, login)).collect())
    }

    /// The logins that are shown by this identifier: one, unless two hashes begin alike.
    pub(super) async fn logins_shown_by(&self, id: &str) -> Result<Vec<(String, StoredLogin)>, AccountError> {
        let mut logins = Vec::new();
        if id.len() != SHOWN {
            return Ok(logins);
        }
        // Their keys go on where it ends.
        let look = |key: String, login| {
            if !key.starts_with(id) {
                return ControlFlow::Break(());
            }
            logins.push((key, login));
            ControlFlow::Continue(())
        };
        self.look_through(AccountKind::RefreshToken, Some(id.to_owned()), look).await?;
        Ok(logins)
    }

    /// Ends the login that is shown by this identifier. Answers whether there was one.
    pub(super) async fn end_login(&self, id: &str) -> Result<bool, AccountError> {
        let ended = self.logins_shown_by(id).await?;
        let removed =
            ended.iter().map(|(key, _)| AccountChange::removed(AccountKind::RefreshToken, key.clone()));
        self.change(removed.collect()).await?;
        self.note_end(&ended).await;
        Ok(!ended.is_empty())
    }
}

pub(super) fn shown(key: &str, login: StoredLogin) -> LoginShown {
    let StoredLogin { user, created, last_use, .. } = login;
    LoginShown { id: key.chars().take(SHOWN).collect(), user, created, last_use }
}
