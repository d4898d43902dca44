//! Accounts that the store keeps: users with passwords, access tokens of users and of robots, and logins that continue
//! (`logins`). `command` has what may be done to them, `sources` looks users up in them. Secrets are kept as hashes:
//! argon2id for passwords, SHA-256 for tokens, which cannot be guessed.

mod command;
mod login_index;
mod logins;
mod sources;
mod stored;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OnceCell};

pub use self::command::{AccountAnswer, AccountCommand, LoginShown, TokenShown, UserShown};
pub use self::logins::LoginLife;
pub use self::sources::{AccessTokens, StoredUsers};

use self::login_index::LoginIndex;
use self::stored::{StoredLogin, StoredToken, StoredUser};
use super::journal::Journal;
use super::local_user::LocalUser;
use super::pattern::{InvalidPattern, Pattern};
use super::subject::UserName;
use crate::clock::{Clock, Timestamp};
use crate::oci::{Action, Actions};
use crate::store::{self, AccountChange, AccountKind, AuthEventKind, Expect, PageRequest, StoreError};
use crate::telemetry::FailureLog;

/// What access tokens begin with, so that people and scanners know them.
const PREFIX: &str = "portreeve_";
/// How many are read at once.
const ROWS: usize = 500;

/// Why a command is not done.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is one already.
    #[error("there is a user `{0}` already")]
    Exists(UserName),
    /// A robot has the name.
    #[error("a robot logs in as `{0}`; give the user another name, or revoke the robot's token")]
    Robot(UserName),
    /// There is none.
    #[error("there is no user `{0}` in the store")]
    NoUser(UserName),
    /// There is none.
    #[error("there is no token and no login `{0}`; `portreeve token list` shows them")]
    NoToken(String),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A repository is named by what is no pattern.
    #[error("`{pattern}` is no pattern of repository names: {source}")]
    Pattern {
        /// The text.
        pattern: String,
        /// What is wrong with it.
        source: InvalidPattern,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another change to the same account came before it.
    #[error("another request changed the same account just now; nothing was done, try again")]
    Overtaken,
    /// What the store keeps is none of it.
    #[error("the account `{0}` in the store cannot be read")]
    Damaged(String),
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random,
}

/// The accounts of a store.
pub struct Accounts {
    store: Arc<dyn store::Accounts>,
    journal: Arc<Journal>,
    clock: Clock,
    version: AtomicU64,
    /// Which logins there are, as soon as one was made.
    login_index: OnceCell<LoginIndex>,
    /// One command at a time: some look at many accounts before they change one.
    commands: Mutex<()>,
    /// Whether the last use of a token could be written down.
    use_failures: FailureLog,
}

impl Accounts {
    /// Those of this store; what is done to them is noted in `journal`.
    pub fn new(store: Arc<dyn store::Accounts>, journal: Arc<Journal>, clock: Clock) -> Self {
        let (version, login_index, commands) = (AtomicU64::new(0), OnceCell::new(), Mutex::new(()));
        let use_failures = FailureLog::new();
        Self { store, journal, clock, version, login_index, commands, use_failures }
    }

