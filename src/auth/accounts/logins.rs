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
use crate::clock::Timestamp;
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

    /// Whose login goes on by this token, with what their password has to be known by; none if it is no good, or too old.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remembered_login(
        &self,
        token: &Sensitive,
        service: &str,
        life: LoginLife,
    ) -> Result<Option<(UserName, String)>, AccountError> {
        let key = hash_of(token.reveal());
        let kept = self.read_with_content::<StoredLogin>(AccountKind::RefreshToken, &key).await?;
        let Some((login, content)) = kept else { return Ok(None) };
        let now = self.clock.now();
        if login.is_over(now, life) {
            self.forget_login(token).await?;
            return Ok(None);
        }
        if login.service != service {
            return Ok(None);
        }
        if now.since(login.last_use) >= NOTE_EVERY {
            let used = StoredLogin { last_use: now, ..login.clone() };
            self.note_use(AccountKind::RefreshToken, &key, content, &used).await;
        }
        Ok(Some((login.user, login.proof)))
    }

    /// Ends a login.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_login(&self, token: &Sensitive) -> Result<(), AccountError> {
        self.remove(AccountKind::RefreshToken, &hash_of(token.reveal())).await
    }

    /// Removes the logins that are over, and what is too much of one user's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purge_logins(&self, life: LoginLife) -> Result<usize, AccountError> {
        let now = self.clock.now();
        let mut logins = self.all::<StoredLogin>(AccountKind::RefreshToken).await?;
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
