//! [`AuthLog`] over the database.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::super::PostgresStore;
use super::super::failure::{Failure, bounded, decode, number};
use super::super::query::query;
use super::super::reading::{page, rows_for};
use super::super::shared::Shared;
use super::super::transaction::{Transaction, kind_column};
use crate::store::group::Work;
use crate::store::{AuthEvent, AuthEventKind, AuthLog, Page, PageRequest, Retention, Sequence, StoreError};

/// [`AuthLog::add_auth_events`].
struct AddAuthEvents {
    events: Vec<(Option<Sequence>, AuthEvent)>,
    keep: Retention,
}

impl Work<Shared> for AddAuthEvents {
    type Answer = Vec<Sequence>;
    const ATTEMPTED: &'static str = "write down what happened at the gate";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Vec<Sequence>, Failure> {
        transaction.add_auth_events(&self.events, self.keep)
    }
}

#[async_trait]
impl AuthLog for PostgresStore {
    async fn add_auth_events(
        &self,
        events: Vec<(Option<Sequence>, AuthEvent)>,
        keep: Retention,
    ) -> Result<Vec<Sequence>, StoreError> {
        self.write(AddAuthEvents { events, keep }).await
    }

    async fn auth_events(
        &self,
        request: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError> {
        let sql = "SELECT number, content FROM auth_events WHERE number > $1 ORDER BY number LIMIT $2";
        let after = bounded(request.after.map_or(0, Sequence::get));
        let rows = self.rows(query!(sql, after, rows_for(request.limit))).await?;
        page(&rows, request.limit, false, event)
    }

    async fn latest_auth_events(
        &self,
        kind: AuthEventKind,
        request: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError> {
        let sql = "
SELECT number, content FROM auth_events WHERE kind = $1 AND number < $2 ORDER BY number DESC LIMIT $3";
        let before = request.after.map_or(i64::MAX, |before| bounded(before.get()));
        let rows = self.rows(query!(sql, kind_column(kind), before, rows_for(request.limit))).await?;
        page(&rows, request.limit, false, event)
    }
}

fn event(row: &Row) -> Result<(Sequence, (Sequence, AuthEvent)), Failure> {
    let number = Sequence::new(number(row.try_get(0)?));
    Ok((number, (number, decode(|| format!("event {number} of the gate"), row.try_get(1)?)?)))
}
