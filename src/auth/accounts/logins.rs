//! Logins that continue without their password: Docker's refresh tokens, and the sessions of browsers. What continues them is
//! opaque, kept by its hash, and bound to user, service and password.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::MutexGuard;

use super::command::LoginShown;
use super::login_index::{LoginIndex, LoginKey, LoginsByUser};
use super::login_kind::LoginKind;
use super::standing::ShownPassword;
use super::stored::StoredLogin;
use super::{AccountError, Accounts, change_to, hash_of, random};
use crate::auth::identity::Found;
use crate::auth::login_failure::LoginFailure;
use crate::auth::subject::UserName;
use crate::clock::{RetentionClock, Timestamp};
use crate::store::{AccountChange, Expect};

/// How many hexadecimal digits of its hash a login is known by.
pub(super) const SHOWN: usize = 16;

/// From where a login is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its address.
    pub address: Option<IpAddr>,
    /// What it calls its program, cut.
    pub agent: Option<String>,
}

/// A login that goes on if its user's password is still known by its proof.
pub struct KeptLogin {
    kind: LoginKind,
    key: String,
    login: StoredLogin,
    content: Vec<u8>,
    /// Whether it is time to write down that it was used.
    is_use_due: bool,
}

impl KeptLogin {
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
        kept: usize,
        before: Option<&(String, StoredLogin)>,
    ) -> Self {
        let mut ended = Vec::new();
        if let Some((key, before)) = before.filter(|(_, before)| before.user == *user)
            && let Some(ending) = LoginKey::parse(key)
        {
            // It leaves its place to the new one.
            logins.forget(user, key);
            ended.push((ending, before.last_use));
        }
        ended.extend(logins.add(user, new, now, kept));
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
    /// Keeps a login that goes on without its password, by what is answered, if its user stands as they did when the password was
    /// looked at. In the same change the one ends that came `before`, whosever it was; and where the user has too many, the one that
    /// was used longest ago.
    ///
    /// # Errors
    /// When the user was changed meanwhile, or the store cannot keep it: then the one before goes on.
    pub(in crate::auth) async fn keep_login(
        &self,
        kind: LoginKind,
        shown: &ShownPassword,
        service: &str,
        device: Device,
        before: Option<&SecretString>,
    ) -> Result<SecretString, AccountError> {
        let token = URL_SAFE_NO_PAD.encode(random::<32>()?);
        let now = self.clock.now();
        let login = StoredLogin {
            user: shown.user().clone(),
            service: service.to_owned(),
            proof: shown.proof.clone(),
            created: now,
            last_use: now,
            address: device.address,
            agent: device.agent,
        };
        let text = hash_of(&token);
        let key = LoginKey::parse(&text).ok_or_else(|| AccountError::Damaged(text.clone()))?;
        let before = match before {
            Some(before) => self.login_by(kind, before).await?,
            None => None,
        };
        let mut changes = vec![change_to(kind.account_kind(), &text, &login, Expect::Absent)?];
        changes.extend(shown.standing.unchanged());
        let removed = |key: String| AccountChange::removed(kind.account_kind(), key);
        changes.extend(before.iter().map(|(key, _)| removed(key.clone())));
        let logins = self.login_index(kind).await?.of(&login.user).await;
        // Held until the store has taken all, which it does in the order of asking.
        let mut ending = Ending::begin(logins, &login.user, key, now, kind.kept(), before.as_ref());
        changes.extend(ending.ended.iter().map(|(key, _)| removed(key.to_text())));
        let kept = match &before {
            Some(_) => self.change_for_all(changes).await,
            None => self.change(changes).await,
        };
        match &kept {
            Ok(()) => ending.ended.clear(),
            // Sure not to be there; after any other failure it may be.
            Err(AccountError::Overtaken) => ending.logins.forget(&login.user, &text),
            Err(_) => {}
        }
        drop(ending);
        kept?;
        if let Some(before) = before {
            self.note_end(kind, &[before]).await;
            // Whoever is answered by it at length is looked at again.
            self.version.fetch_add(1, Ordering::Release);
        }
        Ok(token.into())
    }

    /// The login that this continues, if there is one, with the key that it is kept under.
    pub(super) async fn login_by(
        &self,
        kind: LoginKind,
        token: &SecretString,
    ) -> Result<Option<(String, StoredLogin)>, AccountError> {
        let key = Self::login_key(token);
        let login = self.read::<StoredLogin>(kind.account_kind(), &key).await?;
        Ok(login.map(|login| (key, login)))
    }

    pub(super) async fn login_index(&self, kind: LoginKind) -> Result<&LoginIndex, AccountError> {
        let reading = || async {
            let index = LoginIndex::new();
            for (key, login) in self.all::<StoredLogin>(kind.account_kind()).await? {
                if let Some(key) = LoginKey::parse(&key) {
                    index.of(&login.user).await.note(&login.user, key, login.last_use);
                }
            }
            Ok(index)
        };
        self.login_indexes.of(kind).get_or_try_init(reading).await
    }

    /// Looks up what continues a login; or why it is not good: it is not known, too old, or of another service. It is not
    /// removed for being too old: that is done when the door's clock is sure.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_login(
        &self,
        kind: LoginKind,
        token: &SecretString,
        service: &str,
        life: LoginLife,
    ) -> Result<Result<KeptLogin, LoginFailure>, AccountError> {
        self.login_under(kind, Self::login_key(token), service, life).await
    }

    /// The same by the key under which it is kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn login_under(
        &self,
        kind: LoginKind,
        key: String,
        service: &str,
        life: LoginLife,
    ) -> Result<Result<KeptLogin, LoginFailure>, AccountError> {
        let kept = self.read_with_content::<StoredLogin>(kind.account_kind(), &key).await?;
        let Some((login, content)) = kept else { return Ok(Err(LoginFailure::Revoked)) };
        if login.service != service {
            return Ok(Err(LoginFailure::WrongSecret));
        }
        let now = self.clock.now();
        if login.is_over(now, life) {
            return Ok(Err(LoginFailure::Expired));
        }
        // Often enough for one that ends soon without use.
        let is_use_due = now.since(login.last_use) >= kind.note_every().min(life.idle / 4);
        Ok(Ok(KeptLogin { kind, key, login, content, is_use_due }))
    }

    /// Writes down that a login goes on.
    pub async fn note_login_use(&self, used: KeptLogin) {
        let KeptLogin { kind, key, login, content, is_use_due } = used;
        if is_use_due {
            let now = self.clock.now();
            let used = StoredLogin { last_use: now, ..login.clone() };
            self.note_use(kind.account_kind(), &key, content, &used).await;
            if let Some(index) = self.login_indexes.of(kind).get() {
                index.of(&login.user).await.note_use(&login.user, &key, now);
            }
        }
    }

    /// Whether the login that is kept under this key goes on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_login(&self, kind: LoginKind, key: &str) -> Result<bool, AccountError> {
        Ok(self.store.account(kind.account_kind(), key).await?.is_some())
    }

    /// Under which key a login is kept.
    pub fn login_key(token: &SecretString) -> String {
        hash_of(token.expose_secret())
    }

    /// By which identifier the login is shown that is kept under this key.
    pub fn login_id(key: &str) -> &str {
        key.get(..SHOWN).unwrap_or(key)
    }

    /// Removes the logins that are over by a time that has held, and what is too much of one user's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purge_logins(
        &self,
        kind: LoginKind,
        life: LoginLife,
        clock: &RetentionClock,
    ) -> Result<usize, AccountError> {
        let now = clock.now();
        let mut logins = self.all::<StoredLogin>(kind.account_kind()).await?;
        if let Some(confirmed) = clock.confirmed() {
            self.bring_back(kind, &mut logins, confirmed).await?;
        }
        logins.sort_by_key(|(_, login)| std::cmp::Reverse(login.last_use));
        let mut kept: HashMap<UserName, usize> = HashMap::new();
        logins.retain(|(_, login)| {
            let kept = kept.entry(login.user.clone()).or_default();
            *kept += usize::from(!login.is_over(now, life));
            login.is_over(now, life) || *kept > kind.kept()
        });
        let gone = logins.len();
        if gone > 0 {
            let removed =
                logins.iter().map(|(key, _)| AccountChange::removed(kind.account_kind(), key.clone()));
            self.change(removed.collect()).await?;
            self.note_end(kind, &logins).await;
        }
        Ok(gone)
    }

    /// Logins of a time when the clock was ahead begin now: else they would go on for so much longer than their life.
    async fn bring_back(
        &self,
        kind: LoginKind,
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
            match self.write(kind.account_kind(), key, &back, Expect::Exactly(before)).await {
                Ok(()) => *login = back,
                // It was used or ended meanwhile; the next time is early enough.
                Err(AccountError::Overtaken) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// All refresh tokens.
    #[cfg(test)]
    pub(super) async fn logins(&self) -> Result<Vec<LoginShown>, AccountError> {
        let logins = self.all::<StoredLogin>(LoginKind::RefreshToken.account_kind()).await?;
        Ok(logins.into_iter().map(|(key, login)| shown(&key, login)).collect())
    }

    /// The logins of a user, of every kind, those that were used last in front: of a user whose password is known so. Others with the
    /// same name were before them, or had another password, and these logins go on no more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn logins_of(&self, user: &Found) -> Result<Vec<(LoginKind, LoginShown)>, AccountError> {
        let mut logins = Vec::new();
        for kind in LoginKind::ALL {
            let name = &user.identity.name;
            // Not held while the store is asked.
            let keys: Vec<LoginKey> = self.logins_of_all_doors(kind, name).await?.keys_of(name).collect();
            for key in keys.into_iter().map(LoginKey::to_text) {
                let login = self.read::<StoredLogin>(kind.account_kind(), &key).await?;
                let login = login.filter(|login| login.user == *name && login.proof == user.proof);
                logins.extend(login.map(|login| (kind, shown(&key, login))));
            }
        }
        logins.sort_by_key(|(_, login)| std::cmp::Reverse(login.last_use));
        Ok(logins)
    }

    /// The logins of a kind that are shown by this identifier: one, unless two hashes begin alike.
    pub(super) async fn logins_shown_by(
        &self,
        kind: LoginKind,
        id: &str,
    ) -> Result<Vec<(String, StoredLogin)>, AccountError> {
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
        self.look_through(kind.account_kind(), Some(id.to_owned()), look).await?;
        Ok(logins)
    }
}

pub(super) fn shown(key: &str, login: StoredLogin) -> LoginShown {
    let StoredLogin { user, created, last_use, address, agent, .. } = login;
    LoginShown { id: Accounts::login_id(key).to_owned(), user, created, last_use, address, agent }
}
