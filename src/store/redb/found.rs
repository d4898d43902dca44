//! What a file is found with at the opening and is kept in memory from then on.

use memchr::memmem::Finder;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};

use super::failure::Failure;
use super::snapshot;
use super::tables::{EVENTS, INTENTS, META, META_SEQUENCE, decode, number};
use crate::store::recent::{LOOKED_AT, RecentlyObserved};
use crate::store::{Intent, Missing, Sequence, Source};

/// What a file is found with.
pub(super) struct Found {
    /// The open intents.
    pub intents: Vec<Intent>,
    /// The last sequence number that was given out.
    pub sequence: u64,
    /// The number of the last event.
    pub last_event: Sequence,
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
    let last_event = read.open_table(EVENTS)?.last()?.map_or(0, |(number, _)| number.value());
    let last_event = Sequence::new(last_event);
    Ok(Found { intents, sequence, last_event, missing, observed: recently_observed(&read)? })
}

/// What the last events say was observed.
fn recently_observed(read: &ReadTransaction) -> Result<RecentlyObserved, Failure> {
    let table = read.open_table(EVENTS)?;
    let source = Finder::new(SOURCE);
    let last = table.iter()?.rev().take(LOOKED_AT).filter_map(|entry| {
        let event = entry.map_err(Failure::from).and_then(|(sequence, row)| {
            let is_read = may_be_of_a_write(&source, row.value());
            is_read.then(|| decode(|| format!("event {}", sequence.value()), row.value())).transpose()
        });
        event.transpose()
    });
    RecentlyObserved::of_last(last)
}

/// Stands before the source in an event's row, and nowhere else: within a string the quotation marks would be escaped.
const SOURCE: &[u8] = b"\"source\":\"";

/// Whether an event has to be read to know whether it comes of a write through the door. A first sweep makes very many that
/// do not, and to parse them all would be most of the time that the opening takes.
fn may_be_of_a_write(source: &Finder<'_>, row: &[u8]) -> bool {
    source.find(row).and_then(|place| row.get(place + SOURCE.len()..)).is_none_or(|rest| {
        [Source::Swept, Source::Hinted].iter().all(|other| !rest.starts_with(other.as_str().as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::recent::is_of_a_write;
    use crate::store::sample::{at, deletion_of_tag};

    #[test]
    fn the_source_of_an_event_is_found_without_reading_it() {
        for source in [Source::Observed, Source::Verified, Source::Swept, Source::Hinted] {
            let row = serde_json::to_vec(&deletion_of_tag(1, source, at(1))).unwrap();
            assert_eq!(may_be_of_a_write(&Finder::new(SOURCE), &row), is_of_a_write(source), "{source:?}");
        }
        assert!(
            may_be_of_a_write(&Finder::new(SOURCE), b"{ \"source\": \"swept\" }"),
            "not as it is written here"
        );
        assert!(may_be_of_a_write(&Finder::new(SOURCE), b"{\"source\":\""));
        let quoting = serde_json::to_vec(&serde_json::json!({"user": "\"source\":\"swept"})).unwrap();
        assert!(may_be_of_a_write(&Finder::new(SOURCE), &quoting));
    }
}
