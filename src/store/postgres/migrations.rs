//! The tables of the database, made and changed by numbered steps. Each runs once, under the ticket's lock, so that of several
//! doors that start at once one does it.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connection::BEGIN;
use super::open_error::PostgresOpenError;
use crate::store::Epoch;

/// The steps, in their order. One that a door has run is never changed.
pub(super) const STEPS: [&str; 1] = [include_str!("migrations/0001.sql")];

/// The version of a database on which all steps were run.
pub(super) const VERSION: i32 = STEPS.len() as i32;

/// The version of a database while a record is imported there: one that no door knows.
pub(super) const IMPORTING: i32 = i32::MAX;

/// The row that every transaction takes first. It is made outside of the steps, since they run under its lock.
pub(super) const TICKET: &str = "
CREATE TABLE IF NOT EXISTS ledger (
    is_ticket boolean PRIMARY KEY CHECK (is_ticket),
    version integer NOT NULL,
    identity bytea NOT NULL,
    sequence bigint NOT NULL,
    content bytea NOT NULL
)";

const HAS_TICKET: &str = "SELECT to_regclass('ledger') IS NOT NULL";

/// Whether tables are made where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenAbsent {
    Make,
    Refuse,
}

/// Brings the database to this program's version. A database that has it already is only read. Answers whether the tables were
/// made here.
///
/// # Errors
/// When it has a newer one, or does not let itself be changed; or when it has no tables, and none are to be made.
pub(super) async fn migrate(client: &Client, when_absent: WhenAbsent) -> Result<bool, PostgresOpenError> {
    let attempted = "look for tables in";
    let found = client.query_typed_one(HAS_TICKET, &[]).await;
    let has_ticket: bool = found.map_err(|cause| PostgresOpenError::unusable(attempted, cause))?.get(0);
    if has_ticket {
        let found = client.query_typed_opt("SELECT version FROM ledger", &[]).await;
        let found = found.map_err(|cause| PostgresOpenError::unusable(attempted, cause))?;
        if let Some(row) = found
            && check(row.get(0))? == VERSION
        {
            return Ok(false);
        }
    } else if when_absent == WhenAbsent::Refuse {
        return Err(PostgresOpenError::Absent);
    }
    make(client, has_ticket).await
}

async fn make(client: &Client, has_ticket: bool) -> Result<bool, PostgresOpenError> {
    let attempted = "make tables in";
    let identity =
        Epoch::random().map_err(|cause| PostgresOpenError::Unusable { attempted, cause: Box::new(cause) })?;
    let refused = |cause| PostgresOpenError::unusable(attempted, cause);
    // Two doors may do this at once: one is told that the table is there, in one of several ways, and finds it then.
    if !has_ticket && let Err(error) = client.batch_execute(TICKET).await {
        let found = client.query_typed_one(HAS_TICKET, &[]).await;
        if !found.map_err(refused)?.get::<_, bool>(0) {
            return Err(refused(error));
        }
    }
    let identity = identity.get().to_be_bytes();
    client
        .execute_typed(
            "INSERT INTO ledger VALUES (true, 0, $1, 0, '{}') ON CONFLICT DO NOTHING",
            &[(&identity.as_slice(), Type::BYTEA)],
        )
        .await
        .map_err(refused)?;
    // Who fails within it drops the connection, which undoes it.
    client.batch_execute(BEGIN).await.map_err(refused)?;
    let row = client.query_typed_one("SELECT version FROM ledger FOR UPDATE", &[]).await.map_err(refused)?;
    let found = check(row.get(0))?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        client.batch_execute(step).await.map_err(refused)?;
    }
    client
        .execute_typed("UPDATE ledger SET version = $1", &[(&VERSION, Type::INT4)])
        .await
        .map_err(refused)?;
    client.batch_execute("COMMIT").await.map_err(refused)?;
    Ok(found == 0)
}

/// A version that this program knows.
pub(super) fn check(found: i32) -> Result<i32, PostgresOpenError> {
    if found == IMPORTING {
        return Err(PostgresOpenError::HalfImported);
    }
    if found > VERSION { Err(PostgresOpenError::Newer { found, known: VERSION }) } else { Ok(found) }
}
