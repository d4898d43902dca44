//! `portreeve user` and `portreeve token`: by the running door if there is one, else in the store itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use super::{StartError, gatehouse, socket};
use crate::auth::{AccountAnswer, AccountCommand, AccountError, Accounts, Journal, keep_journal};
use crate::clock::Clock;
use crate::config::{Config, StoreUrl};
use crate::store::{OpenError, RedbStore, Store};
use crate::web::ACCOUNTS_PATH;

/// How long the door may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The store or the runtime cannot be had.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It makes no sense, or the store failed.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The door said no.
    #[error("{0}")]
    Refused(String),
    /// The door did not answer as it should.
    #[error("the door at the socket {} did not answer: {cause}", socket.display())]
    Door {
        /// Its socket.
        socket: PathBuf,
        /// What came of it.
        cause: reqwest::Error,
    },
}

impl CommandError {
    /// Whether the operator has to change something first: a key, a file.
    pub const fn is_misconfiguration(&self) -> bool {
        match self {
            Self::Start(error) => error.is_misconfiguration(),
            Self::Account(_) | Self::Refused(_) | Self::Door { .. } => false,
        }
    }
}

/// Carries out a command.
///
/// # Errors
/// When it makes no sense, or neither door nor store can be had: then nothing was done.
pub fn account(config: &Config, command: AccountCommand) -> Result<AccountAnswer, CommandError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::System)?;
    runtime.block_on(async {
        let socket = socket::path(config);
        if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
            let asked = ask(&socket, &command).await;
            return asked
                .map_err(|cause| CommandError::Door { socket, cause })?
                .map_err(CommandError::Refused);
        }
        let StoreUrl::Redb(path) = &config.store.url;
        let store = RedbStore::open(path).map_err(|error: OpenError| StartError::Store(error))?;
        let store = Arc::new(store);
        let any: Arc<dyn Store> = Arc::clone(&store) as _;
        let clock = Clock::shifted(config.clock.offset);
        let held = gatehouse::held_clock(any.as_ref(), clock).await;
        let journal = Arc::new(Journal::new(clock, config.auth.events_age).aging_by(held));
        let accounts = Accounts::new(Arc::clone(&any), Arc::clone(&journal), clock);
        let answer = accounts.carry_out(command).await;
        let at_once = CancellationToken::new();
        at_once.cancel();
        keep_journal(journal, any, at_once).await;
        store.close();
        Ok(answer?)
    })
}

/// Asks the door. What it refuses is its own words.
async fn ask(
    socket: &std::path::Path,
    command: &AccountCommand,
) -> Result<Result<AccountAnswer, String>, reqwest::Error> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Words,
    }
    #[derive(Deserialize)]
    struct Words {
        message: String,
    }
    // Only the first call of a process sets it; all set the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().unix_socket(socket).timeout(PATIENCE).build()?;
    let answer = http.post(format!("http://door{ACCOUNTS_PATH}")).json(command).send().await?;
    if answer.status().is_success() {
        return Ok(Ok(answer.json().await?));
    }
    let status = answer.status();
    let words = answer.json::<Refusal>().await.map(|refusal| refusal.error.message);
    Ok(Err(words.unwrap_or_else(|_| format!("the door answered {status}"))))
}
