//! How the database is reached: the writer's own connection, which sends what belongs together in one flight and does not wait
//! for each answer, and what both it and the readers connect with.
//!
//! A pooler may stand between, which gives each transaction another session: nothing is prepared, or set, for longer than one.

use std::fmt;
use std::future::poll_fn;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Row, Socket};

use super::failure::{Failure, NoAnswer, NotConnected, NotReplicated};
use super::open_error::PostgresOpenError;
use super::query::Query;
use super::tls::{Connector, TlsFiles, TlsMode, TlsStream, is_over_sockets, take_mode};

/// How long it may take to get a connection.
pub(super) const CONNECTING: Duration = Duration::from_secs(5);

/// How long nothing may come back of what is sent, as TCP sees it: then there is no connection any more. A database that is slow
/// is not silent.
const SILENCE: Duration = Duration::from_secs(5);

/// How long the database may take for a flight that changes nothing for good.
const ANSWERING: Duration = Duration::from_secs(10);

/// How long a commit may take: its standby may have to be waited for.
const COMMITTING: Duration = Duration::from_secs(30);

/// How a transaction begins: of a door that is frozen within it the database takes the ticket back.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
    SET LOCAL idle_in_transaction_session_timeout = '3s'; SET LOCAL lock_timeout = '10s'";

/// Where a record is kept in PostgreSQL, with which password, and how connections to it are encrypted. It shows no password.
#[derive(Clone)]
pub struct PostgresAddress {
    pub(super) config: Config,
    pub(super) connector: Connector,
}

impl PostgresAddress {
    /// From a URL without a password, the password that goes with it, and files for connections that are encrypted.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn parse(
        url: &str,
        password: Option<&SecretString>,
        files: TlsFiles,
    ) -> Result<Self, PostgresOpenError> {
        let (url, mode) = take_mode(url)?;
        let config = Config::from_str(&url);
        let mut config = config.map_err(|cause| PostgresOpenError::Address { cause: Box::new(cause) })?;
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        if config.get_application_name().is_none() {
            config.application_name("portreeve");
        }
        config.connect_timeout(CONNECTING);
        config.tcp_user_timeout(SILENCE);
        config.keepalives_idle(SILENCE);
        config.keepalives_interval(SILENCE / 5);
        config.keepalives_retries(5);
        let mode = match is_over_sockets(&config) {
            true => TlsMode::Disable,
            false => mode.unwrap_or_else(|| TlsMode::default_of(&config, &files)),
        };
        config.ssl_mode(if mode == TlsMode::Disable { SslMode::Disable } else { SslMode::Require });
        Ok(Self { config, connector: Connector::new(mode, files) })
    }
}

