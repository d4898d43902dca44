//! The tables of the file, and how rows are found in them. Names and forms of keys are part of the layout: what is
//! changed here needs a new number in `file`.
//!
//! Rows are JSON; indexes have all they need in their keys. Keys of several parts compare part by part, so that what
//! belongs to one repository lies together in bytewise order.

use redb::{Key, ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, TableError, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::clock::Timestamp;
use crate::oci::{Digest, Document, Reference, RepositoryName, Tag};
use crate::store::row::{HintRow, ManifestRow};
use crate::store::{AuthEventKind, Event, Flaw, FlawCounts, SweepKind, SweepQueue};

pub(super) type OneKey = &'static str;
pub(super) type TwoKeys = (&'static str, &'static str);
pub(super) type ThreeKeys = (&'static str, &'static str, &'static str);
pub(super) type AgeKeys = (u64, &'static str, &'static str);
pub(super) type Json = &'static [u8];
/// Its `ManifestRow`, its `Document`, and its exact bytes.
pub(super) type ManifestRows = (Json, Json, &'static [u8]);

/// `RepositoryRow` by repository.
pub(super) const REPOSITORIES: TableDefinition<'_, OneKey, Json> = TableDefinition::new("repositories");
/// `TagRow` by repository and tag.
pub(super) const TAGS: TableDefinition<'_, TwoKeys, Json> = TableDefinition::new("tags");
/// Repository, digest and tag of everything in `TAGS`.
pub(super) const TAGS_BY_MANIFEST: TableDefinition<'_, ThreeKeys, ()> =
    TableDefinition::new("tags_by_manifest");
/// All of a manifest by repository and digest, in each repository that has it: what is by digest alone lies in no order,
/// and costs a sweep a page read and written for every manifest.
pub(super) const MANIFESTS: TableDefinition<'_, TwoKeys, ManifestRows> =
    TableDefinition::new("repository_manifests");
/// Repository, subject and digest of those manifests that have a subject.
pub(super) const REFERRERS: TableDefinition<'_, ThreeKeys, ()> = TableDefinition::new("referrers");
/// Repository, manifest and index of everything that an index names and that is a manifest.
pub(super) const CHILDREN: TableDefinition<'_, ThreeKeys, ()> = TableDefinition::new("children");
/// Kind of flaw, repository, and tag, digest or nothing, of what has it. How many there are of each kind is in `META`.
pub(super) const FLAWS: TableDefinition<'_, ThreeKeys, ()> = TableDefinition::new("flaws");
/// `DayRow` by the number of the day since 1970.
pub(super) const DAYS: TableDefinition<'_, u64, Json> = TableDefinition::new("days");
/// `BlobRow` by repository and digest.
pub(super) const BLOBS: TableDefinition<'_, TwoKeys, Json> = TableDefinition::new("blobs");
/// `Event` by sequence number.
pub(super) const EVENTS: TableDefinition<'_, u64, Json> = TableDefinition::new("events");
/// Repository and sequence number of everything in `EVENTS`.
pub(super) const EVENTS_BY_REPOSITORY: TableDefinition<'_, (&'static str, u64), ()> =
    TableDefinition::new("events_by_repository");
/// The earliest and the latest time, in milliseconds, of the events of each block of numbers that were all given out; of a
/// block without events the earliest is the later one. A block without a row is one of which nothing is known: it is from
/// before there was this table, which programs that do not know it leave as it is.
pub(super) const EVENT_TIMES: TableDefinition<'_, u64, (u64, u64)> = TableDefinition::new("event_times");
/// `Intent` by sequence number.
pub(super) const INTENTS: TableDefinition<'_, u64, Json> = TableDefinition::new("intents");
/// `HintRow` by repository and reference.
pub(super) const HINTS: TableDefinition<'_, TwoKeys, Json> = TableDefinition::new("hint_rows");
/// What is kept of sweeps, by name: the checkpoint and pieces of the marks, and what doors tell of them.
pub(super) const SWEEP: TableDefinition<'_, OneKey, &'static [u8]> = TableDefinition::new("sweep");
/// What is kept of an account, by kind and key.
pub(super) const ACCOUNTS: TableDefinition<'_, TwoKeys, &'static [u8]> = TableDefinition::new("accounts");
/// `AuthEvent` by its own number, of one kind: each has a table, so that it is known how many there are of it. The numbers are
/// those of all kinds together.
pub(super) const fn auth_events(kind: AuthEventKind) -> TableDefinition<'static, u64, Json> {
    TableDefinition::new(match kind {
        AuthEventKind::Token => "auth_events token",
        AuthEventKind::Login => "auth_events login",
        AuthEventKind::LoginFailed => "auth_events login_failed",
        AuthEventKind::Refused => "auth_events refused",
        AuthEventKind::Account => "auth_events account",
        AuthEventKind::Policy => "auth_events policy",
        AuthEventKind::SignedOut => "auth_events signed_out",
    })
}
/// What was removed without the door having carried it, by repository and reference.
pub(super) const TOMBSTONES: TableDefinition<'_, TwoKeys, Json> = TableDefinition::new("tombstones");
/// What an image says of itself, by repository and digest: its platform or nothing, and `ImageConfig` or `null`.
pub(super) const IMAGES: TableDefinition<'_, TwoKeys, (&'static str, Json)> = TableDefinition::new("images");
/// Of a manifest that was deleted: when that was, in milliseconds, its `Document`, and its exact bytes.
pub(super) type DeletedRows = (u64, Json, &'static [u8]);
/// Manifests that were deleted, by repository and digest, also of those that have come back.
pub(super) const DELETED_MANIFESTS: TableDefinition<'_, TwoKeys, DeletedRows> =
    TableDefinition::new("deleted_manifests");
/// The bytes of everything in `DELETED_MANIFESTS`, by when it was deleted, in milliseconds, repository and digest.
pub(super) const DELETED_MANIFESTS_BY_AGE: TableDefinition<'_, AgeKeys, u64> =
    TableDefinition::new("deleted_manifests_by_age");
/// When it went, in milliseconds, repository and reference of everything in `TOMBSTONES`.
pub(super) const TOMBSTONES_BY_AGE: TableDefinition<'_, AgeKeys, ()> =
    TableDefinition::new("tombstones_by_age");
/// The name of each epoch, by the last sequence number that was given out before it.
pub(super) const EPOCHS: TableDefinition<'_, u64, u128> = TableDefinition::new("epochs");
/// So many epochs are known; the oldest ones are forgotten.
pub(super) const MAXIMUM_EPOCHS: u64 = 10_000;
/// Single numbers: the constants below.
pub(super) const META: TableDefinition<'_, OneKey, u64> = TableDefinition::new("meta");
/// In a file that is being made of an exported record: how far that is.
pub(super) const IMPORT: TableDefinition<'_, OneKey, Json> = TableDefinition::new("import");
/// In `IMPORT`: its only row.
pub(super) const IMPORT_STATE: &str = "state";
/// What is written to find out whether there is room again.
pub(super) const PROBE: TableDefinition<'_, OneKey, &'static [u8]> = TableDefinition::new("probe");

/// In `SWEEP`: what the door that sweeps is at.
pub(super) const SWEEP_ACTIVITY: &str = "activity";
/// In `SWEEP`: the checkpoint.
pub(super) const SWEEP_CHECKPOINT: &str = "checkpoint";
/// In `SWEEP`: how the last sweep has ended.
pub(super) const SWEEP_FINISHED: &str = "finished";
/// In `SWEEP`: with what the keys of the marks' pieces begin, behind all others in order; the rest is a number.
pub(super) const SWEEP_MARKS: &str = "marks ";
/// In `META`: which layout the file has.
pub(super) const META_LAYOUT: &str = "layout";
/// In `META`: the number of the last sweep that began.
pub(super) const META_SWEEP: &str = "sweep";
/// In `META`: the kind of the sweep that is asked for, as a number.
pub(super) const META_SWEEP_REQUESTED: &str = "sweep requested";
/// In `META`: the kind of the last sweep if it was asked for and has not ended, as a number.
pub(super) const META_SWEEP_UNFINISHED: &str = "sweep unfinished";
/// In `META`: since when sweeps are numbered, in milliseconds.
pub(super) const META_SWEEPS_SINCE: &str = "sweeps numbered since";
/// In `META`: the bytes of all repositories, modulo 2^64.
pub(super) const META_BYTES: &str = "bytes";
/// In `META`: the sum of the bytes in `DELETED_MANIFESTS_BY_AGE`.
pub(super) const META_DELETED_BYTES: &str = "bytes of deleted manifests";
/// In `META`: up to which event images were read.
pub(super) const META_IMAGES: &str = "images read until";
/// In `META`: the last number that a hint got.
pub(super) const META_HINT: &str = "hint";
/// In `META`: the last number that an event of the gate got.
pub(super) const META_AUTH_EVENT: &str = "auth event";
/// In `META`: what is known of the registry's clock. The offset is a number with a sign, by its bits.
pub(super) const META_CLOCK_OFFSET: &str = "clock offset";
/// In `META`: how far that may be wrong.
pub(super) const META_CLOCK_BOUND: &str = "clock bound";
/// In `META`: when that was known.
pub(super) const META_CLOCK_AT: &str = "clock at";
/// In `META`: the last time of the door's clock that has held, in milliseconds.
pub(super) const META_TIME: &str = "time";
/// In `META`: the last sequence number that was given out.
pub(super) const META_SEQUENCE: &str = "sequence";
/// In `META`: how many recorded tags the registry denies.
pub(super) const META_MISSING_TAGS: &str = "missing tags";
/// In `META`: how many recorded manifests it denies.
pub(super) const META_MISSING_MANIFESTS: &str = "missing manifests";
/// In `META`: what was marked as missing up to this sequence number is accepted as gone.
pub(super) const META_ACCEPTED: &str = "removals accepted";

/// In `META`: the upper half of the store's identity, 128 random bits that it gets when it is made.
pub(super) const META_IDENTITY_HIGH: &str = "identity high";
/// In `META`: the lower half of it.
pub(super) const META_IDENTITY_LOW: &str = "identity low";

/// In `META`: how many have this flaw.
pub(super) const fn flaw_count(flaw: Flaw) -> OneKey {
    match flaw {
        Flaw::MissingChildren => "flaws missing_children",
        Flaw::MissingSubject => "flaws missing_subject",
        Flaw::LostTag => "flaws lost_tag",
        Flaw::EmptyRepository => "flaws empty_repository",
        Flaw::Untagged => "flaws untagged",
    }
}

/// How many flaws of each kind there are.
pub(super) fn flaw_counts(meta: &impl ReadableTable<OneKey, u64>) -> Result<FlawCounts, Failure> {
    let mut counts = FlawCounts::default();
    for flaw in Flaw::ALL {
        *counts.of_mut(flaw) = number(meta, flaw_count(flaw))?;
    }
    Ok(counts)
}

/// Reads a row.
pub(super) fn decode<T: DeserializeOwned>(what: impl FnOnce() -> String, bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|cause| Failure::corrupt(what(), cause))
}

