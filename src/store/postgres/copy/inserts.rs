//! The statements that add rows of one part, with what they are found by.

use super::super::failure::{Failure, encode, stored};
use super::super::query::{Query, query};
use super::super::ticket::Sums;
use super::super::transaction::kind_column;
use crate::oci::Document;
use crate::store::Retry;
use crate::store::copy::{Row, Singles};
use crate::store::image::platform_of;
use crate::store::tombstone::Past;

const ADD_EPOCHS: &str = "INSERT INTO epochs (before, epoch) SELECT * FROM unnest($1::bigint[], $2::bytea[])";
const ADD_EVENTS: &str = "
INSERT INTO events (sequence, repository, time, content)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[])";
/// Nobody carries them: who has the lease asks about each.
const ADD_INTENTS: &str = "
INSERT INTO intents (sequence, repository, door, door_epoch, since, retry, content)
SELECT sequence, repository, 0, 0, sequence, $3, content
FROM unnest($1::bigint[], $2::text[], $4::bytea[]) AS k(sequence, repository, content)";
const ADD_REPOSITORIES: &str = "
INSERT INTO repositories (name, is_empty, is_missing, content)
SELECT * FROM unnest($1::text[], $2::boolean[], $3::boolean[], $4::bytea[])";
const ADD_TAGS: &str = "
INSERT INTO tags (repository, tag, digest, is_missing, content)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::bytea[])";
const ADD_MANIFESTS: &str = "
INSERT INTO manifests (repository, digest, subject, content, document, bytes)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[])";
const ADD_CHILDREN: &str = "
INSERT INTO children (repository, child, parent, place)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[])
ON CONFLICT DO NOTHING";
const ADD_BLOBS: &str = "
INSERT INTO blobs (repository, digest, content) SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])";
const ADD_IMAGES: &str = "
INSERT INTO images (repository, digest, platform, content)
SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[])";
const ADD_TOMBSTONES: &str = "
INSERT INTO tombstones (repository, reference, at, digest, content)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bytea[])";
const ADD_DELETED: &str = "
INSERT INTO deleted_manifests (repository, digest, at, size, document, bytes)
SELECT repository, digest, at, octet_length(document) + octet_length(bytes), document, bytes
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[]) AS k(repository, digest, at, document, bytes)";
const ADD_DAYS: &str = "INSERT INTO days (day, content) SELECT * FROM unnest($1::bigint[], $2::bytea[])";
const ADD_HINTS: &str = "
INSERT INTO hints (repository, reference, number, content)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[])";
const ADD_ACCOUNTS: &str = "
INSERT INTO accounts (kind, key, content) SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[])";
const ADD_AUTH_EVENTS: &str = "
INSERT INTO auth_events (number, kind, time, content)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[])";
const ADD_SWEEP: &str = "INSERT INTO sweep (name, content) SELECT * FROM unnest($1::text[], $2::bytea[])";
const ADD_MARKS: &str =
    "INSERT INTO sweep_marks (piece, marks) SELECT * FROM unnest($1::bigint[], $2::bytea[])";
const SET_SINGLES: &str = "UPDATE ledger SET identity = $1, sequence = $2, content = $3";

/// Columns of rows, by what stands in them.
#[derive(Default)]
struct Columns {
    numbers: Vec<i64>,
    firsts: Vec<String>,
    seconds: Vec<String>,
    /// Times, or numbers beside the key.
    others: Vec<i64>,
    /// What is named beside the key, if anything is.
    named: Vec<Option<String>>,
    flags: Vec<bool>,
    more_flags: Vec<bool>,
    keys: Vec<Vec<u8>>,
    platforms: Vec<Option<Vec<u8>>>,
    contents: Vec<Vec<u8>>,
    documents: Vec<Vec<u8>>,
    bytes: Vec<Vec<u8>>,
    children: Children,
}

/// What indexes name.
#[derive(Default)]
struct Children {
    repositories: Vec<String>,
    children: Vec<String>,
    parents: Vec<String>,
    places: Vec<i32>,
}

