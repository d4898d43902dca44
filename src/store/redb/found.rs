//! What a file is found with at the opening and is kept in memory from then on.

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};
use serde::Deserialize;

use super::failure::Failure;
use super::snapshot;
use super::tables::{EVENTS, INTENTS, META, META_SEQUENCE, decode, number};
use crate::clock::Timestamp;
use crate::store::recent::{LastEvent, RecentlyObserved};
use crate::store::{Intent, Missing, Source};

/// What a file is found with.
pub(super) struct Found {
    /// The open intents.
    pub intents: Vec<Intent>,
    /// The last sequence number that was given out.
    pub sequence: u64,
    /// How much is missing.
    pub missing: Missing,
    /// What the door wrote of late.
    pub observed: RecentlyObserved,
}

/// Reads what the store keeps in memory.
pub(super) fn found(database: &Database) -> Result<Found, Failure> {
    let read = database.begin_read()?;
    let mut intents = Vec::new();
    for entry in read.open_table(INTENTS)?.iter()? {
        let (sequence, row) = entry?;
        intents.push(decode(|| format!("intent {}", sequence.value()), row.value())?);
    }
    let meta = read.open_table(META)?;
    let (sequence, missing) = (number(&meta, META_SEQUENCE)?, snapshot::missing(&meta)?);
    Ok(Found { intents, sequence, missing, observed: recently_observed(&read)? })
}

/// What the last events say was observed.
fn recently_observed(read: &ReadTransaction) -> Result<RecentlyObserved, Failure> {
    let table = read.open_table(EVENTS)?;
    RecentlyObserved::of_last(table.iter()?.rev().map(|entry| {
        let (sequence, row) = entry?;
        let what = move || format!("event {}", sequence.value());
        let Glance { source, time } = decode(&what, row.value())?;
        Ok(LastEvent { source, time, read: move || decode(what, row.value()) })
    }))
}

/// What of an event's row says whether the rest has to be read.
#[derive(Deserialize)]
struct Glance {
    source: Source,
    time: Timestamp,
}
