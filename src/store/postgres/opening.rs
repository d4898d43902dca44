//! How a door begins: the tables are made or looked at, the last events read, and the other doors joined.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::connection::{Link, NotCommitted, PostgresAddress};
use super::failure::{Failure, NotThere, decode, number, stored};
use super::migrations::{WhenAbsent, migrate};
use super::open_error::PostgresOpenError;
use super::query::query;
use super::shared::Shared;
use super::ticket::Sums;
use super::transaction::Transaction;
use super::writer::{TRIES, Writer};
use crate::clock::Timestamp;
use crate::store::group::Queue;
use crate::store::ledger;
use crate::store::recent::{LOOKED_AT, RecentlyObserved, is_of_a_write};
use crate::store::recent_events::RecentEvents;
use crate::store::{DoorId, Epoch, Event, Incarnation, Missing, Sequence, metrics};

/// What was recorded longer ago says nothing of what is written now.
const RECENT: u64 = 3_600_000;

/// Whether a commit waits for no standby. Engines other than PostgreSQL do not know these settings.
const ALONE: &str = "SELECT coalesce(current_setting('synchronous_standby_names', true), 'unknown') = ''
    OR coalesce(current_setting('synchronous_commit', true), 'unknown') IN ('off', 'local')";

const LAST_EVENTS: &str = "SELECT content FROM events WHERE time >= $1 ORDER BY sequence DESC LIMIT $2";

/// What somebody who opens the record is to the doors that share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// One of them.
    Door,
    /// Nobody that they hear of.
    Onlooker,
}

/// A name for one run of a door, which no other has had.
pub(super) fn new_door() -> Result<DoorId, getrandom::Error> {
    // Positive as the database keeps it, so that it looks there as it does in the log.
    Ok(DoorId(getrandom::u64()? >> 1))
}

/// Opens the record, and joins its doors if it is to. Blocks.
///
/// # Errors
/// When the database cannot be reached, has tables of a later version, or refuses.
pub(super) fn open(
    runtime: Handle,
    address: PostgresAddress,
    queue: Queue<Shared>,
    when_absent: WhenAbsent,
    part: Part,
) -> Result<(Arc<Shared>, Writer), PostgresOpenError> {
    if address.connector.believes_anybody() {
        tracing::warn!(
            store = %address,
            "sslmode=require without `store.tls.ca` believes whoever answers to be the database; write verify-full"
        );
    }
    let mut link = Link::new(runtime, &address);
    let migrated = link.with_client(async |client| migrate(client, when_absent).await);
    let is_new = migrated.map_err(|failure| unusable("reach", failure))??;
    let Found { observed, last, missing, is_alone } =
        found(&mut link).map_err(|failure| unusable("read", failure))?;
    let random =
        |cause| PostgresOpenError::Unusable { attempted: "begin an epoch of", cause: Box::new(cause) };
    let epoch = Epoch::random().map_err(random)?;
    let door = new_door().map_err(random)?;
    let (incarnation, missing) = match part {
        Part::Door => {
            let joined = join_at_last(&mut link, door);
            joined.map_err(|failure| unusable("join the doors of", failure))?
        }
        // No door has this life.
        Part::Onlooker => (Incarnation { door, epoch: 0 }, missing),
    };
    let mut shared = Shared::new(address, epoch, incarnation, observed);
    (shared.is_new, shared.is_alone) = (is_new, is_alone);
    let shared = Arc::new(shared);
    shared.set_missing(missing);
    shared.last_event.send_replace(last);
    metrics::trouble(None);
    let writer = Writer::new(Arc::clone(&shared), queue, link, last);
    Ok((shared, writer))
}

fn unusable(attempted: &'static str, failure: Failure) -> PostgresOpenError {
    let cause = match failure {
        Failure::Medium(cause) | Failure::Again(cause) => cause,
        other @ (Failure::Corrupt { .. } | Failure::Refused(_)) => {
            Arc::new(other.into_error(attempted)) as Arc<dyn std::error::Error + Send + Sync>
        }
    };
    PostgresOpenError::Unusable { attempted, cause: cause.to_string().into() }
}

/// What a door finds.
struct Found {
    /// What was written of late.
    observed: RecentlyObserved,
    /// The last number.
    last: Sequence,
    /// What is missing at the registry.
    missing: Missing,
    /// Whether no standby has what is committed.
    is_alone: bool,
}

fn found(link: &mut Link) -> Result<Found, Failure> {
    link.connect()?;
    let is_alone = match link.one(query!(ALONE))?.first() {
        Some(row) => row.try_get(0)?,
        None => false,
    };
    let ticket = link.one(query!("SELECT sequence, content FROM ledger"))?;
    let ticket = ticket.first().ok_or_else(|| Failure::corrupt("ticket", NotThere))?;
    let last = Sequence::new(number(ticket.try_get(0)?));
    let Sums { missing, .. } = decode(|| "ticket".into(), ticket.try_get(1)?)?;
    let since = Timestamp::now().as_milliseconds().saturating_sub(RECENT);
    let mut events = Vec::new();
    for row in link.one(query!(LAST_EVENTS, stored(since), LOOKED_AT as i64))? {
        let event: Event = decode(|| "event".into(), row.try_get(0)?)?;
        events.push(event);
    }
    let of_writes = events.into_iter().filter(|event| is_of_a_write(event.source));
    let Ok(observed) = RecentlyObserved::of_last(of_writes.map(Ok::<_, Infallible>));
    Ok(Found { observed, last, missing, is_alone })
}

/// The same as [`join`], again where another transaction was in the way.
fn join_at_last(link: &mut Link, door: DoorId) -> Result<(Incarnation, Missing), Failure> {
    for _ in 1..TRIES {
        match join(link, door) {
            Err(Failure::Again(_)) => link.roll_back(),
            joined => return joined,
        }
    }
    join(link, door)
}

/// Begins the first life of this door. Answers what is missing at the registry as well.
fn join(link: &mut Link, door: DoorId) -> Result<(Incarnation, Missing), Failure> {
    let nobody = Incarnation { door, epoch: 0 };
    let mut recent = RecentEvents::behind(Sequence::new(u64::MAX >> 1));
    let mut transaction = Transaction::new(link, &mut recent, nobody);
    let joined = transaction.begin().and_then(|_| {
        let incarnation = ledger::join(&mut transaction, door)?;
        transaction.join_as(incarnation);
        Ok((incarnation, transaction.finish(0, None)?))
    });
    let (incarnation, finished) = joined?;
    match link.commit(&finished.queries) {
        Ok(()) => Ok((incarnation, finished.missing)),
        Err(
            NotCommitted::Undone(failure)
            | NotCommitted::Unknown(failure)
            | NotCommitted::NotReplicated(failure),
        ) => Err(failure),
    }
}
