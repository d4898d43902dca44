//! Accounts that the store keeps: users with passwords, access tokens of users and of robots, and logins that go on
//! (refresh tokens). Secrets are kept as hashes: argon2id for passwords, SHA-256 for tokens, which nobody can guess.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::hashing::{Hashing, StoredHash};
use super::identity::{Credentials, Found, IdentitySource, SourceError, Verdict, proof};
use super::journal::Journal;
use super::rules::Pattern;
use super::scope::{Action, Actions};
use super::sensitive::Sensitive;
use super::subject::{Identity, Limits, UserName};
use crate::clock::{Clock, Timestamp};
use crate::store::{AccountChange, AccountKind, AuthEventKind, PageRequest, Store, StoreError};

/// What access tokens begin with, so that people and scanners know them.
const PREFIX: &str = "portreeve_";
/// How often the last use of a token is written down.
const NOTE_EVERY: Duration = Duration::from_secs(60 * 60);
/// How many are read at once.
const ROWS: usize = 500;

/// A user that the store keeps.
#[derive(Clone, Serialize, Deserialize)]
struct StoredUser {
    hash: String,
    #[serde(default)]
    groups: Vec<String>,
    created: Timestamp,
}

/// An access token that the store keeps.
#[derive(Clone, Serialize, Deserialize)]
struct StoredToken {
    /// By which name its bearer logs in: that of its owner, or its own.
    name: UserName,
    /// Whether it belongs to a user; else it is a robot's.
    is_personal: bool,
    label: String,
    /// SHA-256 of the secret.
    secret: String,
    repositories: Vec<String>,
    actions: Vec<String>,
    created: Timestamp,
    expires: Option<Timestamp>,
    #[serde(default)]
    last_use: Option<Timestamp>,
}

/// A login that goes on.
#[derive(Clone, Serialize, Deserialize)]
struct StoredLogin {
    user: UserName,
    service: String,
    /// What their password was known by.
    proof: String,
    created: Timestamp,
    last_use: Timestamp,
}

/// A user, as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserShown {
    /// The name.
    pub name: UserName,
    /// The groups.
    pub groups: Vec<String>,
    /// Since when.
    pub created: Timestamp,
}

/// An access token, as shown: without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenShown {
    /// By which it is revoked.
    pub id: String,
    /// By which name its bearer logs in.
    pub name: UserName,
    /// What it is for.
    pub label: String,
    /// Repositories, as patterns.
    pub repositories: Vec<String>,
    /// Actions on them.
    pub actions: Vec<String>,
    /// Since when.
    pub created: Timestamp,
    /// Until when.
    pub expires: Option<Timestamp>,
    /// When it was used last, to the hour.
    pub last_use: Option<Timestamp>,
}

/// What to do to the accounts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountCommand {
    /// Add a user.
    AddUser {
        /// The name.
        name: UserName,
        /// The password's hash, argon2id.
        hash: String,
        /// The groups.
        groups: Vec<String>,
    },
    /// Give a user another password. Their logins end.
    SetPassword {
        /// The name.
        name: UserName,
        /// The password's hash, argon2id.
        hash: String,
    },
    /// Remove a user, with their tokens and logins.
    RemoveUser {
        /// The name.
        name: UserName,
    },
    /// List users.
    ListUsers,
    /// Make an access token.
    CreateToken {
        /// By which name its bearer logs in: a robot's own.
        name: UserName,
        /// Of which user it is, if it is no robot's.
        user: Option<UserName>,
        /// Repositories, as patterns.
        repositories: Vec<String>,
        /// `pull`, `push`, `delete`, `*`.
        actions: Vec<String>,
        /// For how long, in seconds.
        expires_in: Option<u64>,
    },
    /// List access tokens.
    ListTokens,
    /// Revoke an access token.
    RevokeToken {
        /// Which one.
        id: String,
    },
}