/// Hosts and database alone.
impl fmt::Debug for PostgresAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Hosts and database alone.
impl fmt::Display for PostgresAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use tokio_postgres::config::Host;
        formatter.write_str("postgres://")?;
        for (place, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) => write!(formatter, "{comma}{name}")?,
                Host::Unix(path) => write!(formatter, "{comma}{}", path.display())?,
            }
        }
        write!(formatter, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

/// How a transaction did not come to its end.
pub(super) enum NotCommitted {
    /// The database has said that it undid it.
    Undone(Failure),
    /// Nobody knows yet whether it was committed.
    Unknown(Failure),
    /// It was committed, but the standby may not have it.
    NotReplicated(Failure),
}

/// The writer's connection. Blocks: to be used by the writer's thread alone.
pub(super) struct Link {
    runtime: Handle,
    address: PostgresAddress,
    client: Option<Client>,
    /// Whether the database has warned of anything.
    is_warned: Arc<AtomicBool>,
}

impl Link {
    /// Not connected yet.
    pub(super) fn new(runtime: Handle, address: &PostgresAddress) -> Self {
        let is_warned = Arc::default();
        Self { runtime, address: address.clone(), client: None, is_warned }
    }

    /// Connects, if it is not connected.
    pub(super) fn connect(&mut self) -> Result<&mut Client, Failure> {
        if self.client.as_ref().is_some_and(Client::is_closed) {
            self.client = None;
        }
        if self.client.is_none() {
            let (address, is_warned) = (&self.address, Arc::clone(&self.is_warned));
            let client = self.runtime.block_on(async {
                let connecting = async {
                    let (client, connection) = address.config.connect(address.connector.clone()).await?;
                    tokio::spawn(attend(connection, is_warned));
                    Ok::<_, tokio_postgres::Error>(client)
                };
                timeout(2 * CONNECTING, connecting)
                    .await
                    .map_err(|_| no_answer(2 * CONNECTING))?
                    .map_err(Failure::from)
            })?;
            self.client = Some(client);
        }
        self.client.as_mut().ok_or_else(|| Failure::medium(NotConnected))
    }

    /// Connects, and does something that only the beginning needs.
    pub(super) fn with_client<T>(&mut self, work: impl AsyncFnOnce(&mut Client) -> T) -> Result<T, Failure> {
        let runtime = self.runtime.clone();
        let client = self.connect()?;
        Ok(runtime.block_on(work(client)))
    }

    /// Connects, and gives the connection away.
    pub(super) fn into_client(mut self) -> Result<Client, Failure> {
        self.connect()?;
        self.client.take().ok_or_else(|| Failure::medium(NotConnected))
    }

    /// Whether there was a connection that is lost by now.
    pub(super) fn is_lost(&self) -> bool {
        self.client.as_ref().is_some_and(Client::is_closed)
    }

    /// Lets go of the connection, whatever it was at.
    pub(super) fn drop_connection(&mut self) {
        self.client = None;
    }

    /// Begins a transaction, and sends these with it. Each sees what was committed when the one before it was done.
    pub(super) fn begin(&mut self, queries: &[Query]) -> Result<Vec<Vec<Row>>, Failure> {
        self.connect()?;
        self.flight(queries, true)
    }

    /// Sends these within the transaction.
    pub(super) fn send(&mut self, queries: &[Query]) -> Result<Vec<Vec<Row>>, Failure> {
        self.flight(queries, false)
    }

    /// Sends one.
    pub(super) fn one(&mut self, query: Query) -> Result<Vec<Row>, Failure> {
        Ok(self.flight(&[query], false)?.pop().unwrap_or_default())
    }

    fn flight(&mut self, queries: &[Query], is_beginning: bool) -> Result<Vec<Vec<Row>>, Failure> {
        let client = self.client.as_ref().ok_or_else(|| Failure::medium(NotConnected))?;
        let flight = async {
            let begun = async {
                match is_beginning {
                    true => client.batch_execute(BEGIN).await,
                    false => Ok(()),
                }
            };
            let (begun, answers) = join(begun, join_all(sent(client, queries))).await;
            begun?;
            answers.into_iter().collect::<Result<Vec<_>, Failure>>()
        };
        match self.runtime.block_on(async { timeout(ANSWERING, flight).await }) {
            Ok(answers) => answers,
            Err(_) => {
                self.drop_connection();
                Err(no_answer(ANSWERING))
            }
        }
    }

    /// Ends the transaction with these.
    pub(super) fn commit(&mut self, queries: &[Query]) -> Result<(), NotCommitted> {
        self.is_warned.store(false, Ordering::Release);
        let Some(client) = &self.client else {
            return Err(NotCommitted::Undone(Failure::medium(NotConnected)));
        };
        let flight = async { join(join_all(sent(client, queries)), client.batch_execute("COMMIT")).await };
        let Ok((answers, committed)) = self.runtime.block_on(async { timeout(COMMITTING, flight).await })
        else {
            self.drop_connection();
            return Err(NotCommitted::Unknown(no_answer(COMMITTING)));
        };
        let is_closed = client.is_closed();
        if let Err(failure) = answers.into_iter().collect::<Result<Vec<_>, _>>() {
            // What fails within a transaction makes a rollback of its COMMIT; but the answer may be that of no database.
            return Err(match is_closed {
                true => NotCommitted::Unknown(failure),
                false => NotCommitted::Undone(failure),
            });
        }
        match committed.map_err(Failure::from) {
            Ok(()) if self.is_warned.load(Ordering::Acquire) => {
                Err(NotCommitted::NotReplicated(Failure::medium(NotReplicated)))
            }
            Ok(()) => Ok(()),
            Err(again @ Failure::Again(_)) => Err(NotCommitted::Undone(again)),
            Err(failure) => Err(NotCommitted::Unknown(failure)),
        }
    }

    /// Undoes the transaction. A connection that does not even do that is dropped, which does it.
    pub(super) fn roll_back(&mut self) {
        let Some(client) = &self.client else { return };
        let undone =
            self.runtime.block_on(async { timeout(ANSWERING, client.batch_execute("ROLLBACK")).await });
        if !matches!(undone, Ok(Ok(()))) {
            self.drop_connection();
        }
    }
}

/// What is sent, in its order, as soon as it is polled.
fn sent<'a>(
    client: &'a Client,
    queries: &'a [Query],
) -> impl Iterator<Item = impl Future<Output = Result<Vec<Row>, Failure>> + 'a> + 'a {
    queries.iter().map(move |query| async move { Ok(query.ask(client).await?) })
}

/// Serves a connection until it ends, and notes what the database warns of.
async fn attend(mut connection: Connection<Socket, TlsStream>, is_warned: Arc<AtomicBool>) {
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => {
                if notice.severity() == "WARNING" {
                    tracing::warn!(
                        warning = notice.message(),
                        code = notice.code().code(),
                        "the database warns"
                    );
                    is_warned.store(true, Ordering::Release);
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "the connection to the database is lost");
                return;
            }
            None => return,
        }
    }
}

fn no_answer(waited: Duration) -> Failure {
    Failure::medium(NoAnswer(waited.as_secs()))
}
