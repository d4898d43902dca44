//! The layout of the file: its number, and how an empty database becomes a store of it.

use redb::{Database, WriteTransaction};

use super::tables::{
    ACCOUNTS, BLOBS, CHILDREN, DAYS, DELETED_MANIFESTS, DELETED_MANIFESTS_BY_AGE, EPOCHS, EVENT_TIMES,
    EVENTS, EVENTS_BY_REPOSITORY, FLAWS, HINTS, IMAGES, INTENTS, MANIFESTS, META, META_IDENTITY_HIGH,
    META_IDENTITY_LOW, META_LAYOUT, PROBE, REFERRERS, REPOSITORIES, SWEEP, TAGS, TAGS_BY_MANIFEST,
    TOMBSTONES, TOMBSTONES_BY_AGE, auth_events,
};
use crate::store::{AuthEventKind, Epoch};

/// The layout that this program reads and writes.
pub(super) const LAYOUT: u64 = 11;

/// The layout that a file has while it is made of an exported record: one that no version opens as a store.
pub(super) const IMPORTING: u64 = u64::MAX;

/// Why something cannot be made.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes an empty database a store; all or nothing.
pub(super) fn lay_out(database: &Database) -> Result<(), BoxError> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.open_table(META)?.insert(META_LAYOUT, LAYOUT)?;
    transaction.open_table(REPOSITORIES)?;
    transaction.open_table(TAGS)?;
    transaction.open_table(TAGS_BY_MANIFEST)?;
    transaction.open_table(MANIFESTS)?;
    transaction.open_table(REFERRERS)?;
    transaction.open_table(BLOBS)?;
    transaction.open_table(CHILDREN)?;
    transaction.open_table(FLAWS)?;
    transaction.open_table(DAYS)?;
    transaction.open_table(EVENTS)?;
    transaction.open_table(EVENTS_BY_REPOSITORY)?;
    transaction.open_table(IMAGES)?;
    transaction.open_table(EVENT_TIMES)?;
    transaction.open_table(INTENTS)?;
    transaction.open_table(HINTS)?;
    transaction.open_table(SWEEP)?;
    transaction.open_table(ACCOUNTS)?;
    for kind in AuthEventKind::ALL {
        transaction.open_table(auth_events(kind))?;
    }
    transaction.open_table(PROBE)?;
    transaction.open_table(TOMBSTONES)?;
    transaction.open_table(TOMBSTONES_BY_AGE)?;
    transaction.open_table(DELETED_MANIFESTS)?;
    transaction.open_table(DELETED_MANIFESTS_BY_AGE)?;
    transaction.open_table(EPOCHS)?;
    identify(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// Gives a store an identity of its own.
pub(super) fn identify(transaction: &WriteTransaction) -> Result<(), BoxError> {
    let mut meta = transaction.open_table(META)?;
    let (high, low) = Epoch::random()?.halves();
    meta.insert(META_IDENTITY_HIGH, high)?;
    meta.insert(META_IDENTITY_LOW, low)?;
    Ok(())
}
