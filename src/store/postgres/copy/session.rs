//! One connection, with what serves it. Blocks: not to be used where futures run.

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Row};

use super::super::PostgresAddress;
use super::super::connection::Link;
use super::super::failure::Failure;
use super::super::migrations::{VERSION, check};
use super::super::open_error::PostgresOpenError;
use super::super::query::{Query, query};

/// See the module.
pub(super) struct Session {
    client: Client,
    /// Absent once this is dropped.
    runtime: Option<Runtime>,
}

/// What serves the connection has ended.
#[derive(Debug, thiserror::Error)]
#[error("the connection is not served any more")]
struct NotServed;

impl Session {
    /// Connects.
    pub(super) fn open(address: &PostgresAddress) -> Result<Self, PostgresOpenError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("copy").enable_all().build();
        let runtime = runtime.map_err(|cause| PostgresOpenError::Unusable {
            attempted: "start what serves",
            cause: Box::new(cause),
        })?;
        let link = Link::new(runtime.handle().clone(), address);
        let client = link.into_client().map_err(|failure| unusable("reach", failure))?;
        Ok(Self { client, runtime: Some(runtime) })
    }

    /// Refuses where there is no record that this version can read.
    pub(super) fn require_record(&self) -> Result<(), PostgresOpenError> {
        let found = self.version()?.ok_or(PostgresOpenError::Absent)?;
        if check(found)? < VERSION {
            return Err(PostgresOpenError::Older { found, known: VERSION });
        }
        Ok(())
    }

    /// The version of the tables, if there are any.
    pub(super) fn version(&self) -> Result<Option<i32>, PostgresOpenError> {
        let attempted = "look for tables in";
        let found = self.ask(&query!("SELECT to_regclass('ledger') IS NOT NULL"));
        let found = found.map_err(|failure| unusable(attempted, failure))?;
        if !found.first().is_some_and(|row| row.get(0)) {
            return Ok(None);
        }
        let found = self.ask(&query!("SELECT version FROM ledger"));
        let found = found.map_err(|failure| unusable(attempted, failure))?;
        Ok(Some(found.first().map_or(0, |row| row.get(0))))
    }

    /// From now on everything is read as it is now.
    pub(super) fn begin_snapshot(&self) -> Result<(), Failure> {
        // It may wait for whoever takes the rows. What is seen is settled with the first question, not with the beginning.
        self.run(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0; \
             SELECT sequence FROM ledger",
        )
    }

    /// Does something in a transaction.
    pub(super) fn transact<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        // It may wait for whoever gives the rows.
        self.run("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 0")?;
        match work() {
            Ok(done) => self.run("COMMIT").map(|()| done),
            Err(failure) => {
                // A connection that is lost does that by itself.
                let _ = self.run("ROLLBACK");
                Err(failure)
            }
        }
    }

    /// Asks, or changes something.
    pub(super) fn ask(&self, query: &Query) -> Result<Vec<Row>, Failure> {
        self.wait(query.ask(&self.client))
    }

    /// Runs statements without values.
    pub(super) fn run(&self, sql: &str) -> Result<(), Failure> {
        self.wait(self.client.batch_execute(sql))
    }

    fn wait<T>(&self, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Failure> {
        let runtime = self.runtime.as_ref().ok_or_else(|| Failure::medium(NotServed))?;
        Ok(runtime.block_on(asked)?)
    }
}

/// It may be dropped where futures run.
impl Drop for Session {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Why the database cannot be used for this.
pub(super) fn unusable(attempted: &'static str, failure: Failure) -> PostgresOpenError {
    let cause = match failure {
        Failure::Medium(cause) | Failure::Again(cause) => cause.to_string(),
        other @ (Failure::Corrupt { .. } | Failure::Refused(_)) => other.into_error("be read").to_string(),
    };
    PostgresOpenError::Unusable { attempted, cause: cause.into() }
}