impl AccountCommand {
    /// What it does, without secrets; nothing if it only looks.
    fn in_words(&self) -> Option<String> {
        Some(match self {
            Self::AddUser { name, .. } => format!("the user {name} was added"),
            Self::SetPassword { name, .. } => format!("the user {name} was given another password"),
            Self::RemoveUser { name } => format!("the user {name} was removed"),
            Self::CreateToken { name, user: None, .. } => {
                format!("an access token of the robot {name} was made")
            }
            Self::CreateToken { name, user: Some(user), .. } => {
                format!("an access token of the user {user} was made: {name}")
            }
            Self::RevokeToken { id } => format!("the access token {id} was revoked"),
            Self::ListUsers | Self::ListTokens => return None,
        })
    }
}

/// What came of a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountAnswer {
    /// It is done.
    Done,
    /// The users.
    Users(Vec<UserShown>),
    /// The access tokens.
    Tokens(Vec<TokenShown>),
    /// An access token, shown this once.
    Created {
        /// By which it is revoked.
        id: String,
        /// By which name its bearer logs in.
        name: UserName,
        /// The token.
        token: String,
    },
}

/// Why a command is not done.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is one already.
    #[error("there is a user `{0}` already")]
    Exists(UserName),
    /// There is none.
    #[error("there is no user `{0}` in the store")]
    NoUser(UserName),
    /// There is none.
    #[error("there is no access token `{0}`; `portreeve token list` shows them")]
    NoToken(String),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store keeps is none of it.
    #[error("the account `{0}` in the store cannot be read")]
    Damaged(String),
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random,
}

/// The accounts of a store.
pub struct Accounts {
    store: Arc<dyn Store>,
    journal: Arc<Journal>,
    clock: Clock,
    version: AtomicU64,
}

impl Accounts {
    /// Those of this store; what is done to them is noted in `journal`.
    pub fn new(store: Arc<dyn Store>, journal: Arc<Journal>, clock: Clock) -> Self {
        Self { store, journal, clock, version: AtomicU64::new(0) }
    }

