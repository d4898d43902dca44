//! Reads all rows of one state of the file.

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::{
    AccessGuard, Database, ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition, Value,
};

use super::super::READ;
use super::super::failure::Failure;
use super::super::panics::caught;
use super::super::snapshot::Snapshot;
use super::super::tables::{
    ACCOUNTS, BLOBS, DAYS, DELETED_MANIFESTS, EPOCHS, EVENTS, HINTS, IMAGES, INTENTS, MANIFESTS, META,
    META_ACCEPTED, META_AUTH_EVENT, META_HINT, META_IMAGES, META_SEQUENCE, REPOSITORIES, SWEEP,
    SWEEP_CHECKPOINT, SWEEP_FINISHED, SWEEP_MARKS, TAGS, TOMBSTONES, TwoKeys, auth_events, decode,
    decode_document, decode_hint, number, optional, stored_digest, stored_name, stored_reference, stored_tag,
    sweep_queue,
};
use super::derived::check_derived;
use crate::clock::Timestamp;
use crate::store::copy::{Content, Part, Row, RowSource, Singles, Tally, Telling};
use crate::store::{AuthEventKind, Epoch, Sequence, StoreError};

/// So many rows are answered at once, or of so many bytes.
const ROWS: usize = 10_000;
const BYTES: usize = 4 * 1024 * 1024;

/// All rows of one state of the file.
pub(in crate::store::redb) struct Rows {
    snapshot: Snapshot,
    /// Goes behind what reads it.
    _database: Option<Database>,
}

/// A piece of marks is cut short.
#[derive(Debug, thiserror::Error)]
#[error("it is cut short")]
struct CutShort;

/// Rows that are being collected.
#[derive(Default)]
struct Collected {
    rows: Vec<Row>,
    bytes: usize,
}

impl Collected {
    fn push(&mut self, row: Row, bytes: usize) {
        self.rows.push(row);
        self.bytes += bytes;
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= ROWS || self.bytes >= BYTES
    }
}

impl Rows {
    /// Those of a file that is open for this alone.
    pub(super) fn of(database: Database) -> Result<Self, Failure> {
        Ok(Self { snapshot: Snapshot(database.begin_read()?), _database: Some(database) })
    }

    /// Those of a file that stays open.
    pub(in crate::store::redb) const fn in_snapshot(snapshot: Snapshot) -> Self {
        Self { snapshot, _database: None }
    }

    fn read(&self, part: Part, behind: Option<&Row>) -> Result<Vec<Row>, Failure> {
        match part {
            Part::Numbers => self.singles(behind),
            Part::Epochs => self.numbered(EPOCHS, behind, |before, epoch| {
                Ok((Row::Epoch { before: Sequence::new(before), epoch: Epoch::new(epoch) }, 16))
            }),
            Part::Events => self.numbered(EVENTS, behind, |number, row| {
                Ok((Row::Event(decode(|| format!("event {number}"), row)?), row.len()))
            }),
            Part::Intents => self.numbered(INTENTS, behind, |number, row| {
                Ok((Row::Intent(decode(|| format!("intent {number}"), row)?), row.len()))
            }),
            Part::Days => self.numbered(DAYS, behind, |day, row| {
                Ok((Row::Day { day, row: decode(|| format!("day {day}"), row)? }, row.len()))
            }),
            Part::Repositories => self.repositories(behind),
            Part::Tags => self.in_repositories(TAGS, behind, |(name, tag), row| {
                let what = || format!("tag row of `{tag}` in `{name}`");
                let (repository, tag) = (stored_name(name)?, stored_tag(tag)?);
                Ok((Row::Tag { repository, tag, row: decode(what, row)? }, row.len()))
            }),
            Part::Manifests => self.in_repositories(MANIFESTS, behind, |(name, digest), rows| {
                let (row, document, bytes) = rows;
                let (repository, digest) = (stored_name(name)?, stored_digest(digest)?);
                let size = row.len() + document.len() + bytes.len();
                let row = decode(|| format!("manifest row of `{digest}` in `{repository}`"), row)?;
                let document = Box::new(decode_document(&repository, &digest, document)?);
                Ok((
                    Row::Manifest { repository, digest, row, document, bytes: Content(bytes.to_vec()) },
                    size,
                ))
            }),
            Part::Blobs => self.in_repositories(BLOBS, behind, |(name, digest), row| {
                let what = || format!("blob row of `{digest}` in `{name}`");
                let (repository, digest) = (stored_name(name)?, stored_digest(digest)?);
                Ok((Row::Blob { repository, digest, row: decode(what, row)? }, row.len()))
            }),
            Part::Images => self.in_repositories(IMAGES, behind, |(name, digest), (_, config)| {
                let what = || format!("image `{digest}` in `{name}`");
                let (repository, digest) = (stored_name(name)?, stored_digest(digest)?);
                Ok((Row::Image { repository, digest, config: decode(what, config)? }, config.len()))
            }),
            Part::Tombstones => self.in_repositories(TOMBSTONES, behind, |(name, buried), row| {
                let what = || format!("tombstone of `{buried}` in `{name}`");
                let (repository, buried) = (stored_name(name)?, buried.to_owned());
                Ok((Row::Tombstone { repository, buried, tombstone: decode(what, row)? }, row.len()))
            }),
            Part::DeletedManifests => {
                self.in_repositories(DELETED_MANIFESTS, behind, |(name, digest), rows| {
                    let (at, document, bytes) = rows;
                    let (repository, digest) = (stored_name(name)?, stored_digest(digest)?);
                    let (at, size) = (Timestamp::from_milliseconds(at), document.len() + bytes.len());
                    let document = Box::new(decode_document(&repository, &digest, document)?);
                    let bytes = Content(bytes.to_vec());
                    Ok((Row::DeletedManifest { repository, digest, at, document, bytes }, size))
                })
            }
            Part::Hints => self.in_repositories(HINTS, behind, |(name, reference), row| {
                let (size, row) = (row.len(), decode_hint(name, reference, row)?);
                let (repository, reference) = (stored_name(name)?, stored_reference(reference)?);
                Ok((Row::Hint { repository, reference, row }, size))
            }),
            Part::Accounts => self.in_repositories(ACCOUNTS, behind, |(kind, key), content| {
                let (kind, key, content) = (kind.to_owned(), key.to_owned(), content.to_vec());
                let size = content.len();
                Ok((Row::Account { kind, key, content: Content(content) }, size))
            }),
            Part::AuthEvents => self.auth_events(behind),
            Part::Sweep => self.sweep(behind),
            Part::Marks => self.marks(behind),
        }
    }

