//! Accounts that the store keeps: users with passwords, access tokens of users and of robots, and logins that continue
//! (`logins`). `command` has what may be done to them, `sources` looks users up in them. Secrets are kept as hashes:
//! argon2id for passwords, SHA-256 for tokens, which cannot be guessed.

mod author;
mod command;
pub(in crate::auth) mod disabled;
mod disabled_names;
mod listing;
mod login_ends;
mod login_index;
mod login_kind;
mod logins;
mod other_doors;
mod seen_mark;
mod sources;
mod standing;
mod stored;
mod tokens;
mod users;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

pub use self::author::Author;
pub use self::command::{AccountAnswer, AccountCommand, DisabledShown, LoginShown, TokenShown, UserShown};
pub use self::listing::{
    InvalidTokenCursor, KnownToken, TokenCursor, TokenFilter, TokenKind, UnknownTokenKind,
};
pub use self::login_kind::LoginKind;
pub(super) use self::logins::KeptLogin;
pub use self::logins::{Device, LoginLife};
pub use self::other_doors::follow_other_doors;
pub use self::sources::{AccessTokens, StoredUsers};
pub(super) use self::standing::ShownPassword;

use self::disabled_names::DisabledNames;
use self::login_index::LoginIndexes;
use self::seen_mark::SeenMark;
use super::journal::Journal;
use super::pattern::InvalidPattern;
use super::subject::UserName;
use crate::clock::Clock;
use crate::store::{self, AccountChange, AccountKind, AuthEventKind, Expect, Page, PageRequest, StoreError};
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
    #[error("there is no token and no login `{0}`; the list of tokens shows them")]
    NoToken(String),
    /// There are as many of one name as there may be.
    #[error(
        "`{name}` has {most} access tokens, and there are no more of one name; revoke some that are not used"
    )]
    TooManyTokens {
        /// By which their bearers log in.
        name: UserName,
        /// How many there may be.
        most: usize,
    },
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
    /// It was not carried to its end.
    #[error("the door failed on this command; its log says why")]
    Failed,
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
    /// Which logins there are of each kind, as soon as one was made.
    login_indexes: LoginIndexes,
    /// Who is disabled, as soon as that was asked for.
    disabled: DisabledNames,
    /// One command at a time: some look at many accounts before they change one.
    commands: Mutex<()>,
    /// The commands that run, also those whose callers have gone.
    running: TaskTracker,
    /// Whether the last use of a token could be written down.
    use_failures: FailureLog,
    /// What was heeded of what other doors do; none where there are no others.
    others: Option<SeenMark>,
}

impl Accounts {
    /// Those of this store; what is done to them is noted in `journal`.
    pub fn new(store: Arc<dyn store::Accounts>, journal: Arc<Journal>, clock: Clock) -> Self {
        let (version, login_indexes, commands) = (AtomicU64::new(0), LoginIndexes::default(), Mutex::new(()));
        let (disabled, use_failures) = (DisabledNames::default(), FailureLog::new());
        let (running, others) = (TaskTracker::new(), None);
        Self {
            store,
            journal,
            clock,
            version,
            login_indexes,
            disabled,
            commands,
            running,
            use_failures,
            others,
        }
    }

    /// The same in a store that other doors may share: they hear of what is changed here, and are heeded.
    #[must_use]
    pub fn shared(mut self, is_shared: bool) -> Self {
        self.others = is_shared.then(SeenMark::default);
        self
    }

    /// The journal of the gate.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Another number whenever users or tokens were changed.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
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

