//! [`Events`] over the database.

use async_trait::async_trait;
use tokio::sync::watch;

use super::super::PostgresStore;
use super::super::failure::{Failure, NotThere, bounded, decode, number};
use super::super::query::query;
use super::super::reading::{page, paged, rows_for, understood};
use super::super::transaction::MAXIMUM_EPOCHS;
use crate::clock::Timestamp;
use crate::store::{
    Epoch, Event, EventOrder, EventRange, Events, History, Missing, Page, Sequence, StoreError,
};

const OLDEST_FIRST: &str = paged!(
    "sequence, content",
    "sequence",
    "octet_length(content)",
    "FROM events WHERE sequence > $1 AND ($2::text IS NULL OR repository = $2)
     AND ($3::bigint IS NULL OR time >= $3) AND ($4::bigint IS NULL OR time < $4) ORDER BY sequence LIMIT $5"
);
const NEWEST_FIRST: &str = paged!(
    "sequence, content",
    "sequence DESC",
    "octet_length(content)",
    "FROM events WHERE sequence < $1 AND ($2::text IS NULL OR repository = $2)
     AND ($3::bigint IS NULL OR time >= $3) AND ($4::bigint IS NULL OR time < $4) ORDER BY sequence DESC LIMIT $5"
);
/// The newest events down to the first that is older.
const SINCE: &str = "
SELECT content FROM events
WHERE sequence > (SELECT coalesce(max(sequence), 0) FROM events WHERE time < $1) AND time >= $1";
const EPOCHS: &str = "
SELECT e.before, e.epoch, l.sequence, l.identity FROM ledger l LEFT JOIN epochs e ON true ORDER BY e.before DESC";
const HISTORY: &str = "SELECT identity, coalesce((SELECT epoch FROM epochs ORDER BY before DESC LIMIT 1), identity) FROM ledger";

#[async_trait]
impl Events for PostgresStore {
    async fn events_in(&self, range: EventRange) -> Result<Page<Event, Sequence>, StoreError> {
        let repository = range.repository.as_ref().map(ToString::to_string);
        let [since, until] = [range.times.since, range.times.until]
            .map(|time| time.map(|time| bounded(time.as_milliseconds())));
        let after = range.after.map(|after| bounded(after.get()));
        let rows = rows_for(range.rows);
        let rows = match range.order {
            EventOrder::OldestFirst => {
                self.rows(query!(OLDEST_FIRST, after.unwrap_or(0), repository, since, until, rows)).await?
            }
            EventOrder::NewestFirst => {
                self.rows(query!(NEWEST_FIRST, after.unwrap_or(i64::MAX), repository, since, until, rows))
                    .await?
            }
        };
        page(&rows, range.rows, true, |row| {
            let sequence = number(row.try_get(0)?);
            Ok((Sequence::new(sequence), decode(|| format!("event {sequence}"), row.try_get(1)?)?))
        })
    }

    fn last_event(&self) -> watch::Receiver<Sequence> {
        self.shared.last_event.subscribe()
    }

    async fn history(&self) -> Result<History, StoreError> {
        let row = self.row(query!(HISTORY)).await?;
        understood(|| {
            let row = row.as_ref().ok_or_else(|| Failure::corrupt("ticket", NotThere))?;
            Ok(History { identity: epoch(row.try_get(0)?)?, epoch: epoch(row.try_get(1)?)? })
        })
    }

    async fn continues(&self, asked: Epoch, position: Sequence) -> Result<bool, StoreError> {
        let rows = self.rows(query!(EPOCHS)).await?;
        understood(|| {
            let Some(first) = rows.first() else { return Ok(false) };
            let mut end = number(first.try_get(2)?);
            for row in &rows {
                let (Some(before), Some(name)): (Option<i64>, Option<&[u8]>) =
                    (row.try_get(0)?, row.try_get(1)?)
                else {
                    break;
                };
                if epoch(name)? == asked {
                    return Ok(position.get() <= end);
                }
                end = number(before);
            }
            let is_whole = (rows.len() as i64) < MAXIMUM_EPOCHS;
            Ok(is_whole && asked == epoch(first.try_get(3)?)? && position.get() <= end)
        })
    }

    async fn found_removals(&self, since: Timestamp) -> Result<Missing, StoreError> {
        let rows = self.rows(query!(SINCE, bounded(since.as_milliseconds()))).await?;
        understood(|| {
            let mut found = Missing::default();
            for row in &rows {
                let event: Event = decode(|| "event".into(), row.try_get(0)?)?;
                found.count_removal(&event);
            }
            Ok(found)
        })
    }
}

fn epoch(bytes: &[u8]) -> Result<Epoch, Failure> {
    let bytes = bytes.try_into().map_err(|cause| Failure::corrupt("epoch", cause))?;
    Ok(Epoch::new(u128::from_be_bytes(bytes)))
}
