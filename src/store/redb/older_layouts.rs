//! Stores that an earlier version wrote, and how they become ones of today when they are opened: all or nothing.

use redb::{Database, ReadableTable, TableDefinition, WriteTransaction};

use super::failure::Failure;
use super::file::{BoxError, LAYOUT};
use super::snapshot::Missing;
use super::tables::{ACCOUNTS, AUTH_EVENTS, CONTENTS, HINTS, Json, META, META_LAYOUT, OneKey, SWEEP};

/// Layout 1 lacks `HINTS` and `SWEEP`, 1 and 2 lack `ACCOUNTS` and `AUTH_EVENTS`, and all three keep the parts of
/// `CONTENTS` in tables of their own.
pub(super) const KNOWN: [u64; 3] = [1, 2, 3];

/// `Document` by digest.
pub(super) const DOCUMENTS: TableDefinition<'_, OneKey, Json> = TableDefinition::new("documents");
/// The exact bytes of a manifest by digest.
pub(super) const BYTES: TableDefinition<'_, OneKey, &'static [u8]> = TableDefinition::new("contents");
/// How many repositories have a manifest, by digest.
pub(super) const HOLDERS: TableDefinition<'_, OneKey, u64> = TableDefinition::new("content_holders");

/// Makes a store of a known older layout one of today's.
pub(super) fn bring_up_to_date(database: &Database) -> Result<(), BoxError> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.open_table(META)?.insert(META_LAYOUT, LAYOUT)?;
    transaction.open_table(HINTS)?;
    transaction.open_table(SWEEP)?;
    transaction.open_table(ACCOUNTS)?;
    transaction.open_table(AUTH_EVENTS)?;
    join_contents(&transaction)?;
    transaction.commit()?;
    Ok(())
}

fn join_contents(transaction: &WriteTransaction) -> Result<(), BoxError> {
    let documents = transaction.open_table(DOCUMENTS)?;
    let bytes = transaction.open_table(BYTES)?;
    let holders = transaction.open_table(HOLDERS)?;
    let mut contents = transaction.open_table(CONTENTS)?;
    for entry in documents.iter()? {
        let (digest, document) = entry?;
        let digest = digest.value();
        let lacks = |what: &str| Failure::corrupt(format!("{what} of `{digest}`"), Missing).into_cause();
        let bytes = bytes.get(digest)?.ok_or_else(|| lacks("content"))?;
        let holders = holders.get(digest)?.ok_or_else(|| lacks("number of holders"))?;
        contents.insert(digest, (holders.value(), document.value(), bytes.value()))?;
    }
    drop((documents, bytes, holders));
    transaction.delete_table(DOCUMENTS)?;
    transaction.delete_table(BYTES)?;
    transaction.delete_table(HOLDERS)?;
    Ok(())
}