    /// The journal of the gate.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    async fn read<T: DeserializeOwned>(
        &self,
        kind: AccountKind,
        key: &str,
    ) -> Result<Option<T>, AccountError> {
        let content = self.store.account(kind, key).await?;
        let parse = |content: Vec<u8>| {
            serde_json::from_slice(&content).map_err(|_| AccountError::Damaged(key.to_owned()))
        };
        content.map(parse).transpose()
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

    async fn write<T: Serialize>(
        &self,
        kind: AccountKind,
        key: &str,
        value: Option<&T>,
    ) -> Result<(), AccountError> {
        let content = value.map(serde_json::to_vec).transpose();
        let content = content.map_err(|_| AccountError::Damaged(key.to_owned()))?;
        Ok(self.store.change_accounts(vec![AccountChange { kind, key: key.to_owned(), content }]).await?)
    }

    /// Does what a command says.
    ///
    /// # Errors
    /// When it makes no sense, or the store fails: then nothing was done.
    pub async fn carry_out(&self, command: AccountCommand) -> Result<AccountAnswer, AccountError> {
        let about = command.in_words();
        let answer = match command {
            AccountCommand::AddUser { name, hash, groups } => self.add_user(name, hash, groups).await,
            AccountCommand::SetPassword { name, hash } => self.set_password(&name, hash).await,
            AccountCommand::RemoveUser { name } => self.remove_user(&name).await,
            AccountCommand::ListUsers => {
                let users = self.all::<StoredUser>(AccountKind::User).await?;
                let shown = |(name, user): (String, StoredUser)| {
                    let name = UserName::parse(&name).ok()?;
                    Some(UserShown { name, groups: user.groups, created: user.created })
                };
                Ok(AccountAnswer::Users(users.into_iter().filter_map(shown).collect()))
            }
            AccountCommand::CreateToken { name, user, repositories, actions, expires_in } => {
                self.create_token(name, user, repositories, actions, expires_in).await
            }
            AccountCommand::ListTokens => {
                let tokens = self.all::<StoredToken>(AccountKind::AccessToken).await?;
                Ok(AccountAnswer::Tokens(tokens.into_iter().map(TokenShown::from).collect()))
            }
            AccountCommand::RevokeToken { id } => {
                if self.store.account(AccountKind::AccessToken, &id).await?.is_none() {
                    return Err(AccountError::NoToken(id));
                }
                self.write::<()>(AccountKind::AccessToken, &id, None).await?;
                Ok(AccountAnswer::Done)
            }
        };
        // Whatever was remembered may be wrong now.
        self.version.fetch_add(1, Ordering::Release);
        if let (Ok(_), Some(about)) = (&answer, about) {
            self.journal.note(AuthEventKind::Account, None, None, about);
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
        let user = StoredUser { hash, groups, created: self.clock.now() };
        self.write(AccountKind::User, name.as_str(), Some(&user)).await?;
        Ok(AccountAnswer::Done)
    }

    async fn set_password(&self, name: &UserName, hash: String) -> Result<AccountAnswer, AccountError> {
        let user = self.read::<StoredUser>(AccountKind::User, name.as_str()).await?;
        let user = user.ok_or_else(|| AccountError::NoUser(name.clone()))?;
        // Logins that go on have another proof now, and end.
        self.write(AccountKind::User, name.as_str(), Some(&StoredUser { hash, ..user })).await?;
        Ok(AccountAnswer::Done)
    }

    async fn remove_user(&self, name: &UserName) -> Result<AccountAnswer, AccountError> {
        if self.store.account(AccountKind::User, name.as_str()).await?.is_none() {
            return Err(AccountError::NoUser(name.clone()));
        }
        let remove = |kind, key: String| AccountChange { kind, key, content: None };
        let mut changes = vec![remove(AccountKind::User, name.to_string())];
        for (id, token) in self.all::<StoredToken>(AccountKind::AccessToken).await? {
            if token.is_personal && token.name == *name {
                changes.push(remove(AccountKind::AccessToken, id));
            }
        }
        for (id, login) in self.all::<StoredLogin>(AccountKind::RefreshToken).await? {
            if login.user == *name {
                changes.push(remove(AccountKind::RefreshToken, id));
            }
        }
        self.store.change_accounts(changes).await?;
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
            Pattern::parse(pattern).map_err(|wrong| {
                AccountError::Invalid(format!("`{pattern}` is no pattern of repository names: {wrong}"))
            })?;
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
        let (id, secret) = (random::<8>()?, random::<24>()?);
        let id = hex::encode(id);
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let now = self.clock.now();
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
        self.write(AccountKind::AccessToken, &id, Some(&token)).await?;
        Ok(AccountAnswer::Created { token: format!("{PREFIX}{id}_{secret}"), id, name: token.name })
    }

    /// Who bears an access token, if that is one.
    async fn bearer(&self, credentials: &Credentials) -> Result<Option<Verdict>, AccountError> {
        let Some(rest) = credentials.password.reveal().strip_prefix(PREFIX) else { return Ok(None) };
        let Some((id, secret)) = rest.split_once('_') else { return Ok(None) };
        let Some(token) = self.read::<StoredToken>(AccountKind::AccessToken, id).await? else {
            return Ok(Some(Verdict::Wrong));
        };
        let now = self.clock.now();
        let is_right = bool::from(hash_of(secret).as_bytes().ct_eq(token.secret.as_bytes()));
        let is_expired = token.expires.is_some_and(|expires| now >= expires);
        if !is_right || is_expired || token.name != credentials.name {
            return Ok(Some(Verdict::Wrong));
        }
        let patterns = token.repositories.iter().filter_map(|text| Pattern::parse(text).ok());
        let actions = token.actions.iter().filter_map(|action| read_action(action));
        let limits = Limits {
            repositories: patterns.collect(),
            actions: actions.fold(Actions::NONE, Actions::or),
            is_own: !token.is_personal,
        };
        if token.last_use.is_none_or(|last| now.since(last) >= NOTE_EVERY) {
            let used = StoredToken { last_use: Some(now), ..token.clone() };
            self.write(AccountKind::AccessToken, id, Some(&used)).await?;
        }
        let identity = Identity { name: token.name, groups: Vec::new(), limits: Some(limits) };
        Ok(Some(Verdict::Right(identity)))
    }

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
        self.write(AccountKind::RefreshToken, &hash_of(&token), Some(&login)).await?;
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
        idle: Duration,
        lifetime: Duration,
    ) -> Result<Option<(UserName, String)>, AccountError> {
        let key = hash_of(token.reveal());
        let Some(login) = self.read::<StoredLogin>(AccountKind::RefreshToken, &key).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        if now.since(login.last_use) > idle || now.since(login.created) > lifetime {
            self.forget_login(token).await?;
            return Ok(None);
        }
        if login.service != service {
            return Ok(None);
        }
        if now.since(login.last_use) >= NOTE_EVERY {
            let used = StoredLogin { last_use: now, ..login.clone() };
            self.write(AccountKind::RefreshToken, &key, Some(&used)).await?;
        }
        Ok(Some((login.user, login.proof)))
    }

    /// Ends a login.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_login(&self, token: &Sensitive) -> Result<(), AccountError> {
        self.write::<()>(AccountKind::RefreshToken, &hash_of(token.reveal()), None).await
    }
}