    /// The journal of the gate.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Another number whenever users or tokens were changed.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The access tokens of robots that end within this time, and have not ended yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn robot_tokens_ending_within(&self, time: Duration) -> Result<Vec<TokenShown>, AccountError> {
        let now = self.clock.now();
        let ends_soon = |token: &StoredToken| {
            !token.is_personal
                && !token.is_expired(now)
                && token.expires.is_some_and(|expires| expires <= now.later_by(time))
        };
        let tokens = self.all::<StoredToken>(AccountKind::AccessToken).await?;
        let ending = tokens.into_iter().filter(|(_, token)| ends_soon(token));
        Ok(ending.map(|(id, token)| shown(id, token, now)).collect())
    }

    async fn read<T: DeserializeOwned>(
        &self,
        kind: AccountKind,
        key: &str,
    ) -> Result<Option<T>, AccountError> {
        Ok(self.read_with_content(kind, key).await?.map(|(account, _)| account))
    }

    /// An account, and the very bytes that are kept of it.
    async fn read_with_content<T: DeserializeOwned>(
        &self,
        kind: AccountKind,
        key: &str,
    ) -> Result<Option<(T, Vec<u8>)>, AccountError> {
        let Some(content) = self.store.account(kind, key).await? else { return Ok(None) };
        let account = serde_json::from_slice(&content).map_err(|_| AccountError::Damaged(key.to_owned()))?;
        Ok(Some((account, content)))
    }

    async fn all<T: DeserializeOwned>(&self, kind: AccountKind) -> Result<Vec<(String, T)>, AccountError> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.accounts(kind, PageRequest { after, limit: ROWS }).await?;
            for account in page.items {
                let read = serde_json::from_slice(&account.content);
                let read = read.map_err(|_| AccountError::Damaged(account.key.clone()))?;
                all.push((account.key, read));
            }
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Makes all of these changes.
    ///
    /// # Errors
    /// When the store fails, or an account is not as expected: then none was made.
    async fn change(&self, changes: Vec<AccountChange>) -> Result<(), AccountError> {
        self.store.change_accounts(changes).await.map_err(|error| match error {
            StoreError::Conflict => AccountError::Overtaken,
            error => error.into(),
        })
    }

    async fn write<T: Serialize>(
        &self,
        kind: AccountKind,
        key: &str,
        value: &T,
        expected: Expect,
    ) -> Result<(), AccountError> {
        self.change(vec![change_to(kind, key, value, expected)?]).await
    }

    async fn remove(&self, kind: AccountKind, key: &str) -> Result<(), AccountError> {
        self.change(vec![AccountChange::removed(kind, key.to_owned())]).await
    }

    /// Writes down that something was used, unless it was changed or revoked meanwhile, or its use is noted already. It was
    /// good, so a store that cannot write keeps no user out.
    async fn note_use<T: Serialize>(&self, kind: AccountKind, key: &str, before: Vec<u8>, used: &T) {
        match self.write(kind, key, used, Expect::Exactly(before)).await {
            Ok(()) | Err(AccountError::Overtaken) => {
                self.use_failures.worked();
            }
            Err(error) if self.use_failures.failed(&error) => {
                tracing::warn!(%error, "the last use of a token cannot be written down");
            }
            Err(_) => {}
        }
    }

    /// Does what a command says; `by` gave it, as far as is known.
    ///
    /// # Errors
    /// When it makes no sense, or the store fails: then nothing was done.
    pub async fn carry_out(
        &self,
        command: AccountCommand,
        by: Option<&LocalUser>,
    ) -> Result<AccountAnswer, AccountError> {
        let about = command.in_words();
        let changes = about.is_some();
        let _alone = self.commands.lock().await;
        let answer = match command {
            AccountCommand::AddUser { name, hash, groups } => self.add_user(name, hash, groups).await,
            AccountCommand::SetPassword { name, hash } => self.set_password(&name, hash).await,
            AccountCommand::RemoveUser { name } => self.remove_user(&name).await,
            AccountCommand::ListUsers => {
                let users = self.all::<StoredUser>(AccountKind::User).await?;
                let shown = |(name, user): (String, StoredUser)| {
                    let name = UserName::parse(&name).ok()?;
                    let StoredUser { groups, created, is_superseded, .. } = user;
                    Some(UserShown { name, groups, created, is_superseded })
                };
                Ok(AccountAnswer::Users(users.into_iter().filter_map(shown).collect()))
            }
            AccountCommand::CreateToken { name, user, repositories, actions, expires_in } => {
                self.create_token(name, user, repositories, actions, expires_in).await
            }
            AccountCommand::ListTokens => {
                let tokens = self.all::<StoredToken>(AccountKind::AccessToken).await?;
                let now = self.clock.now();
                let access = tokens.into_iter().map(|(id, token)| shown(id, token, now)).collect();
                Ok(AccountAnswer::Tokens { access, logins: self.logins().await? })
            }
            AccountCommand::RevokeToken { id } => {
                if self.store.account(AccountKind::AccessToken, &id).await?.is_some() {
                    self.remove(AccountKind::AccessToken, &id).await?;
                } else if !self.end_login(&id).await? {
                    return Err(AccountError::NoToken(id));
                }
                Ok(AccountAnswer::Done)
            }
        };
        // Whatever was remembered may be wrong now.
        if changes {
            self.version.fetch_add(1, Ordering::Release);
        }
        if let (Ok(_), Some(about)) = (&answer, about) {
            let by = by.map(ToString::to_string);
            self.journal.note(AuthEventKind::Account, by.as_deref(), None, about);
        }
        answer
    }

    async fn add_user(
        &self,
        name: UserName,
        hash: String,
        groups: Vec<String>,
    ) -> Result<AccountAnswer, AccountError> {
        if self.store.account(AccountKind::User, name.as_str()).await?.is_some() {
            return Err(AccountError::Exists(name));
        }
        let tokens = self.all::<StoredToken>(AccountKind::AccessToken).await?;
        if tokens.iter().any(|(_, token)| !token.is_personal && token.name == name) {
            return Err(AccountError::Robot(name));
        }
        let user = StoredUser { hash, groups, created: self.clock.now(), is_superseded: false };
        match self.write(AccountKind::User, name.as_str(), &user, Expect::Absent).await {
            Err(AccountError::Overtaken) => Err(AccountError::Exists(name)),
            done => done.map(|()| AccountAnswer::Done),
        }
    }

    async fn set_password(&self, name: &UserName, hash: String) -> Result<AccountAnswer, AccountError> {
        let user = self.read_with_content::<StoredUser>(AccountKind::User, name.as_str()).await?;
        let (user, before) = user.ok_or_else(|| AccountError::NoUser(name.clone()))?;
        let user = StoredUser { hash, is_superseded: false, ..user };
        // Logins that go on have another proof now, and end.
        self.write(AccountKind::User, name.as_str(), &user, Expect::Exactly(before)).await?;
        Ok(AccountAnswer::Done)
    }

    /// Has the passwords of users count no more whose names now stand in a file that is asked before the store. Who leaves the
    /// file later does not come back by an older password: the operator gives a new one, or removes the user. Answers whose.
    ///
    /// # Errors
    /// When the store fails. Some may be done then; it can be tried again.
    pub async fn supersede(&self, names: &[UserName]) -> Result<Vec<UserName>, AccountError> {
        let _alone = self.commands.lock().await;
        let mut superseded = Vec::new();
        for name in names {
            let user = self.read_with_content::<StoredUser>(AccountKind::User, name.as_str()).await?;
            let Some((user, before)) = user.filter(|(user, _)| !user.is_superseded) else { continue };
            let user = StoredUser { is_superseded: true, ..user };
            self.write(AccountKind::User, name.as_str(), &user, Expect::Exactly(before)).await?;
            self.version.fetch_add(1, Ordering::Release);
            let about = format!(
                "the password of the user {name} in the store counts no more: auth.htpasswd has the name"
            );
            self.journal.note(AuthEventKind::Account, None, None, about);
            superseded.push(name.clone());
        }
        Ok(superseded)
    }

    async fn remove_user(&self, name: &UserName) -> Result<AccountAnswer, AccountError> {
        if self.store.account(AccountKind::User, name.as_str()).await?.is_none() {
            return Err(AccountError::NoUser(name.clone()));
        }
        let mut changes = vec![AccountChange::removed(AccountKind::User, name.to_string())];
        for (id, token) in self.all::<StoredToken>(AccountKind::AccessToken).await? {
            if token.is_personal && token.name == *name {
                changes.push(AccountChange::removed(AccountKind::AccessToken, id));
            }
        }
        for (id, login) in self.all::<StoredLogin>(AccountKind::RefreshToken).await? {
            if login.user == *name {
                changes.push(AccountChange::removed(AccountKind::RefreshToken, id));
            }
        }
        self.change(changes).await?;
        self.forget_logins_of(name).await;
        Ok(AccountAnswer::Done)
    }

    async fn create_token(
        &self,
        name: UserName,
        user: Option<UserName>,
        repositories: Vec<String>,
        actions: Vec<String>,
        expires_in: Option<u64>,
    ) -> Result<AccountAnswer, AccountError> {
        for pattern in &repositories {
            Pattern::parse(pattern)
                .map_err(|source| AccountError::Pattern { pattern: pattern.clone(), source })?;
        }
        if repositories.is_empty() {
            return Err(AccountError::Invalid(
                "a token is for some repositories, such as `team/**`".to_owned(),
            ));
        }
        if let Some(action) = actions.iter().find(|action| read_action(action).is_none()) {
            let wrong = format!("`{action}` is none of `pull`, `push`, `delete` and `*`");
            return Err(AccountError::Invalid(wrong));
        }
        if actions.is_empty() {
            return Err(AccountError::Invalid("a token is for some actions, such as `pull`".to_owned()));
        }
        if user.is_none() && self.store.account(AccountKind::User, name.as_str()).await?.is_some() {
            return Err(AccountError::Invalid(format!(
                "there is a user `{name}`; give the robot another name, or say `--user {name}` for a token of theirs"
            )));
        }
        let (id, secret) = (random::<8>()?, random::<24>()?);
        let id = hex::encode(id);
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let now = self.clock.now();
        // No user of the robot's name may have been added meanwhile.
        let no_user = user.is_none().then(|| AccountChange::absent(AccountKind::User, name.to_string()));
        let token = StoredToken {
            is_personal: user.is_some(),
            label: name.to_string(),
            name: user.unwrap_or(name),
            secret: hash_of(&secret),
            repositories,
            actions,
            created: now,
            expires: expires_in.map(|seconds| now.later_by(Duration::from_secs(seconds))),
            last_use: None,
        };
        let kept = change_to(AccountKind::AccessToken, &id, &token, Expect::Absent)?;
        self.change(no_user.into_iter().chain([kept]).collect()).await?;
        Ok(AccountAnswer::Created { token: format!("{PREFIX}{id}_{secret}"), id, name: token.name })
    }
}

/// The change that makes an account this.
fn change_to<T: Serialize>(
    kind: AccountKind,
    key: &str,
    value: &T,
    expected: Expect,
) -> Result<AccountChange, AccountError> {
    let content = serde_json::to_vec(value).map_err(|_| AccountError::Damaged(key.to_owned()))?;
    Ok(AccountChange { kind, key: key.to_owned(), content: Some(content), expected })
}

fn shown(id: String, token: StoredToken, now: Timestamp) -> TokenShown {
    let is_expired = token.is_expired(now);
    let StoredToken { name, label, repositories, actions, created, expires, last_use, .. } = token;
    TokenShown { id, name, label, repositories, actions, created, expires, is_expired, last_use }
}

fn read_action(action: &str) -> Option<Actions> {
    match action {
        "*" => Some(Actions::ALL),
        action => {
            Action::ALL.into_iter().find(|known| known.as_str() == action).map(|known| Actions::of(&[known]))
        }
    }
}

fn hash_of(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], AccountError> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes).map_err(|_| AccountError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
