//! Makes a file of rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase as _, WriteTransaction};

use super::super::failure::Failure;
use super::super::file::{self, OpenError};
use super::super::layout::{IMPORTING, LAYOUT, lay_out};
use super::super::panics::{caught, dropped};
use super::super::snapshot::Snapshot;
use super::super::tables::{
    ACCOUNTS, BLOBS, DAYS, DELETED_MANIFESTS, DELETED_MANIFESTS_BY_AGE, EPOCHS, EVENT_TIMES, EVENTS,
    EVENTS_BY_REPOSITORY, HINTS, IMAGES, IMPORT, IMPORT_STATE, INTENTS, MANIFESTS, META, META_ACCEPTED,
    META_AUTH_EVENT, META_BYTES, META_CLOCK_AT, META_CLOCK_BOUND, META_CLOCK_OFFSET, META_DELETED_BYTES,
    META_HINT, META_IDENTITY_HIGH, META_IDENTITY_LOW, META_IMAGES, META_LAYOUT, META_MISSING_MANIFESTS,
    META_MISSING_TAGS, META_SEQUENCE, META_TIME, REFERRERS, REPOSITORIES, SWEEP, SWEEP_MARKS, TAGS,
    TAGS_BY_MANIFEST, TOMBSTONES, TOMBSTONES_BY_AGE, auth_events, decode, encode, number, write_sweep_queue,
};
use super::super::transaction::{find_flaws, note_times};
use super::source::Rows;
use crate::store::copy::{ImportState, Row, RowDestination, RowSource, Singles, Tally};
use crate::store::event_range::finished_blocks;
use crate::store::image::platform_of;
use crate::store::{Sequence, StoreError};

/// What a failing step answers that it attempted.
const IMPORT_ROWS: &str = "take what is imported";

/// A file that is being made.
pub(super) struct NewFile {
    path: PathBuf,
    /// Absent while there is no file.
    begun: Option<Begun>,
}

struct Begun {
    database: Database,
    state: ImportState,
}

/// Nothing was begun.
#[derive(Debug, thiserror::Error)]
#[error("its file was not made yet")]
struct NotBegun;

/// What was made is not what was found there then.
#[derive(Debug, thiserror::Error)]
#[error("another import has begun there")]
struct AnotherImport;

impl NewFile {
    /// Looks what is there.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { path: path.to_owned(), begun: Self::find(path)? })
    }

    fn find(path: &Path) -> Result<Option<Begun>, OpenError> {
        let Some(database) = file::open_import(path)? else { return Ok(None) };
        match caught(|| state_of(&database)) {
            Ok(state) => Ok(Some(Begun { database, state })),
            Err(failure) => {
                let failure = dropped(database).err().unwrap_or(failure);
                Err(file::damaged(path, failure))
            }
        }
    }

    fn write(
        &mut self,
        state: ImportState,
        fill: impl FnOnce(&WriteTransaction) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let begun = self.begun.as_mut().ok_or_else(|| Failure::Medium(Arc::new(NotBegun)))?;
        let transaction = caught(|| {
            let mut transaction = begun.database.begin_write()?;
            // Without this, opening after a crash would walk the whole file.
            transaction.set_quick_repair(true);
            Ok(transaction)
        })?;
        if let Err(failure) = caught(|| fill(&transaction)) {
            return dropped(transaction).and(Err(failure));
        }
        caught(|| Ok(transaction.commit()?))?;
        begun.state = state;
        Ok(())
    }
}

impl RowDestination for NewFile {
    fn layout(&self) -> u64 {
        LAYOUT
    }

    fn state(&self) -> Option<&ImportState> {
        self.begun.as_ref().map(|begun| &begun.state)
    }

    fn begin(&mut self, state: ImportState) -> Result<(), StoreError> {
        let unavailable = |cause| StoreError::Unavailable { attempted: IMPORT_ROWS, cause };
        let made = file::create(&self.path, &|database| {
            lay_out(database)?;
            let mut transaction = database.begin_write()?;
            transaction.set_quick_repair(true);
            transaction.open_table(META)?.insert(META_LAYOUT, IMPORTING)?;
            keep_state(&transaction, &state).map_err(Failure::into_cause)?;
            transaction.commit()?;
            Ok(())
        });
        let begun =
            made.and_then(|()| Self::find(&self.path)).map_err(|error| unavailable(Arc::new(error)))?;
        match begun {
            Some(begun) if begun.state == state => {
                self.begun = Some(begun);
                Ok(())
            }
            Some(_) | None => Err(unavailable(Arc::new(AnotherImport))),
        }
    }