    fn singles(&self, behind: Option<&Row>) -> Result<Vec<Row>, Failure> {
        if behind.is_some() {
            return Ok(Vec::new());
        }
        let meta = self.snapshot.0.open_table(META)?;
        let sequence = |key| Ok::<_, Failure>(Sequence::new(number(&meta, key)?));
        Ok(vec![Row::Numbers(Singles {
            identity: self.snapshot.history()?.identity,
            sequence: sequence(META_SEQUENCE)?,
            accepted: sequence(META_ACCEPTED)?,
            last_hint: number(&meta, META_HINT)?,
            last_auth_event: sequence(META_AUTH_EVENT)?,
            images_read_until: sequence(META_IMAGES)?,
            sweeps: sweep_queue(&meta)?,
            clock: self.snapshot.kept_clock()?,
            time: self.snapshot.kept_time()?,
        })])
    }

    /// Rows of a table by numbers.
    fn numbered<V: Value + 'static>(
        &self,
        table: TableDefinition<'static, u64, V>,
        behind: Option<&Row>,
        row: impl Fn(u64, V::SelfType<'_>) -> Result<(Row, usize), Failure>,
    ) -> Result<Vec<Row>, Failure> {
        let table = self.snapshot.0.open_table(table)?;
        let mut collected = Collected::default();
        for entry in table.range(first_behind(behind)..)? {
            let (number, content): (AccessGuard<'_, u64>, AccessGuard<'_, V>) = entry?;
            let (row, bytes) = row(number.value(), content.value())?;
            collected.push(row, bytes);
            if collected.is_full() {
                break;
            }
        }
        Ok(collected.rows)
    }

    /// Rows of a table by two names.
    fn in_repositories<V: Value + 'static>(
        &self,
        table: TableDefinition<'static, TwoKeys, V>,
        behind: Option<&Row>,
        row: impl Fn((&str, &str), V::SelfType<'_>) -> Result<(Row, usize), Failure>,
    ) -> Result<Vec<Row>, Failure> {
        let table = self.snapshot.0.open_table(table)?;
        let from = behind.map_or(Bound::Unbounded, |behind| Bound::Excluded(behind.names()));
        let mut collected = Collected::default();
        for entry in table.range::<(&str, &str)>((from, Bound::Unbounded))? {
            let (names, content) = entry?;
            let (row, bytes) = row(names.value(), content.value())?;
            collected.push(row, bytes);
            if collected.is_full() {
                break;
            }
        }
        Ok(collected.rows)
    }

