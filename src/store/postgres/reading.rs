//! How readers ask: each question is one statement, so that its answer is of one state of the record, the last durable one.

use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::Row;

use super::PostgresStore;
use super::connection::CONNECTING;
use super::failure::{Failure, NoAnswer, NotThere, decode};
use super::query::{Query, query};
use super::ticket::Sums;
use super::tls::Connector;
use crate::store::record::MAXIMUM_PAGE;
use crate::store::{Page, StoreError, metrics};

/// What a failing read answers that it attempted.
const READ: &str = "be read";

/// How long a read may take.
const READING: Duration = Duration::from_secs(30);

/// How long it may take while the database takes no writes: it may well not be there at all.
const READING_IN_TROUBLE: Duration = Duration::from_secs(2);

/// A statement for a page of rows, which is cut behind a MiB: a row that is larger is a page by itself. `$columns` begins with
/// the key, and `$rest` ends with what sorts and limits by one more than are wanted; `$bytes` says how large a row is. Behind the
/// columns stands how many rows there were to choose from.
macro_rules! paged {
    ($columns:literal, $order:literal, $bytes:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $columns,
            ", candidates FROM (SELECT w.*, sum(size) OVER (ORDER BY ",
            $order,
            ") - size AS before, count(*) OVER () AS candidates FROM (SELECT ",
            $columns,
            ", (",
            $bytes,
            ")::bigint AS size ",
            $rest,
            ") w) v WHERE before < 1048576 ORDER BY ",
            $order
        )
    };
}
pub(super) use paged;

impl PostgresStore {
    /// Asks the database.
    pub(super) async fn rows(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.shared.check_open()?;
        let Some(runtime) = &self.runtime else { return Err(StoreError::Closed) };
        let (pool, connector) = (self.pool.clone(), self.shared.address.connector.clone());
        let limit = if self.shared.refusal().is_some() { READING_IN_TROUBLE } else { READING };
        // On the runtime that serves the connections; it goes on to its end though the caller leaves.
        let task = runtime.spawn(async move { ask(&pool, connector, &query, limit).await });
        let rows = task.await.unwrap_or_else(|error| Err(Failure::medium(error)));
        rows.map_err(read_failed)
    }

    /// Asks for a row that may not be there.
    pub(super) async fn row(&self, query: Query) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(query).await?.pop())
    }

    /// The sums as last made durable.
    pub(super) async fn sums(&self) -> Result<Sums, StoreError> {
        let row = self.row(query!("SELECT content FROM ledger")).await?;
        understood(|| {
            let row = row.as_ref().ok_or_else(|| Failure::corrupt("ticket", NotThere))?;
            decode(|| "ticket".into(), row.try_get(0)?)
        })
    }
}

/// Reads rows that came, and says what is wrong with them as every reader does.
pub(super) fn understood<T>(read: impl FnOnce() -> Result<T, Failure>) -> Result<T, StoreError> {
    read().map_err(read_failed)
}

fn read_failed(failure: Failure) -> StoreError {
    metrics::failed();
    failure.into_error(READ)
}

/// How many rows are asked for, so that it is known whether there are more.
pub(super) fn rows_for(limit: usize) -> i64 {
    limit.min(MAXIMUM_PAGE).saturating_add(1) as i64
}

/// A text that a client has made up. The database takes no NUL; no name has one, so what lies behind the text lies behind what
/// stands before the NUL as well.
pub(super) fn any_text(text: Option<String>) -> Option<String> {
    text.map(|text| text.split('\0').next().unwrap_or_default().to_owned())
}

/// The page of these rows, which were chosen from so many candidates as their last column says; without one, all there were.
pub(super) fn page<T, K: Clone>(
    rows: &[Row],
    limit: usize,
    has_candidates: bool,
    item: impl Fn(&Row) -> Result<(K, T), Failure>,
) -> Result<Page<T, K>, StoreError> {
    understood(|| {
        let limit = limit.min(MAXIMUM_PAGE);
        let candidates: usize = match rows.first().filter(|_| has_candidates) {
            Some(row) => usize::try_from(row.try_get::<_, i64>(row.len() - 1)?).unwrap_or(usize::MAX),
            None => rows.len(),
        };
        let (mut items, mut last) = (Vec::new(), None);
        for row in rows.iter().take(limit) {
            let (key, found) = item(row)?;
            items.push(found);
            last = Some(key);
        }
        let has_more = candidates > items.len();
        Ok(Page { items, next: last.filter(|_| has_more) })
    })
}

/// Asks once, and once more where the connection was lost meanwhile.
async fn ask(pool: &Pool, connector: Connector, query: &Query, limit: Duration) -> Result<Vec<Row>, Failure> {
    let deadline = Instant::now() + limit;
    let no_answer = || Failure::medium(NoAnswer(limit.as_secs()));
    let mut is_again = false;
    loop {
        let client = timeout_at(deadline, pool.get()).await.map_err(|_| no_answer())?;
        let client = client.map_err(|error| match error {
            PoolError::Backend(error) => Failure::from(error),
            other => Failure::medium(other),
        })?;
        let Ok(asked) = timeout_at(deadline, query.ask(&client)).await else {
            give_up(client, connector);
            return Err(no_answer());
        };
        match asked {
            Ok(rows) => return Ok(rows),
            Err(_) if client.is_closed() && !is_again => is_again = true,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Has the database end what it is at, and keeps the connection from whoever would wait behind that.
fn give_up(client: Object, connector: Connector) {
    let token = client.cancel_token();
    drop(Object::take(client));
    tokio::spawn(async move {
        // If it does not come there, the database notices at the end that nobody listens.
        let _ = timeout(CONNECTING, token.cancel_query(connector)).await;
    });
}
