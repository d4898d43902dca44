//! Logins that go on without their password: Docker's refresh tokens. Opaque, kept by their hashes, and bound to user,
//! service and password.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::command::LoginShown;
use super::sources::NOTE_EVERY;
use super::{AccountError, Accounts, hash_of, random};
use crate::auth::identity::Found;
use crate::auth::sensitive::Sensitive;
use crate::auth::subject::UserName;
use crate::clock::{HeldClock, Timestamp};
use crate::store::{AccountChange, AccountKind, Expected};

/// How many logins of one user are kept when they are looked through; those that were used last.
const KEPT: usize = 100;
/// How many hexadecimal digits of its hash a login is known by.
const SHOWN: usize = 16;

/// A login that goes on.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredLogin {
    pub(super) user: UserName,
    service: String,
    /// What their password was known by.
    proof: String,
    created: Timestamp,
    last_use: Timestamp,
}

/// A login that goes on by a token that was shown, if its user's password is still known by its proof.
pub struct RememberedLogin {
    key: String,
    login: StoredLogin,
    content: Vec<u8>,
}

impl RememberedLogin {
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

impl StoredLogin {
    fn is_over(&self, now: Timestamp, life: LoginLife) -> bool {
        now.since(self.last_use) > life.idle || now.since(self.created) > life.lifetime
    }
}

impl Accounts {
    /// A token by which a login goes on without a password.
    ///
    /// # Errors
    /// When the store cannot keep it.
    pub async fn remember_login(&self, found: &Found, service: &str) -> Result<Sensitive, AccountError> {
        let token = URL_SAFE_NO_PAD.encode(random::<32>()?);
        let now = self.clock.now();
        let login = StoredLogin {
            user: found.identity.name.clone(),
            service: service.to_owned(),
            proof: found.proof.clone(),
            created: now,
            last_use: now,
        };
        self.write(AccountKind::RefreshToken, &hash_of(&token), &login, Expected::Nothing).await?;
        Ok(Sensitive::new(&token))
    }

    /// The login that goes on by this token; none if it is no good, or too old. It is not removed for being too old: that is
    /// done when the door's clock is sure.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remembered_login(
        &self,
        token: &Sensitive,
        service: &str,
        life: LoginLife,
    ) -> Result<Option<RememberedLogin>, AccountError> {
        let key = hash_of(token.reveal());
        let kept = self.read_with_content::<StoredLogin>(AccountKind::RefreshToken, &key).await?;
        let Some((login, content)) = kept else { return Ok(None) };
        let is_good = !login.is_over(self.clock.now(), life) && login.service == service;
        Ok(is_good.then_some(RememberedLogin { key, login, content }))
    }

    /// Writes down that a login has gone on.
    pub async fn note_login(&self, remembered: RememberedLogin) {
        let RememberedLogin { key, login, content } = remembered;
        let now = self.clock.now();
        if now.since(login.last_use) >= NOTE_EVERY {
            let used = StoredLogin { last_use: now, ..login };
            self.note_use(AccountKind::RefreshToken, &key, content, &used).await;
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
    pub fn login_key(token: &Sensitive) -> String {
        hash_of(token.reveal())
    }

    /// Removes the logins that are over by a time that has held, and what is too much of one user's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purge_logins(&self, life: LoginLife, clock: &HeldClock) -> Result<usize, AccountError> {
        let now = clock.now();
        let mut logins = self.all::<StoredLogin>(AccountKind::RefreshToken).await?;
        if let Some(sure) = clock.sure() {
            self.bring_back(&mut logins, sure).await?;
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
                logins.into_iter().map(|(key, _)| AccountChange::removed(AccountKind::RefreshToken, key));
            self.change(removed.collect()).await?;
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
            match self.write(AccountKind::RefreshToken, key, &back, Expected::Content(before)).await {
                Ok(()) => *login = back,
                // It was used or ended meanwhile; the next time is early enough.
                Err(AccountError::Overtaken) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// All logins that go on.
    pub(super) async fn logins(&self) -> Result<Vec<LoginShown>, AccountError> {
        let logins = self.all::<StoredLogin>(AccountKind::RefreshToken).await?;
        let shown = |(key, login): (String, StoredLogin)| LoginShown {
            id: key.chars().take(SHOWN).collect(),
            user: login.user,
            created: login.created,
            last_use: login.last_use,
        };
        Ok(logins.into_iter().map(shown).collect())
    }

    /// Ends the login that is shown by this identifier. Answers whether there was one.
    pub(super) async fn end_login(&self, id: &str) -> Result<bool, AccountError> {
        let logins = self.all::<StoredLogin>(AccountKind::RefreshToken).await?;
        let keys = logins.into_iter().map(|(key, _)| key).filter(|key| key.get(..SHOWN) == Some(id));
        let removed: Vec<_> =
            keys.map(|key| AccountChange::removed(AccountKind::RefreshToken, key)).collect();
        let was_there = !removed.is_empty();
        self.change(removed).await?;
        Ok(was_there)
    }
}