    fn repositories(&self, behind: Option<&Row>) -> Result<Vec<Row>, Failure> {
        let table = self.snapshot.0.open_table(REPOSITORIES)?;
        let from = behind.map_or(Bound::Unbounded, |behind| Bound::Excluded(behind.names().0));
        let mut collected = Collected::default();
        for entry in table.range::<&str>((from, Bound::Unbounded))? {
            let (name, row) = entry?;
            let name = stored_name(name.value())?;
            let content = decode(|| format!("repository row of `{name}`"), row.value())?;
            collected.push(Row::Repository { name, row: content }, row.value().len());
            if collected.is_full() {
                break;
            }
        }
        Ok(collected.rows)
    }

    /// Each kind has a table, and the numbers are those of all together.
    fn auth_events(&self, behind: Option<&Row>) -> Result<Vec<Row>, Failure> {
        const OF_EACH: usize = 2_000;
        let mut rows = BTreeMap::new();
        for kind in AuthEventKind::ALL {
            let Some(table) = optional(&self.snapshot.0, auth_events(kind))? else { continue };
            for entry in table.range(first_behind(behind)..)?.take(OF_EACH) {
                let (number, row) = entry?;
                rows.insert(number.value(), row.value().to_vec());
            }
        }
        let rows = rows.into_iter().take(OF_EACH).map(|(number, row)| {
            let event = decode(|| format!("event {number} of the gate"), &row)?;
            Ok(Row::AuthEvent { number: Sequence::new(number), event })
        });
        rows.collect()
    }

    /// What was shown of a running sweep is of the door that ran it.
    fn sweep(&self, behind: Option<&Row>) -> Result<Vec<Row>, Failure> {
        if behind.is_some() {
            return Ok(Vec::new());
        }
        let table = self.snapshot.0.open_table(SWEEP)?;
        let mut rows = Vec::new();
        for name in [SWEEP_CHECKPOINT, SWEEP_FINISHED] {
            if let Some(content) = table.get(name)? {
                rows.push(Row::Sweep { name: name.to_owned(), content: Content(content.value().to_vec()) });
            }
        }
        Ok(rows)
    }

    /// Wherever their numbers begin here, those of the rows begin with one.
    fn marks(&self, behind: Option<&Row>) -> Result<Vec<Row>, Failure> {
        let table = self.snapshot.0.open_table(SWEEP)?;
        let done = first_behind(behind).saturating_sub(1);
        let mut collected = Collected::default();
        for (piece, entry) in (1..).zip(table.range(SWEEP_MARKS..)?) {
            let (_, bytes) = entry?;
            if piece <= done {
                continue;
            }
            let (marks, rest) = bytes.value().as_chunks();
            if !rest.is_empty() {
                return Err(Failure::corrupt(format!("piece {piece} of the marks of a sweep"), CutShort));
            }
            let marks = marks.iter().map(|mark| u64::from_le_bytes(*mark)).collect();
            collected.push(Row::Marks { piece, marks }, bytes.value().len());
            if collected.is_full() {
                break;
            }
        }
        Ok(collected.rows)
    }

    fn count(&self) -> Result<u64, Failure> {
        let read = &self.snapshot.0;
        let mut count = 0;
        count += read.open_table(EVENTS)?.len()? + read.open_table(INTENTS)?.len()?;
        count += read.open_table(REPOSITORIES)?.len()? + read.open_table(TAGS)?.len()?;
        count += read.open_table(MANIFESTS)?.len()? + read.open_table(BLOBS)?.len()?;
        count += read.open_table(IMAGES)?.len()? + read.open_table(TOMBSTONES)?.len()?;
        count += read.open_table(DELETED_MANIFESTS)?.len()? + read.open_table(EPOCHS)?.len()?;
        count += read.open_table(DAYS)?.len()? + read.open_table(HINTS)?.len()?;
        count += read.open_table(ACCOUNTS)?.len()? + read.open_table(SWEEP)?.len()?;
        for kind in AuthEventKind::ALL {
            count += optional(read, auth_events(kind))?.map_or(Ok(0), |table| table.len())?;
        }
        Ok(count + 1)
    }
}

impl RowSource for Rows {
    fn rows(&mut self, part: Part, behind: Option<&Row>) -> Result<Vec<Row>, StoreError> {
        caught(|| self.read(part, behind)).map_err(|failure| failure.into_error(READ))
    }

    fn expected(&mut self) -> Result<u64, StoreError> {
        caught(|| self.count()).map_err(|failure| failure.into_error(READ))
    }

    fn check_derived(&mut self, tally: &Tally, telling: &mut Telling<'_>) -> Result<(), StoreError> {
        let looked = caught(|| check_derived(&self.snapshot.0, tally, telling));
        looked.map_err(|failure| failure.into_error(READ))
    }
}

/// The first number behind a row.
fn first_behind(behind: Option<&Row>) -> u64 {
    behind.and_then(Row::number).map_or(0, |number| number.saturating_add(1))
}