    /// Looks at the accounts of a kind that stand behind a key, in the order of their keys, until it is told to stop. Some are
    /// in memory at a time, however many there are. Answers whether it came to their end.
    async fn look_through<T: DeserializeOwned>(
        &self,
        kind: AccountKind,
        mut after: Option<String>,
        mut look: impl FnMut(String, T) -> ControlFlow<()>,
    ) -> Result<bool, AccountError> {
        loop {
            let page = self.store.accounts(kind, PageRequest { after, limit: ROWS }).await?;
            for account in page.items {
                let read = serde_json::from_slice(&account.content);
                let read = read.map_err(|_| AccountError::Damaged(account.key.clone()))?;
                if look(account.key, read).is_break() {
                    return Ok(false);
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(true);
            }
            tokio::task::yield_now().await;
        }
    }

    /// The keys of those accounts of a kind of which this is true.
    async fn keys_where<T: DeserializeOwned>(
        &self,
        kind: AccountKind,
        is_wanted: impl Fn(&T) -> bool,
    ) -> Result<Vec<String>, AccountError> {
        let mut keys = Vec::new();
        let look = |key, account: T| {
            if is_wanted(&account) {
                keys.push(key);
            }
            ControlFlow::Continue(())
        };
        self.look_through(kind, None, look).await?;
        Ok(keys)
    }

    async fn all<T: DeserializeOwned>(&self, kind: AccountKind) -> Result<Vec<(String, T)>, AccountError> {
        let mut all = Vec::new();
        let look = |key, account| {
            all.push((key, account));
            ControlFlow::Continue(())
        };
        self.look_through(kind, None, look).await?;
        Ok(all)
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
        self.change_for_all(vec![AccountChange::removed(kind, key.to_owned())]).await
    }

    /// Writes down that something was used, unless it was changed or revoked meanwhile, or its use is noted already. It was
    /// good, so a store that cannot write keeps no user out.
    async fn note_use<T: Serialize>(&self, kind: AccountKind, key: &str, before: Vec<u8>, used: &T) {
        match self.write(kind, key, used, Expect::Exactly(before)).await {
            Ok(()) | Err(AccountError::Overtaken) => {
                self.use_failures.worked();
            }
            Err(error) if self.use_failures.failed(&error) => {
                tracing::warn!(%error, "the last use of a token or a login cannot be written down");
            }
            Err(_) => {}
        }
    }

    /// Does what a command says, to its end even if this future is dropped: what is in memory has to follow what the store
    /// has. `by` gave it, as far as is known.
    ///
    /// # Errors
    /// When it makes no sense, or the store fails: then nothing was done.
    pub async fn carry_out(
        self: &Arc<Self>,
        command: AccountCommand,
        by: Option<&Author>,
    ) -> Result<AccountAnswer, AccountError> {
        let (accounts, by) = (Arc::clone(self), by.cloned());
        let task = self.running.spawn(async move { accounts.carry(command, by.as_ref()).await });
        // A task is never aborted while the door runs, so this fails only for a panic, which the log has, or a runtime that
        // is going away.
        task.await.unwrap_or(Err(AccountError::Failed))
    }

    /// Waits for the commands that run. For a door that stops, when there are no more callers.
    pub async fn finish(&self) {
        self.running.close();
        self.running.wait().await;
    }

    async fn carry(
        &self,
        command: AccountCommand,
        by: Option<&Author>,
    ) -> Result<AccountAnswer, AccountError> {
        let about = command.in_words();
        let changes = about.is_some();
        let _alone = self.commands.lock().await;
        let answer = match command {
            AccountCommand::AddUser { name, hash, groups } => self.add_user(name, hash, groups).await,
            AccountCommand::SetPassword { name, hash, present } => {
                self.set_password(&name, hash, present.as_deref()).await
            }
            AccountCommand::RemoveUser { name } => self.remove_user(&name).await,
            AccountCommand::SetGroups { name, groups } => self.set_groups(&name, groups).await,
            AccountCommand::DisableUser { name } => self.disable_user(&name).await,
            AccountCommand::EnableUser { name } => self.enable_user(&name).await,
            AccountCommand::ListDisabled { after } => {
                let Page { items, next } = self.disabled_users(PageRequest { after, limit: ROWS }).await?;
                Ok(AccountAnswer::Disabled { users: items, next })
            }
            AccountCommand::ListUsers { after } => {
                let Page { items, next } = self.users(PageRequest { after, limit: ROWS }).await?;
                Ok(AccountAnswer::Users { users: items, next })
            }
            AccountCommand::CreateToken { name, user, repositories, actions, expires_in } => {
                self.create_token(name, user, repositories, actions, expires_in).await
            }
            AccountCommand::ListTokens { after } => self.list_tokens(after.as_deref()).await,
            AccountCommand::RevokeToken { id } => {
                if self.store.account(AccountKind::AccessToken, &id).await?.is_some() {
                    self.remove(AccountKind::AccessToken, &id).await?;
                    Ok(AccountAnswer::Done)
                } else {
                    self.end_login_of_any_kind(id, None).await
                }
            }
            AccountCommand::EndLogin { user, id } => self.end_login_of_any_kind(id, Some(&user)).await,
            AccountCommand::EndLogins { user } => self.end_logins(&user).await.map(|()| AccountAnswer::Done),
        };
        // Whatever was remembered may be wrong now.
        if changes {
            self.version.fetch_add(1, Ordering::Release);
        }
        if let (Ok(_), Some(about)) = (&answer, about) {
            let (name, address) = by.map_or((None, None), |by| (Some(by.name.as_str()), by.address));
            self.journal.note(AuthEventKind::Account, name, address, about);
        }
        answer
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
