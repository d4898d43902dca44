//! Stores that an earlier version wrote, and how they become ones of today when they are opened: all or nothing.

use redb::{Database, ReadableTable, Table, TableDefinition, TableError, TableHandle, WriteTransaction};

use super::failure::Failure;
use super::file::{BoxError, LAYOUT, identify};
use super::snapshot::Missing;
use super::tables::{
    ACCOUNTS, AUTH_EVENTS, EPOCHS, HINTS, Json, MANIFESTS, META, META_LAYOUT, OneKey, SWEEP, TOMBSTONES,
    TwoKeys,
};

/// Layout 1 lacks `HINTS` and `SWEEP`, 1 and 2 lack `ACCOUNTS` and `AUTH_EVENTS`. Up to 4 they keep what a manifest says
/// once for each digest beside `ROWS`: up to 3 in three tables, 4 in one. All lack `TOMBSTONES`, `EPOCHS` and an identity.
pub(super) const KNOWN: [u64; 5] = [1, 2, 3, 4, 5];

/// From this layout on, a repository's manifests are whole in `MANIFESTS`.
const WITH_WHOLE_MANIFESTS: u64 = 5;

/// `ManifestRow` by repository and digest.
pub(super) const ROWS: TableDefinition<'_, TwoKeys, Json> = TableDefinition::new("manifests");
/// `Document` by digest.
pub(super) const DOCUMENTS: TableDefinition<'_, OneKey, Json> = TableDefinition::new("documents");
/// The exact bytes of a manifest by digest.
pub(super) const BYTES: TableDefinition<'_, OneKey, &'static [u8]> = TableDefinition::new("contents");
/// How many repositories have a manifest, by digest.
pub(super) const HOLDERS: TableDefinition<'_, OneKey, u64> = TableDefinition::new("content_holders");
/// Holders, `Document` and bytes by digest.
pub(super) const CONTENTS: TableDefinition<'_, OneKey, (u64, Json, &'static [u8])> =
    TableDefinition::new("manifest_contents");

/// Makes a store of this known older layout one of today's.
pub(super) fn bring_up_to_date(database: &Database, layout: u64) -> Result<(), BoxError> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.open_table(META)?.insert(META_LAYOUT, LAYOUT)?;
    transaction.open_table(HINTS)?;
    transaction.open_table(SWEEP)?;
    transaction.open_table(ACCOUNTS)?;
    transaction.open_table(AUTH_EVENTS)?;
    transaction.open_table(TOMBSTONES)?;
    transaction.open_table(EPOCHS)?;
    identify(&transaction)?;
    if layout < WITH_WHOLE_MANIFESTS {
        join_manifests(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Where an older layout keeps what a manifest says.
enum Contents<'txn> {
    Joined(Table<'txn, OneKey, (u64, Json, &'static [u8])>),
    Parted { documents: Table<'txn, OneKey, Json>, bytes: Table<'txn, OneKey, &'static [u8]> },
}

impl<'txn> Contents<'txn> {
    fn open(transaction: &'txn WriteTransaction) -> Result<Self, TableError> {
        let is_joined = transaction.list_tables()?.any(|table| table.name() == CONTENTS.name());
        Ok(if is_joined {
            Self::Joined(transaction.open_table(CONTENTS)?)
        } else {
            let (documents, bytes) = (transaction.open_table(DOCUMENTS)?, transaction.open_table(BYTES)?);
            Self::Parted { documents, bytes }
        })
    }

    /// A document and the bytes that it was read from.
    fn of(&self, digest: &str) -> Result<(Vec<u8>, Vec<u8>), BoxError> {
        let found = match self {
            Self::Joined(contents) => contents.get(digest)?.map(|content| {
                let (_, document, bytes) = content.value();
                (document.to_vec(), bytes.to_vec())
            }),
            Self::Parted { documents, bytes } => documents
                .get(digest)?
                .zip(bytes.get(digest)?)
                .map(|(document, bytes)| (document.value().to_vec(), bytes.value().to_vec())),
        };
        Ok(found.ok_or_else(|| Failure::corrupt(format!("content of `{digest}`"), Missing).into_cause())?)
    }
}

fn join_manifests(transaction: &WriteTransaction) -> Result<(), BoxError> {
    {
        let (rows, contents) = (transaction.open_table(ROWS)?, Contents::open(transaction)?);
        let mut manifests = transaction.open_table(MANIFESTS)?;
        for entry in rows.iter()? {
            let (key, row) = entry?;
            let (document, bytes) = contents.of(key.value().1)?;
            manifests.insert(key.value(), (row.value(), document.as_slice(), bytes.as_slice()))?;
        }
    }
    transaction.delete_table(ROWS)?;
    transaction.delete_table(DOCUMENTS)?;
    transaction.delete_table(BYTES)?;
    transaction.delete_table(HOLDERS)?;
    transaction.delete_table(CONTENTS)?;
    Ok(())
}