impl From<(String, StoredToken)> for TokenShown {
    fn from((id, token): (String, StoredToken)) -> Self {
        let StoredToken { name, label, repositories, actions, created, expires, last_use, .. } = token;
        Self { id, name, label, repositories, actions, created, expires, last_use }
    }
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

/// Access tokens, as a source: of passwords that have their form. Asked first, since their owners may come from anywhere.
pub struct AccessTokens(pub Arc<Accounts>);

#[async_trait]
impl IdentitySource for AccessTokens {
    fn name(&self) -> &'static str {
        "access_token"
    }

    async fn verify(&self, credentials: &Credentials) -> Result<Verdict, SourceError> {
        let verdict = self.0.bearer(credentials).await;
        Ok(verdict.map_err(|error| SourceError::Unavailable(error.to_string()))?.unwrap_or(Verdict::Unknown))
    }

    async fn find(&self, _: &UserName) -> Result<Option<Found>, SourceError> {
        Ok(None)
    }

    fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }
}

/// Users of the store, as a source.
pub struct StoredUsers {
    accounts: Arc<Accounts>,
    hashing: Hashing,
}

impl StoredUsers {
    /// Those of these accounts; passwords are checked by `hashing`.
    pub fn new(accounts: Arc<Accounts>, hashing: Hashing) -> Self {
        Self { accounts, hashing }
    }
}

#[async_trait]
impl IdentitySource for StoredUsers {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn verify(&self, credentials: &Credentials) -> Result<Verdict, SourceError> {
        let unavailable = |error: AccountError| SourceError::Unavailable(error.to_string());
        let user = self.accounts.read::<StoredUser>(AccountKind::User, credentials.name.as_str()).await;
        let Some(user) = user.map_err(unavailable)? else { return Ok(Verdict::Unknown) };
        let hash = StoredHash::Argon2(user.hash);
        Ok(match self.hashing.verify(hash, credentials.password.clone()).await? {
            true => Verdict::Right(Identity::new(credentials.name.clone(), user.groups)),
            false => Verdict::Wrong,
        })
    }

    async fn find(&self, name: &UserName) -> Result<Option<Found>, SourceError> {
        let user = self.accounts.read::<StoredUser>(AccountKind::User, name.as_str()).await;
        let user = user.map_err(|error| SourceError::Unavailable(error.to_string()))?;
        let found = |user: StoredUser| Found {
            proof: proof(&user.hash),
            identity: Identity::new(name.clone(), user.groups),
        };
        Ok(user.map(found))
    }
}

#[cfg(test)]
mod tests;
