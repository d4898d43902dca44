//! `portreeve user` and `portreeve token`: by the running door if there is one, else in the store itself.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::runtime;
use tokio_util::sync::CancellationToken;

use super::door_client::{Client, DoorError, DoorRefusal};
use super::start_error::StartError;
use super::{auth_setup, clock_watch, socket, store_setup};
use crate::auth::{
    AccountAnswer, AccountCommand, AccountError, Accounts, Author, HtpasswdError, InvalidUserName, LocalUser,
    UserName, keep_journal,
};
use crate::clock::Clock;
use crate::config::Config;
use crate::oci::InvalidRepositoryName;
use crate::web::ACCOUNTS_PATH;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The store or the runtime cannot be had.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It makes no sense, or the store failed.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The repository's name is none.
    #[error(transparent)]
    Repository(#[from] InvalidRepositoryName),
    /// The user's name is none.
    #[error(transparent)]
    User(#[from] InvalidUserName),
    /// A new user has a name that stands in the file of users.
    #[error("auth.htpasswd has a user `{0}`; take another name, or remove that line first")]
    TakenByFile(UserName),
    /// A user of the file of users is to be in other groups.
    #[error("auth.htpasswd has the user `{0}`, whose groups are those of auth.groups in the configuration")]
    GroupsOfFile(UserName),
    /// A group that nothing speaks of.
    #[error("no rule and no user has a group `{group}`; {remedy}")]
    NoGroup {
        /// The group.
        group: String,
        /// What would be right.
        remedy: String,
    },
    /// A user that nobody is.
    #[error("nobody has the name `{user}`; {remedy}")]
    NoUser {
        /// The name.
        user: UserName,
        /// What would be right.
        remedy: String,
    },
    /// The file of users cannot be read.
    #[error(transparent)]
    Htpasswd(#[from] HtpasswdError),
    /// The running door refused it; shown are its words for the caller.
    #[error("{}", .0.message)]
    Refused(#[source] DoorRefusal),
    /// The door could not be asked.
    #[error(transparent)]
    Door(DoorError),
}

impl From<DoorError> for CommandError {
    fn from(error: DoorError) -> Self {
        match error {
            DoorError::Refused(refusal) => Self::Refused(refusal),
            DoorError::Client(_) | DoorError::NoAnswer { .. } => Self::Door(error),
        }
    }
}

impl CommandError {
    /// Whether the operator has to change something first: a key, a file.
    pub const fn is_misconfiguration(&self) -> bool {
        match self {
            Self::Start(error) => error.is_misconfiguration(),
            Self::Htpasswd(_) => true,
            Self::Account(_)
            | Self::Repository(_)
            | Self::User(_)
            | Self::TakenByFile(_)
            | Self::GroupsOfFile(_)
            | Self::NoGroup { .. }
            | Self::NoUser { .. }
            | Self::Refused(_)
            | Self::Door(_) => false,
        }
    }
}

/// Carries out a command, whose names are right: one that only looks, without writing anything. Of a list `tell` is told each
/// part, for as long as it wants more.
///
/// # Errors
/// When it makes no sense, or neither door nor store can be had: then nothing was done.
pub(super) fn carry_out(
    config: &Config,
    command: AccountCommand,
    tell: &mut dyn FnMut(AccountAnswer) -> ControlFlow<()>,
) -> Result<(), CommandError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::System)?;
    runtime.block_on(async {
        let socket = socket::path(config);
        if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
            let door = Client::new(&socket)?;
            let mut following = Some(command);
            while let Some(command) = following {
                let request = door.http.post(format!("http://door{ACCOUNTS_PATH}")).json(&command);
                let answer: AccountAnswer = door.ask("carry out the command", request).await?;
                following = answer.following();
                if tell(answer).is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let changes = command.changes();
        let opened = match changes {
            true => store_setup::open_existing(&config.store),
            false => store_setup::open_to_read(&config.store),
        };
        let store = opened.map_err(StartError::Store)?;
        let clock = Clock::shifted(config.clock.offset);
        let retention_clock = clock_watch::retention_clock(store.as_ref(), clock).await;
        let accounts = auth_setup::accounts(config, &store, retention_clock);
        let carried = in_store(&accounts, command, tell).await;
        if changes {
            let at_once = CancellationToken::new();
            at_once.cancel();
            keep_journal(Arc::clone(accounts.journal()), Arc::clone(&store) as _, at_once).await;
        }
        store.close();
        Ok(carried?)
    })
}

/// Carries it out where no door runs.
async fn in_store(
    accounts: &Arc<Accounts>,
    command: AccountCommand,
    tell: &mut dyn FnMut(AccountAnswer) -> ControlFlow<()>,
) -> Result<(), AccountError> {
    let by = Author::from(&LocalUser::current());
    let mut following = Some(command);
    while let Some(command) = following {
        let answer = accounts.carry_out(command, Some(&by)).await?;
        following = answer.following();
        if tell(answer).is_break() {
            break;
        }
    }
    Ok(())
}