    fn add(&mut self, rows: &[Row], state: ImportState) -> Result<(), StoreError> {
        let kept = state.clone();
        let added = self.write(state, |transaction| {
            for row in rows {
                add_row(transaction, row)?;
            }
            keep_state(transaction, &kept)
        });
        added.map_err(|failure| failure.into_error(IMPORT_ROWS))
    }

    fn source(&mut self) -> Result<Box<dyn RowSource + '_>, StoreError> {
        let read = self.begun.as_ref().ok_or_else(|| Failure::Medium(Arc::new(NotBegun)));
        let read = read.and_then(|begun| caught(|| Ok(Snapshot(begun.database.begin_read()?))));
        Ok(Box::new(Rows::in_snapshot(read.map_err(|failure| failure.into_error(IMPORT_ROWS))?)))
    }

    fn finish(&mut self, tally: &Tally) -> Result<(), StoreError> {
        let state = self
            .state()
            .cloned()
            .ok_or_else(|| StoreError::Unavailable { attempted: IMPORT_ROWS, cause: Arc::new(NotBegun) })?;
        let finished = self.write(state, |transaction| {
            find_flaws(transaction)?;
            note_all_times(transaction)?;
            let mut meta = transaction.open_table(META)?;
            meta.insert(META_BYTES, tally.totals.bytes)?;
            meta.insert(META_MISSING_TAGS, tally.missing.tags)?;
            meta.insert(META_MISSING_MANIFESTS, tally.missing.manifests)?;
            meta.insert(META_DELETED_BYTES, tally.deleted.bytes)?;
            meta.insert(META_LAYOUT, LAYOUT)?;
            transaction.delete_table(IMPORT)?;
            Ok(())
        });
        finished.map_err(|failure| failure.into_error(IMPORT_ROWS))
    }
}

fn state_of(database: &Database) -> Result<ImportState, Failure> {
    let read = database.begin_read()?;
    let table = read.open_table(IMPORT)?;
    let row = table.get(IMPORT_STATE)?.ok_or_else(|| Failure::corrupt("import", NotBegun))?;
    decode(|| "import".into(), row.value())
}

fn keep_state(transaction: &WriteTransaction, state: &ImportState) -> Result<(), Failure> {
    transaction.open_table(IMPORT)?.insert(IMPORT_STATE, encode("import", state)?.as_slice())?;
    Ok(())
}

fn note_all_times(transaction: &WriteTransaction) -> Result<(), Failure> {
    let last = Sequence::new(number(&transaction.open_table(META)?, META_SEQUENCE)?);
    let mut times = transaction.open_table(EVENT_TIMES)?;
    note_times(&transaction.open_table(EVENTS)?, &mut times, finished_blocks(Sequence::ZERO, last))
}