impl Columns {
    fn take(&mut self, row: &Row) -> Result<(), Failure> {
        let (first, second) = row.names();
        self.numbers.push(stored(row.number().unwrap_or(0)));
        self.firsts.push(first.to_owned());
        self.seconds.push(second.to_owned());
        match row {
            Row::Numbers(_) => {}
            Row::Epoch { epoch, .. } => self.keys.push(epoch.get().to_be_bytes().to_vec()),
            Row::Event(event) => {
                self.named.push(Some(event.repository.to_string()));
                self.others.push(stored(event.time.as_milliseconds()));
                self.contents.push(encode("event", event)?);
            }
            Row::Intent(intent) => {
                self.named.push(Some(intent.repository.to_string()));
                self.contents.push(encode("intent", intent)?);
            }
            Row::Repository { row, .. } => {
                self.flags.push(row.is_empty());
                self.more_flags.push(!row.missing().is_none());
                self.contents.push(encode("repository row", row)?);
            }
            Row::Tag { row, .. } => {
                self.named.push(Some(row.digest.to_string()));
                self.flags.push(row.missing.is_some());
                self.contents.push(encode("tag row", row)?);
            }
            Row::Manifest { row, document, bytes, .. } => {
                self.children.take(first, second, document);
                self.named.push(document.subject.as_ref().map(|about| about.digest.to_string()));
                self.contents.push(encode("manifest row", row)?);
                self.documents.push(encode("document", document)?);
                self.bytes.push(bytes.0.clone());
            }
            Row::Blob { row, .. } => self.contents.push(encode("blob row", row)?),
            Row::Image { config, .. } => {
                self.platforms.push(platform_of(config.as_deref()).map(String::into_bytes));
                self.contents.push(encode("image", config)?);
            }
            Row::Tombstone { tombstone, .. } => {
                self.others.push(stored(tombstone.at.as_milliseconds()));
                self.named.push(match &tombstone.past {
                    Past::Tag(row) => Some(row.digest.to_string()),
                    Past::Manifest(_) | Past::Repository(_) => None,
                });
                self.contents.push(encode("tombstone", tombstone)?);
            }
            Row::DeletedManifest { at, document, bytes, .. } => {
                self.others.push(stored(at.as_milliseconds()));
                self.documents.push(encode("document", document)?);
                self.bytes.push(bytes.0.clone());
            }
            Row::Day { row, .. } => self.contents.push(encode("day", row)?),
            Row::Hint { row, .. } => {
                self.others.push(stored(row.number));
                self.contents.push(encode("hint", row)?);
            }
            Row::Account { key, content, .. } => {
                self.keys.push(key.as_bytes().to_vec());
                self.contents.push(content.0.clone());
            }
            Row::AuthEvent { event, .. } => {
                self.named.push(Some(kind_column(event.kind).to_owned()));
                self.others.push(stored(event.time.as_milliseconds()));
                self.contents.push(encode("event of the gate", event)?);
            }
            Row::Sweep { content, .. } => self.contents.push(content.0.clone()),
            Row::Marks { marks, .. } => {
                self.contents.push(marks.iter().flat_map(|mark| mark.to_le_bytes()).collect());
            }
        }
        Ok(())
    }
}

impl Children {
    fn take(&mut self, repository: &str, parent: &str, document: &Document) {
        for (place, child) in (0_i32..).zip(document.child_manifests()) {
            self.repositories.push(repository.to_owned());
            self.children.push(child.to_string());
            self.parents.push(parent.to_owned());
            self.places.push(place);
        }
    }
}

/// The statements for these rows, which all are of one part.
pub(super) fn inserts(rows: &[Row]) -> Result<Vec<Query>, Failure> {
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let mut columns = Columns::default();
    rows.iter().try_for_each(|row| columns.take(row))?;
    let Columns { numbers, firsts, seconds, others, named, flags, more_flags, .. } = columns;
    let Columns { keys, platforms, contents, documents, bytes, children, .. } = columns;
    Ok(match first {
        Row::Numbers(singles) => vec![set_singles(singles)?],
        Row::Epoch { .. } => vec![query!(ADD_EPOCHS, numbers, keys)],
        Row::Event(_) => vec![query!(ADD_EVENTS, numbers, named, others, contents)],
        Row::Intent(_) => {
            let retry = encode("retry", &Retry::FIRST)?;
            vec![query!(ADD_INTENTS, numbers, named, retry, contents)]
        }
        Row::Repository { .. } => vec![query!(ADD_REPOSITORIES, firsts, flags, more_flags, contents)],
        Row::Tag { .. } => vec![query!(ADD_TAGS, firsts, seconds, named, flags, contents)],
        Row::Manifest { .. } => {
            let Children { repositories, children, parents, places } = children;
            vec![
                query!(ADD_MANIFESTS, firsts, seconds, named, contents, documents, bytes),
                query!(ADD_CHILDREN, repositories, children, parents, places),
            ]
        }
        Row::Blob { .. } => vec![query!(ADD_BLOBS, firsts, seconds, contents)],
        Row::Image { .. } => vec![query!(ADD_IMAGES, firsts, seconds, platforms, contents)],
        Row::Tombstone { .. } => vec![query!(ADD_TOMBSTONES, firsts, seconds, others, named, contents)],
        Row::DeletedManifest { .. } => {
            vec![query!(ADD_DELETED, firsts, seconds, others, documents, bytes)]
        }
        Row::Day { .. } => vec![query!(ADD_DAYS, numbers, contents)],
        Row::Hint { .. } => vec![query!(ADD_HINTS, firsts, seconds, others, contents)],
        Row::Account { .. } => vec![query!(ADD_ACCOUNTS, firsts, keys, contents)],
        Row::AuthEvent { .. } => vec![query!(ADD_AUTH_EVENTS, numbers, named, others, contents)],
        Row::Sweep { .. } => vec![query!(ADD_SWEEP, firsts, contents)],
        Row::Marks { .. } => vec![query!(ADD_MARKS, numbers, contents)],
    })
}

/// What there is once. The sums follow from the rows, once all are there.
fn set_singles(singles: &Singles) -> Result<Query, Failure> {
    let Singles { identity, sequence, accepted, last_hint, last_auth_event, images_read_until, .. } =
        *singles;
    let Singles { sweeps, clock, time, .. } = *singles;
    let sums = Sums {
        accepted,
        last_hint,
        last_auth_event,
        images_read_until,
        sweeps,
        clock,
        time,
        ..Sums::default()
    };
    let identity = identity.get().to_be_bytes().to_vec();
    Ok(query!(SET_SINGLES, identity, stored(sequence.get()), encode("ticket", &sums)?))
}