/// Writes a row.
pub(super) fn encode<T: Serialize>(what: &'static str, row: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(row).map_err(|cause| Failure::corrupt(what, cause))
}

/// The first name behind all keys of this repository: no name contains a NUL.
pub(super) fn behind(repository: &RepositoryName) -> String {
    format!("{repository}\0")
}

/// A row by one key.
pub(super) fn row<T: DeserializeOwned>(
    table: &impl ReadableTable<OneKey, Json>,
    what: &'static str,
    key: &str,
) -> Result<Option<T>, Failure> {
    let found = table.get(key)?;
    found.map(|row| decode(|| format!("{what} row of `{key}`"), row.value())).transpose()
}

/// A row of a repository.
pub(super) fn row_in<T: DeserializeOwned>(
    table: &impl ReadableTable<TwoKeys, Json>,
    what: &'static str,
    repository: &RepositoryName,
    key: &str,
) -> Result<Option<T>, Failure> {
    let found = table.get((repository.as_str(), key))?;
    found.map(|row| decode(|| format!("{what} row of `{key}` in `{repository}`"), row.value())).transpose()
}

/// What is known of a manifest of a repository, and what it says.
pub(super) fn manifest(
    table: &impl ReadableTable<TwoKeys, ManifestRows>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<(ManifestRow, Document)>, Failure> {
    let Some(rows) = table.get((repository.as_str(), digest.as_str()))? else { return Ok(None) };
    let (row, document, _) = rows.value();
    let row = decode(|| format!("manifest row of `{digest}` in `{repository}`"), row)?;
    Ok(Some((row, decode_document(repository, digest, document)?)))
}

/// Reads what a manifest says.
pub(super) fn decode_document(
    repository: &RepositoryName,
    digest: &Digest,
    document: &[u8],
) -> Result<Document, Failure> {
    decode(|| format!("document of `{digest}` in `{repository}`"), document)
}

/// At most `limit` tags that point to a manifest, in bytewise order.
pub(super) fn tags_of(
    table: &impl ReadableTable<ThreeKeys, ()>,
    repository: &RepositoryName,
    digest: &Digest,
    limit: usize,
) -> Result<Vec<Tag>, Failure> {
    let (name, end) = (repository.as_str(), behind(repository));
    let mut tags = Vec::new();
    for entry in table.range((name, digest.as_str(), "")..(end.as_str(), "", ""))? {
        let (key, _) = entry?;
        let (_, pointed, tag) = key.value();
        if pointed != digest.as_str() || tags.len() == limit {
            break;
        }
        tags.push(stored_tag(tag)?);
    }
    Ok(tags)
}

/// The event with this number.
pub(super) fn event(table: &impl ReadableTable<u64, Json>, sequence: u64) -> Result<Option<Event>, Failure> {
    let found = table.get(sequence)?;
    found.map(|row| decode(|| format!("event {sequence}"), row.value())).transpose()
}

/// A number in `META`; zero before it was first written.
pub(super) fn number(table: &impl ReadableTable<OneKey, u64>, key: &str) -> Result<u64, Failure> {
    Ok(table.get(key)?.map_or(0, |number| number.value()))
}

/// Reads what is kept of a hint.
pub(super) fn decode_hint(repository: &str, reference: &str, row: &[u8]) -> Result<HintRow, Failure> {
    decode(|| format!("hint about `{reference}` in `{repository}`"), row)
}

/// A number that stands for no kind of sweep.
#[derive(Debug, thiserror::Error)]
#[error("{0} stands for no kind of sweep")]
struct UnknownSweepKind(u64);

/// Which sweeps are asked for. In a file that has not had it yet, none.
pub(super) fn sweep_queue(meta: &impl ReadableTable<OneKey, u64>) -> Result<SweepQueue, Failure> {
    let kind = |key| match number(meta, key)? {
        0 => Ok(None),
        1 => Ok(Some(SweepKind::Shallow)),
        2 => Ok(Some(SweepKind::Deep)),
        other => Err(Failure::corrupt(format!("number `{key}`"), UnknownSweepKind(other))),
    };
    Ok(SweepQueue {
        number: number(meta, META_SWEEP)?,
        requested: kind(META_SWEEP_REQUESTED)?,
        unfinished: kind(META_SWEEP_UNFINISHED)?,
        numbered_since: meta.get(META_SWEEPS_SINCE)?.map(|since| Timestamp::from_milliseconds(since.value())),
    })
}

/// Keeps which sweeps are asked for.
pub(super) fn write_sweep_queue(
    meta: &mut Table<'_, OneKey, u64>,
    queue: &SweepQueue,
) -> Result<(), Failure> {
    meta.insert(META_SWEEP, queue.number)?;
    meta.insert(META_SWEEP_REQUESTED, sweep_kind_number(queue.requested))?;
    meta.insert(META_SWEEP_UNFINISHED, sweep_kind_number(queue.unfinished))?;
    if let Some(since) = queue.numbered_since {
        meta.insert(META_SWEEPS_SINCE, since.as_milliseconds())?;
    }
    Ok(())
}

/// The number that stands for a kind of sweep, or for none.
const fn sweep_kind_number(kind: Option<SweepKind>) -> u64 {
    match kind {
        None => 0,
        Some(SweepKind::Shallow) => 1,
        Some(SweepKind::Deep) => 2,
    }
}

/// A tag or digest from a key.
pub(super) fn stored_reference(text: &str) -> Result<Reference, Failure> {
    Reference::parse(text).map_err(|cause| Failure::corrupt("reference key", cause))
}

/// A tag from a key.
pub(super) fn stored_tag(text: &str) -> Result<Tag, Failure> {
    Tag::parse(text).map_err(|cause| Failure::corrupt("tag key", cause))
}

/// A digest from a key.
pub(super) fn stored_digest(text: &str) -> Result<Digest, Failure> {
    Digest::parse(text).map_err(|cause| Failure::corrupt("digest key", cause))
}

/// A repository name from a key.
pub(super) fn stored_name(text: &str) -> Result<RepositoryName, Failure> {
    RepositoryName::parse(text).map_err(|cause| Failure::corrupt("repository key", cause))
}

/// A table that a file of an earlier program may lack.
pub(super) fn optional<K: Key + 'static, V: Value + 'static>(
    read: &ReadTransaction,
    table: TableDefinition<'static, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>, Failure> {
    match read.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