/// Adds a row, with what it is found by.
fn add_row(transaction: &WriteTransaction, row: &Row) -> Result<(), Failure> {
    let (first, second) = row.names();
    match row {
        Row::Numbers(singles) => set_singles(transaction, singles)?,
        Row::Epoch { before, epoch } => {
            transaction.open_table(EPOCHS)?.insert(before.get(), epoch.get())?;
        }
        Row::Event(event) => {
            let number = event.sequence.get();
            transaction.open_table(EVENTS)?.insert(number, encode("event", event)?.as_slice())?;
            let mut by_repository = transaction.open_table(EVENTS_BY_REPOSITORY)?;
            by_repository.insert((event.repository.as_str(), number), ())?;
        }
        Row::Intent(intent) => {
            let content = encode("intent", intent)?;
            transaction.open_table(INTENTS)?.insert(intent.sequence.get(), content.as_slice())?;
        }
        Row::Repository { row, .. } => {
            transaction.open_table(REPOSITORIES)?.insert(first, encode("repository row", row)?.as_slice())?;
        }
        Row::Tag { row, .. } => {
            transaction.open_table(TAGS)?.insert((first, second), encode("tag row", row)?.as_slice())?;
            transaction.open_table(TAGS_BY_MANIFEST)?.insert((first, row.digest.as_str(), second), ())?;
        }
        Row::Manifest { row, document, bytes, .. } => {
            if let Some(subject) = &document.subject {
                transaction.open_table(REFERRERS)?.insert((first, subject.digest.as_str(), second), ())?;
            }
            let (row, document) = (encode("manifest row", row)?, encode("document", document)?);
            let rows = (row.as_slice(), document.as_slice(), bytes.0.as_slice());
            transaction.open_table(MANIFESTS)?.insert((first, second), rows)?;
        }
        Row::Blob { row, .. } => {
            transaction.open_table(BLOBS)?.insert((first, second), encode("blob row", row)?.as_slice())?;
        }
        Row::Image { config, .. } => {
            let platform = platform_of(config.as_deref()).unwrap_or_default();
            let content = encode("image", config)?;
            transaction
                .open_table(IMAGES)?
                .insert((first, second), (platform.as_str(), content.as_slice()))?;
        }
        Row::Tombstone { tombstone, .. } => {
            let content = encode("tombstone", tombstone)?;
            transaction.open_table(TOMBSTONES)?.insert((first, second), content.as_slice())?;
            let key = (tombstone.at.as_milliseconds(), first, second);
            transaction.open_table(TOMBSTONES_BY_AGE)?.insert(key, ())?;
        }
        Row::DeletedManifest { at, document, bytes, .. } => {
            let (at, document) = (at.as_milliseconds(), encode("document", document)?);
            let rows = (at, document.as_slice(), bytes.0.as_slice());
            transaction.open_table(DELETED_MANIFESTS)?.insert((first, second), rows)?;
            let size = (document.len() + bytes.0.len()) as u64;
            transaction.open_table(DELETED_MANIFESTS_BY_AGE)?.insert((at, first, second), size)?;
        }
        Row::Day { day, row } => {
            transaction.open_table(DAYS)?.insert(day, encode("day", row)?.as_slice())?;
        }
        Row::Hint { row, .. } => {
            transaction.open_table(HINTS)?.insert((first, second), encode("hint", row)?.as_slice())?;
        }
        Row::Account { content, .. } => {
            transaction.open_table(ACCOUNTS)?.insert((first, second), content.0.as_slice())?;
        }
        Row::AuthEvent { number, event } => {
            let content = encode("event of the gate", event)?;
            transaction.open_table(auth_events(event.kind))?.insert(number.get(), content.as_slice())?;
        }
        Row::Sweep { content, .. } => {
            transaction.open_table(SWEEP)?.insert(first, content.0.as_slice())?;
        }
        Row::Marks { piece, marks } => {
            let name = format!("{SWEEP_MARKS}{piece:010}");
            let bytes: Vec<u8> = marks.iter().flat_map(|mark| mark.to_le_bytes()).collect();
            transaction.open_table(SWEEP)?.insert(name.as_str(), bytes.as_slice())?;
        }
    }
    Ok(())
}

fn set_singles(transaction: &WriteTransaction, singles: &Singles) -> Result<(), Failure> {
    let mut meta = transaction.open_table(META)?;
    let (high, low) = singles.identity.halves();
    meta.insert(META_IDENTITY_HIGH, high)?;
    meta.insert(META_IDENTITY_LOW, low)?;
    meta.insert(META_SEQUENCE, singles.sequence.get())?;
    meta.insert(META_ACCEPTED, singles.accepted.get())?;
    meta.insert(META_HINT, singles.last_hint)?;
    meta.insert(META_AUTH_EVENT, singles.last_auth_event.get())?;
    meta.insert(META_IMAGES, singles.images_read_until.get())?;
    write_sweep_queue(&mut meta, &singles.sweeps)?;
    if let Some(estimate) = singles.clock {
        meta.insert(META_CLOCK_OFFSET, estimate.offset.cast_unsigned())?;
        meta.insert(META_CLOCK_BOUND, estimate.bound)?;
        meta.insert(META_CLOCK_AT, estimate.at.as_milliseconds())?;
    }
    if let Some(time) = singles.time {
        meta.insert(META_TIME, time.as_milliseconds())?;
    }
    Ok(())
}
