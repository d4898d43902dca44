//! Reading: every method sees one consistent state of the file, the last durable one.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata};

use super::failure::Failure;
use super::tables::{
    ACCOUNTS, EPOCHS, EVENTS, EVENTS_BY_REPOSITORY, HINTS, MANIFESTS, MAXIMUM_EPOCHS, META, META_ACCEPTED,
    META_CLOCK_AT, META_CLOCK_BOUND, META_CLOCK_OFFSET, META_IDENTITY_HIGH, META_IDENTITY_LOW,
    META_MISSING_MANIFESTS, META_MISSING_TAGS, META_SEQUENCE, META_TIME, ManifestRows, OneKey, REFERRERS,
    REPOSITORIES, SWEEP, SWEEP_CHECKPOINT, SWEEP_MARKS, TAGS, TAGS_BY_MANIFEST, ThreeKeys, TwoKeys,
    auth_events, behind, decode, decode_document, event, number, row, row_in, stored_digest, stored_name,
    stored_reference, stored_tag, tags_of,
};
use crate::clock::{Estimate, Timestamp};
use crate::oci::{Digest, Manifest, RepositoryName, Tag};
use crate::store::record::{MAXIMUM_MANIFEST_TAGS, MAXIMUM_PAGE};
use crate::store::row::{ManifestRow, RepositoryRow, TagRow};
use crate::store::{
    Account, AccountKind, AuthEvent, AuthEventKind, Epoch, Event, Hint, HintedReference, History, KeptSweep,
    ManifestRecord, Missing, Page, PageRequest, RepositoryRecord, Sequence, Statistics, TagRecord,
};

/// The most bytes of items in one page, as they are kept: one that is larger is a page by itself. An index names any number of
/// platforms, which its tags have as well.
const MAXIMUM_PAGE_BYTES: usize = 1024 * 1024;

/// One state of the file.
pub(super) struct Snapshot(pub(super) ReadTransaction);

impl Snapshot {
    pub fn repository(&self, name: &RepositoryName) -> Result<Option<RepositoryRecord>, Failure> {
        let found: Option<RepositoryRow> =
            row(&self.0.open_table(REPOSITORIES)?, "repository", name.as_str())?;
        Ok(found.map(|row| row.record(name.clone())))
    }

