//! Reads all rows as they are in one transaction.

use std::borrow::Borrow;

use tokio_postgres::Row as Columns;

use super::super::failure::{Failure, NotThere, decode, number, stored};
use super::super::query::{Query, Value, query, value};
use super::super::ticket::Sums;
use super::super::transaction::{SWEEP_CHECKPOINT, SWEEP_FINISHED, digest, name, reference, tag};
use super::derived::check_derived;
use super::session::Session;
use crate::clock::Timestamp;
use crate::store::copy::{Content, Part, Row, RowSource, Singles, Tally, Telling};
use crate::store::{Epoch, Sequence, StoreError};

/// What a failing step answers that it attempted.
const READ: &str = "be read";

/// A statement for rows behind a key, which are cut behind some MiB: a row that is larger comes by itself.
macro_rules! behind {
    ($table:literal, $columns:literal, $key:literal, $behind:literal, $bytes:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM (SELECT w.*, sum(size) OVER (ORDER BY ",
            $key,
            ") - size AS before FROM (SELECT ",
            $columns,
            ", (",
            $bytes,
            ")::bigint AS size FROM ",
            $table,
            " WHERE ",
            $behind,
            " ORDER BY ",
            $key,
            " LIMIT 2000) w) v WHERE before < 4194304 ORDER BY ",
            $key
        )
    };
}

const EPOCHS: &str = "SELECT before, epoch FROM epochs WHERE before >= $1 ORDER BY before LIMIT 2000";
const EVENTS: &str =
    behind!("events", "sequence, content", "sequence", "sequence >= $1", "octet_length(content)");
const INTENTS: &str =
    behind!("intents", "sequence, content", "sequence", "sequence >= $1", "octet_length(content)");
const REPOSITORIES: &str =
    behind!("repositories", "name, content", "name", "name > $1", "octet_length(content)");
const TAGS: &str = behind!(
    "tags",
    "repository, tag, content",
    "repository, tag",
    "(repository, tag) > ($1, $2)",
    "octet_length(content)"
);
const MANIFESTS: &str = behind!(
    "manifests",
    "repository, digest, content, document, bytes",
    "repository, digest",
    "(repository, digest) > ($1, $2)",
    "octet_length(content) + octet_length(document) + octet_length(bytes)"
);
const BLOBS: &str = behind!(
    "blobs",
    "repository, digest, content",
    "repository, digest",
    "(repository, digest) > ($1, $2)",
    "octet_length(content)"
);
const IMAGES: &str = behind!(
    "images",
    "repository, digest, content",
    "repository, digest",
    "(repository, digest) > ($1, $2)",
    "octet_length(content)"
);
const TOMBSTONES: &str = behind!(
    "tombstones",
    "repository, reference, content",
    "repository, reference",
    "(repository, reference) > ($1, $2)",
    "octet_length(content)"
);
const DELETED: &str = behind!(
    "deleted_manifests",
    "repository, digest, at, document, bytes",
    "repository, digest",
    "(repository, digest) > ($1, $2)",
    "octet_length(document) + octet_length(bytes)"
);
const DAYS: &str = behind!("days", "day, content", "day", "day >= $1", "octet_length(content)");
const HINTS: &str = behind!(
    "hints",
    "repository, reference, content",
    "repository, reference",
    "(repository, reference) > ($1, $2)",
    "octet_length(content)"
);
const ACCOUNTS: &str = behind!(
    "accounts",
    "kind, key, content",
    "kind, key",
    "(kind, key) > ($1, $2)",
    "octet_length(content) + octet_length(key)"
);
const AUTH_EVENTS: &str =
    behind!("auth_events", "number, content", "number", "number >= $1", "octet_length(content)");
const SWEEP: &str = "SELECT name, content FROM sweep WHERE name > $1 AND name IN ($2, $3) ORDER BY name";
const MARKS: &str = behind!("sweep_marks", "piece, marks", "piece", "piece >= $1", "octet_length(marks)");

/// See the module.
pub(super) struct Rows<S> {
    session: S,
}

/// Something is not as long as it must be.
#[derive(Debug, thiserror::Error)]
#[error("it has {0} bytes")]
struct Length(usize);

impl<S: Borrow<Session>> Rows<S> {
    /// Those of a session that has begun a transaction.
    pub(super) const fn of(session: S) -> Self {
        Self { session }
    }

    fn ask(&self, query: &Query) -> Result<Vec<Columns>, Failure> {
        self.session.borrow().ask(query)
    }

    fn read(&self, part: Part, behind: Option<&Row>) -> Result<Vec<Row>, Failure> {
        match part {
            Part::Numbers if behind.is_some() => Ok(Vec::new()),
            Part::Numbers => Ok(vec![Row::Numbers(self.singles()?)]),
            Part::Sweep => {
                let name = behind.map_or("", |row| row.names().0).to_owned();
                let rows = self.ask(&query!(SWEEP, name, SWEEP_CHECKPOINT, SWEEP_FINISHED))?;
                rows.iter().map(|columns| row_of(part, columns)).collect()
            }
            _ => {
                let (sql, has_number) = statement(part);
                let (first, second) = behind.map_or(("", ""), Row::names);
                let values: Vec<Value> = match has_number {
                    true => vec![value(stored(first_behind(behind)))],
                    false if part == Part::Repositories => vec![value(first.to_owned())],
                    false if part == Part::Accounts => {
                        vec![value(first.to_owned()), value(second.as_bytes().to_vec())]
                    }
                    false => vec![value(first.to_owned()), value(second.to_owned())],
                };
                let rows = self.ask(&Query { sql, values })?;
                rows.iter().map(|columns| row_of(part, columns)).collect()
            }
        }
    }

    fn singles(&self) -> Result<Singles, Failure> {
        let rows = self.ask(&query!("SELECT sequence, identity, content FROM ledger"))?;
        let row = rows.first().ok_or_else(|| Failure::corrupt("ticket", NotThere))?;
        let sums: Sums = decode(|| "ticket".into(), row.try_get(2)?)?;
        Ok(Singles {
            identity: epoch(row.try_get(1)?)?,
            sequence: Sequence::new(number(row.try_get(0)?)),
            accepted: sums.accepted,
            last_hint: sums.last_hint,
            last_auth_event: sums.last_auth_event,
            images_read_until: sums.images_read_until,
            sweeps: sums.sweeps,
            clock: sums.clock,
            time: sums.time,
        })
    }

    /// As far as the sums tell: nothing of that kind counts blobs.
    fn count(&self) -> Result<u64, Failure> {
        let rows = self.ask(&query!("SELECT content FROM ledger"))?;
        let row = rows.first().ok_or_else(|| Failure::corrupt("ticket", NotThere))?;
        let sums: Sums = decode(|| "ticket".into(), row.try_get(0)?)?;
        let held = [sums.totals.repositories, sums.totals.tags, sums.totals.manifests];
        let beside = [sums.events, sums.tombstones, sums.deleted.count, sums.hints];
        let all = held.into_iter().chain(beside).chain(sums.auth_events.into_values());
        Ok(all.fold(1, u64::saturating_add))
    }
}

impl<S: Borrow<Session> + Send> RowSource for Rows<S> {
    fn rows(&mut self, part: Part, behind: Option<&Row>) -> Result<Vec<Row>, StoreError> {
        self.read(part, behind).map_err(|failure| failure.into_error(READ))
    }

    fn expected(&mut self) -> Result<u64, StoreError> {
        self.count().map_err(|failure| failure.into_error(READ))
    }

    fn check_derived(&mut self, tally: &Tally, telling: &mut Telling<'_>) -> Result<(), StoreError> {
        check_derived(self.session.borrow(), tally, telling).map_err(|failure| failure.into_error(READ))
    }
}

/// The statement for a part, and whether its key is a number.
const fn statement(part: Part) -> (&'static str, bool) {
    match part {
        Part::Numbers => ("", false),
        Part::Epochs => (EPOCHS, true),
        Part::Events => (EVENTS, true),
        Part::Intents => (INTENTS, true),
        Part::Repositories => (REPOSITORIES, false),
        Part::Tags => (TAGS, false),
        Part::Manifests => (MANIFESTS, false),
        Part::Blobs => (BLOBS, false),
        Part::Images => (IMAGES, false),
        Part::Tombstones => (TOMBSTONES, false),
        Part::DeletedManifests => (DELETED, false),
        Part::Days => (DAYS, true),
        Part::Hints => (HINTS, false),
        Part::Accounts => (ACCOUNTS, false),
        Part::AuthEvents => (AUTH_EVENTS, true),
        Part::Sweep => (SWEEP, false),
        Part::Marks => (MARKS, true),
    }
}

/// The first number behind a row.
fn first_behind(behind: Option<&Row>) -> u64 {
    behind.and_then(Row::number).map_or(0, |number| number.saturating_add(1))
}

/// A row of a part from its columns.
fn row_of(part: Part, columns: &Columns) -> Result<Row, Failure> {
    let sequence = || Ok::<_, Failure>(Sequence::new(number(columns.try_get(0)?)));
    let text = |place: usize| Ok::<&str, Failure>(columns.try_get(place)?);
    let bytes = |place: usize| Ok::<&[u8], Failure>(columns.try_get(place)?);
    let content = |place| Ok::<_, Failure>(Content(bytes(place)?.to_vec()));
    let about = || Ok::<_, Failure>((name(text(0)?)?, digest(text(1)?)?));
    // What cannot be read is told by its key.
    let what = || match columns.try_get::<_, i64>(0) {
        Ok(number) => format!("row {number} of {part:?}"),
        Err(_) => {
            let of = |place| columns.try_get::<_, &str>(place).unwrap_or_default();
            format!("row of `{}` in `{}` of {part:?}", of(1), of(0))
        }
    };
    Ok(match part {
        Part::Numbers => return Err(Failure::corrupt("ticket", NotThere)),
        Part::Epochs => Row::Epoch { before: sequence()?, epoch: epoch(bytes(1)?)? },
        Part::Events => Row::Event(decode(what, bytes(1)?)?),
        Part::Intents => Row::Intent(decode(what, bytes(1)?)?),
        Part::Repositories => Row::Repository { name: name(text(0)?)?, row: decode(what, bytes(1)?)? },
        Part::Tags => {
            Row::Tag { repository: name(text(0)?)?, tag: tag(text(1)?)?, row: decode(what, bytes(2)?)? }
        }
        Part::Manifests => {
            let (repository, digest) = about()?;
            let (row, document) = (decode(what, bytes(2)?)?, decode(what, bytes(3)?)?);
            Row::Manifest { repository, digest, row, document, bytes: content(4)? }
        }
        Part::Blobs => {
            let (repository, digest) = about()?;
            Row::Blob { repository, digest, row: decode(what, bytes(2)?)? }
        }
        Part::Images => {
            let (repository, digest) = about()?;
            Row::Image { repository, digest, config: decode(what, bytes(2)?)? }
        }
        Part::Tombstones => Row::Tombstone {
            repository: name(text(0)?)?,
            buried: text(1)?.to_owned(),
            tombstone: decode(what, bytes(2)?)?,
        },
        Part::DeletedManifests => {
            let (repository, digest) = about()?;
            let at = Timestamp::from_milliseconds(number(columns.try_get(2)?));
            let document = decode(what, bytes(3)?)?;
            Row::DeletedManifest { repository, digest, at, document, bytes: content(4)? }
        }
        Part::Days => Row::Day { day: number(columns.try_get(0)?), row: decode(what, bytes(1)?)? },
        Part::Hints => Row::Hint {
            repository: name(text(0)?)?,
            reference: reference(text(1)?)?,
            row: decode(what, bytes(2)?)?,
        },
        Part::Accounts => {
            let key = String::from_utf8(bytes(1)?.to_vec());
            let key = key.map_err(|cause| Failure::corrupt("key of an account", cause))?;
            Row::Account { kind: text(0)?.to_owned(), key, content: content(2)? }
        }
        Part::AuthEvents => Row::AuthEvent { number: sequence()?, event: decode(what, bytes(1)?)? },
        Part::Sweep => Row::Sweep { name: text(0)?.to_owned(), content: content(1)? },
        Part::Marks => {
            let (marks, rest) = bytes(1)?.as_chunks();
            if !rest.is_empty() {
                return Err(Failure::corrupt(what(), Length(bytes(1)?.len())));
            }
            let marks = marks.iter().map(|mark| u64::from_le_bytes(*mark)).collect();
            Row::Marks { piece: number(columns.try_get(0)?), marks }
        }
    })
}

/// The name of an epoch, or of the record, from its column.
fn epoch(bytes: &[u8]) -> Result<Epoch, Failure> {
    let bits = <[u8; 16]>::try_from(bytes);
    let bits = bits.map_err(|_| Failure::corrupt("name of an epoch", Length(bytes.len())))?;
    Ok(Epoch::new(u128::from_be_bytes(bits)))
}