    pub fn repositories(
        &self,
        containing: Option<&str>,
        page: &PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, Failure> {
        let table = self.0.open_table(REPOSITORIES)?;
        let after = page.after.as_ref().map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
        let mut filling = Filling::new(page);
        for entry in table.range::<&str>((after, Bound::Unbounded))? {
            let (name, row) = entry?;
            if containing.is_some_and(|part| !name.value().contains(part)) {
                continue;
            }
            if filling.is_full() {
                return Ok(filling.part());
            }
            let name = stored_name(name.value())?;
            let row: RepositoryRow = decode(|| format!("repository row of `{name}`"), row.value())?;
            filling.push(name.clone(), row.record(name));
        }
        Ok(filling.end())
    }

    /// Repositories of which the registry denies something.
    pub fn repositories_with_missing(
        &self,
        page: &PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, Failure> {
        let table = self.0.open_table(REPOSITORIES)?;
        let after = page.after.as_ref().map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
        let mut filling = Filling::new(page);
        for entry in table.range::<&str>((after, Bound::Unbounded))? {
            let (name, row) = entry?;
            let name = stored_name(name.value())?;
            let row: RepositoryRow = decode(|| format!("repository row of `{name}`"), row.value())?;
            if row.missing().is_none() {
                continue;
            }
            if filling.is_full() {
                return Ok(filling.part());
            }
            filling.push(name.clone(), row.record(name));
        }
        Ok(filling.end())
    }

    /// How much was recorded as gone since then that the door did not carry.
    pub fn found_removals(&self, since: Timestamp) -> Result<Missing, Failure> {
        let mut found = Missing::default();
        for entry in self.0.open_table(EVENTS)?.iter()?.rev() {
            let (sequence, row) = entry?;
            let event: Event = decode(|| format!("event {}", sequence.value()), row.value())?;
            if event.time < since {
                break;
            }
            found.count_removal(&event);
        }
        Ok(found)
    }

    /// Up to which number what was marked as missing is accepted as gone.
    pub fn accepted(&self) -> Result<Sequence, Failure> {
        Ok(Sequence::new(number(&self.0.open_table(META)?, META_ACCEPTED)?))
    }

    pub fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRecord>, Failure> {
        let found: Option<TagRow> = row_in(&self.0.open_table(TAGS)?, "tag", repository, tag.as_str())?;
        Ok(found.map(|row| row.record(tag.clone())))
    }

    pub fn tags(
        &self,
        repository: &RepositoryName,
        page: &PageRequest<Tag>,
    ) -> Result<Page<TagRecord, Tag>, Failure> {
        let table = self.0.open_table(TAGS)?;
        let end = behind(repository);
        let mut filling = Filling::new(page);
        for entry in
            table.range(keys_behind(repository, &end, page.after.as_ref().map_or("", Tag::as_str)))?
        {
            let (key, row) = entry?;
            if filling.is_full() {
                return Ok(filling.part());
            }
            if !filling.has_room(row.value().len()) {
                return Ok(filling.part());
            }
            let tag = stored_tag(key.value().1)?;
            let row: TagRow = decode(|| format!("tag row of `{tag}` in `{repository}`"), row.value())?;
            filling.push(tag.clone(), row.record(tag));
        }
        Ok(filling.end())
    }

    pub fn tag_names(
        &self,
        repository: &RepositoryName,
        page: &PageRequest<Tag>,
    ) -> Result<Page<Tag, Tag>, Failure> {
        let table = self.0.open_table(TAGS)?;
        let end = behind(repository);
        let mut filling = Filling::new(page);
        for entry in
            table.range(keys_behind(repository, &end, page.after.as_ref().map_or("", Tag::as_str)))?
        {
            let (key, _) = entry?;
            if filling.is_full() {
                return Ok(filling.part());
            }
            let tag = stored_tag(key.value().1)?;
            filling.push(tag.clone(), tag);
        }
        Ok(filling.end())
    }

    pub fn unsure_tags(&self, repository: &RepositoryName, tags: &[Tag]) -> Result<Vec<Tag>, Failure> {
        let repositories = self.0.open_table(REPOSITORIES)?;
        let row: Option<RepositoryRow> = row(&repositories, "repository", repository.as_str())?;
        let has_missing = row.is_some_and(|row| row.missing_tags > 0);
        let table = self.0.open_table(TAGS)?;
        let mut unsure = Vec::new();
        for tag in tags {
            let is_unsure = if has_missing {
                let row: Option<TagRow> = row_in(&table, "tag", repository, tag.as_str())?;
                row.is_none_or(|row| row.missing.is_some())
            } else {
                table.get((repository.as_str(), tag.as_str()))?.is_none()
            };
            if is_unsure {
                unsure.push(tag.clone());
            }
        }
        Ok(unsure)
    }

    pub fn hints(&self, page: &PageRequest<HintedReference>) -> Result<Page<Hint, HintedReference>, Failure> {
        let table = self.0.open_table(HINTS)?;
        let after = page.after.as_ref().map(|after| (after.repository.as_str(), after.reference.as_str()));
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut filling = Filling::new(page);
        for entry in table.range::<(&str, &str)>((after, Bound::Unbounded))? {
            let (key, number) = entry?;
            if filling.is_full() {
                return Ok(filling.part());
            }
            let (repository, reference) = key.value();
            let about = HintedReference {
                repository: stored_name(repository)?,
                reference: stored_reference(reference)?,
            };
            filling.push(about.clone(), Hint { about, number: number.value() });
        }
        Ok(filling.end())
    }

    pub fn account(&self, kind: AccountKind, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let table = self.0.open_table(ACCOUNTS)?;
        Ok(table.get((kind.as_str(), key))?.map(|content| content.value().to_vec()))
    }

    pub fn accounts(
        &self,
        kind: AccountKind,
        page: &PageRequest<String>,
    ) -> Result<Page<Account, String>, Failure> {
        let table = self.0.open_table(ACCOUNTS)?;
        let kind = kind.as_str();
        let after = page.after.as_deref();
        let after = after.map_or(Bound::Included((kind, "")), |after| Bound::Excluded((kind, after)));
        let mut filling = Filling::new(page);
        for entry in table.range::<(&str, &str)>((after, Bound::Unbounded))? {
            let (key, content) = entry?;
            let (found, key) = key.value();
            if found != kind {
                break;
            }
            if filling.is_full() {
                return Ok(filling.part());
            }
            let account = Account { key: key.to_owned(), content: content.value().to_vec() };
            filling.push(account.key.clone(), account);
        }
        Ok(filling.end())
    }

    pub fn auth_events(
        &self,
        page: &PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, Failure> {
        let from = page.after.map_or(0, |after| after.get().saturating_add(1));
        let mut filling = Filling::new(page);
        // As many of each kind as there is room for, and one more, which tells whether there is more than that.
        let mut rows = BTreeMap::new();
        for kind in AuthEventKind::ALL {
            for entry in self.0.open_table(auth_events(kind))?.range(from..)?.take(filling.limit + 1) {
                let (number, row) = entry?;
                rows.insert(number.value(), row.value().to_vec());
            }
        }
        for (number, row) in rows {
            if filling.is_full() {
                return Ok(filling.part());
            }
            let number = Sequence::new(number);
            let event = decode(|| format!("event {number} of the gate"), &row)?;
            filling.push(number, (number, event));
        }
        Ok(filling.end())
    }

    pub fn kept_clock(&self) -> Result<Option<Estimate>, Failure> {
        let meta = self.0.open_table(META)?;
        let at = number(&meta, META_CLOCK_AT)?;
        // Nobody has known anything in 1970.
        if at == 0 {
            return Ok(None);
        }
        Ok(Some(Estimate {
            offset: number(&meta, META_CLOCK_OFFSET)?.cast_signed(),
            bound: number(&meta, META_CLOCK_BOUND)?,
            at: Timestamp::from_milliseconds(at),
        }))
    }

    pub fn kept_time(&self) -> Result<Option<Timestamp>, Failure> {
        let time = self.0.open_table(META)?.get(META_TIME)?.map(|time| time.value());
        Ok(time.map(Timestamp::from_milliseconds))
    }

    pub fn kept_sweep(&self) -> Result<Option<KeptSweep>, Failure> {
        let table = self.0.open_table(SWEEP)?;
        let Some(checkpoint) = table.get(SWEEP_CHECKPOINT)? else { return Ok(None) };
        let mut kept = KeptSweep { checkpoint: checkpoint.value().to_vec(), marks: Vec::new() };
        for entry in table.range(SWEEP_MARKS..)? {
            let (_, piece) = entry?;
            let marks = piece.value().as_chunks().0.iter().map(|mark| u64::from_le_bytes(*mark));
            kept.marks.extend(marks);
        }
        Ok(Some(kept))
    }

    pub fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, Failure> {
        tags_of(&self.0.open_table(TAGS_BY_MANIFEST)?, repository, digest, usize::MAX)
    }

    pub fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, Failure> {
        let tables = ManifestTables::open(&self.0)?;
        let found = tables.manifests.get((repository.as_str(), digest.as_str()))?;
        found.map(|rows| tables.record(repository, digest.clone(), rows.value())).transpose()
    }

    pub fn manifests(
        &self,
        repository: &RepositoryName,
        page: &PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, Failure> {
        let tables = ManifestTables::open(&self.0)?;
        let end = behind(repository);
        let after = page.after.as_ref().map_or("", Digest::as_str);
        let mut filling = Filling::new(page);
        for entry in tables.manifests.range(keys_behind(repository, &end, after))? {
            let (key, rows) = entry?;
            if filling.is_full() {
                return Ok(filling.part());
            }
            let digest = stored_digest(key.value().1)?;
            if !filling.has_room(rows.value().1.len()) {
                return Ok(filling.part());
            }
            let record = tables.record(repository, digest.clone(), rows.value())?;
            filling.count(record.tags.iter().map(|tag| tag.as_str().len()).sum());
            filling.push(digest, record);
        }
        Ok(filling.end())
    }

    pub fn manifest_content(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, Failure> {
        let table = self.0.open_table(MANIFESTS)?;
        let Some(rows) = table.get((repository.as_str(), digest.as_str()))? else { return Ok(None) };
        let (_, document, bytes) = rows.value();
        let document = decode_document(repository, digest, document)?;
        Ok(Some(Arc::new(Manifest {
            bytes: Bytes::copy_from_slice(bytes),
            digest: digest.clone(),
            document,
        })))
    }

    pub fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        page: &PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, Failure> {
        let referrers = self.0.open_table(REFERRERS)?;
        let tables = ManifestTables::open(&self.0)?;
        let (name, end) = (repository.as_str(), behind(repository));
        let after = page.after.as_ref().map_or("", Digest::as_str);
        let mut filling = Filling::new(page);
        // No key has an empty third part, so an empty `after` is the beginning.
        let range =
            (Bound::Excluded((name, subject.as_str(), after)), Bound::Excluded((end.as_str(), "", "")));
        for entry in referrers.range(range)? {
            let (key, _) = entry?;
            let (_, about, digest) = key.value();
            if about != subject.as_str() {
                break;
            }
            if filling.is_full() {
                return Ok(filling.part());
            }
            let digest = stored_digest(digest)?;
            let rows = tables.manifests.get((name, digest.as_str()))?.ok_or_else(|| {
                Failure::corrupt(format!("referrer `{digest}` in `{repository}`"), NotThere)
            })?;
            if !filling.has_room(rows.value().1.len()) {
                return Ok(filling.part());
            }
            let record = tables.record(repository, digest.clone(), rows.value())?;
            filling.count(record.tags.iter().map(|tag| tag.as_str().len()).sum());
            filling.push(digest, record);
        }
        Ok(filling.end())
    }

    pub fn events(
        &self,
        repository: Option<&RepositoryName>,
        page: &PageRequest<Sequence>,
    ) -> Result<Page<Event, Sequence>, Failure> {
        let events = self.0.open_table(EVENTS)?;
        let first = page.after.unwrap_or(Sequence::ZERO).next().get();
        let mut filling = Filling::new(page);
        let Some(repository) = repository else {
            for entry in events.range(first..)? {
                let (sequence, row) = entry?;
                if filling.is_full() {
                    return Ok(filling.part());
                }
                if !filling.has_room(row.value().len()) {
                    return Ok(filling.part());
                }
                let sequence = sequence.value();
                filling.push(Sequence::new(sequence), decode(|| format!("event {sequence}"), row.value())?);
            }
            return Ok(filling.end());
        };
        let index = self.0.open_table(EVENTS_BY_REPOSITORY)?;
        for entry in index.range((repository.as_str(), first)..=(repository.as_str(), u64::MAX))? {
            let (key, ()) = (entry?.0, ());
            if filling.is_full() {
                return Ok(filling.part());
            }
            let sequence = key.value().1;
            let event = event(&events, sequence)?
                .ok_or_else(|| Failure::corrupt(format!("event {sequence}"), NotThere))?;
            filling.push(Sequence::new(sequence), event);
        }
        Ok(filling.end())
    }

    pub fn history(&self) -> Result<History, Failure> {
        let meta = self.0.open_table(META)?;
        let identity =
            Epoch::from_halves(number(&meta, META_IDENTITY_HIGH)?, number(&meta, META_IDENTITY_LOW)?);
        let last = self.0.open_table(EPOCHS)?.last()?.map(|(_, epoch)| Epoch::new(epoch.value()));
        Ok(History { identity, epoch: last.unwrap_or(identity) })
    }

    pub fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, Failure> {
        let epochs = self.0.open_table(EPOCHS)?;
        // The last number of the epoch that is looked at.
        let mut end = number(&self.0.open_table(META)?, META_SEQUENCE)?;
        for entry in epochs.iter()?.rev() {
            let (begun, found) = entry?;
            if Epoch::new(found.value()) == epoch {
                return Ok(position.get() <= end);
            }
            end = begun.value();
        }
        let is_whole = epochs.len()? < MAXIMUM_EPOCHS;
        Ok(is_whole && epoch == self.history()?.identity && position.get() <= end)
    }

    /// The sums; open intents are not counted here.
    pub fn statistics(&self) -> Result<Statistics, Failure> {
        Ok(Statistics {
            repositories: self.0.open_table(REPOSITORIES)?.len()?,
            tags: self.0.open_table(TAGS)?.len()?,
            manifests: self.0.open_table(MANIFESTS)?.len()?,
            events: self.0.open_table(EVENTS)?.len()?,
            open_intents: 0,
            hints: self.0.open_table(HINTS)?.len()?,
            missing: missing(&self.0.open_table(META)?)?,
        })
    }
}

/// How much is missing.
pub(super) fn missing(meta: &impl ReadableTable<OneKey, u64>) -> Result<Missing, Failure> {
    Ok(Missing { tags: number(meta, META_MISSING_TAGS)?, manifests: number(meta, META_MISSING_MANIFESTS)? })
}

/// An index names a row that is not there.
#[derive(Debug, thiserror::Error)]
#[error("it is missing")]
pub(super) struct NotThere;

/// The tables that a manifest's record is put together from.
struct ManifestTables {
    manifests: ReadOnlyTable<TwoKeys, ManifestRows>,
    tags: ReadOnlyTable<ThreeKeys, ()>,
}

impl ManifestTables {
    fn open(transaction: &ReadTransaction) -> Result<Self, Failure> {
        Ok(Self {
            manifests: transaction.open_table(MANIFESTS)?,
            tags: transaction.open_table(TAGS_BY_MANIFEST)?,
        })
    }

    fn record(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        (row, document, _): (&[u8], &[u8], &[u8]),
    ) -> Result<ManifestRecord, Failure> {
        let manifest: ManifestRow = decode(|| format!("manifest row of `{digest}` in `{repository}`"), row)?;
        let document = decode_document(repository, &digest, document)?;
        let tags = tags_of(&self.tags, repository, &digest, MAXIMUM_MANIFEST_TAGS)?;
        Ok(manifest.record(digest, document, tags))
    }
}

/// A range of keys of two parts.
type Keys<'a> = (Bound<(&'a str, &'a str)>, Bound<(&'a str, &'a str)>);

/// The keys of a repository behind `after`; `end` is [`behind`] the repository. No key of two parts has an empty
/// second one, so an empty `after` is the beginning.
fn keys_behind<'a>(repository: &'a RepositoryName, end: &'a str, after: &'a str) -> Keys<'a> {
    (Bound::Excluded((repository.as_str(), after)), Bound::Excluded((end, "")))
}

/// A page that is being filled.
struct Filling<T, K> {
    items: Vec<T>,
    last: Option<K>,
    limit: usize,
    bytes: usize,
}

impl<T, K: Clone> Filling<T, K> {
    fn new(page: &PageRequest<K>) -> Self {
        Self { items: Vec::new(), last: page.after.clone(), limit: page.limit.min(MAXIMUM_PAGE), bytes: 0 }
    }

    fn is_full(&self) -> bool {
        self.items.len() == self.limit
    }

    /// Whether an item of so many bytes still belongs to this page: the first does in any case.
    fn has_room(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.items.is_empty() || self.bytes <= MAXIMUM_PAGE_BYTES
    }

    /// Counts so many bytes more of the item that follows.
    fn count(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    fn push(&mut self, key: K, item: T) {
        self.items.push(item);
        self.last = Some(key);
    }

    /// There is more behind it.
    fn part(self) -> Page<T, K> {
        Page { items: self.items, next: self.last }
    }

    /// This was all.
    fn end(self) -> Page<T, K> {
        Page { items: self.items, next: None }
    }
}
