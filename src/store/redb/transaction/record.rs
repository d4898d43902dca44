//! The tables of the record in a write transaction: what they hold about what a change touches, and the rows that change.

use std::ops::Range;

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::super::failure::Failure;
use super::super::snapshot::NotThere;
use super::super::tables::{
    AgeKeys, BLOBS, EVENTS, EVENTS_BY_REPOSITORY, INTENTS, Json, MANIFESTS, META, META_MISSING_MANIFESTS,
    META_MISSING_TAGS, META_TIME, ManifestRows, OneKey, REFERRERS, REPOSITORIES, TAGS, TAGS_BY_MANIFEST,
    TOMBSTONES, TOMBSTONES_BY_AGE, ThreeKeys, TwoKeys, behind, decode, encode, manifest, number, row, row_in,
    tags_of,
};
use crate::clock::Timestamp;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::effect::{Held, RowChange};
use crate::store::row::{BlobRow, RepositoryRow};
use crate::store::tombstone::{Buried, MAXIMUM_TOMBSTONES, Past, TOMBSTONE_AGE, Tombstone};
use crate::store::{Change, Missing};

/// How many keys are collected at once when all of a repository is removed.
const REMOVED: usize = 1_000;

/// The tables of the record, open in one transaction.
pub(super) struct Tables<'txn> {
    pub repositories: Table<'txn, OneKey, Json>,
    pub tags: Table<'txn, TwoKeys, Json>,
    tags_by_manifest: Table<'txn, ThreeKeys, ()>,
    manifests: Table<'txn, TwoKeys, ManifestRows>,
    referrers: Table<'txn, ThreeKeys, ()>,
    blobs: Table<'txn, TwoKeys, Json>,
    pub events: Table<'txn, u64, Json>,
    pub events_by_repository: Table<'txn, (&'static str, u64), ()>,
    pub intents: Table<'txn, u64, Json>,
    tombstones: Table<'txn, TwoKeys, Json>,
    tombstones_by_age: Table<'txn, AgeKeys, ()>,
    pub meta: Table<'txn, OneKey, u64>,
}

impl<'txn> Tables<'txn> {
    /// Opens them.
    pub fn open(transaction: &'txn WriteTransaction) -> Result<Self, Failure> {
        Ok(Self {
            repositories: transaction.open_table(REPOSITORIES)?,
            tags: transaction.open_table(TAGS)?,
            tags_by_manifest: transaction.open_table(TAGS_BY_MANIFEST)?,
            manifests: transaction.open_table(MANIFESTS)?,
            referrers: transaction.open_table(REFERRERS)?,
            blobs: transaction.open_table(BLOBS)?,
            events: transaction.open_table(EVENTS)?,
            events_by_repository: transaction.open_table(EVENTS_BY_REPOSITORY)?,
            intents: transaction.open_table(INTENTS)?,
            tombstones: transaction.open_table(TOMBSTONES)?,
            tombstones_by_age: transaction.open_table(TOMBSTONES_BY_AGE)?,
            meta: transaction.open_table(META)?,
        })
    }

    /// Reads what the record holds about what a change touches.
    pub fn held<'c>(&self, change: &'c Change) -> Result<(&'c RepositoryName, Held), Failure> {
        let mut held = Held::default();
        let repository = match change {
            Change::ManifestPut { repository, manifest, tags } => {
                held.manifest = self::manifest(&self.manifests, repository, &manifest.digest)?;
                self.hold_tags(&mut held, repository, tags)?;
                self.hold_tombstone(&mut held, repository, Buried::Manifest(manifest.digest.clone()))?;
                self.hold_tombstone(&mut held, repository, Buried::Repository)?;
                if held.manifest.is_none() {
                    self.hold_blobs(&mut held, repository, manifest.document.blobs().into_keys())?;
                }
                repository
            }
            Change::TagDeleted { repository, tag } => {
                self.hold_tags(&mut held, repository, std::slice::from_ref(tag))?;
                repository
            }
            Change::ManifestDeleted { repository, digest } => {
                held.manifest = self::manifest(&self.manifests, repository, digest)?;
                self.hold_tombstone(&mut held, repository, Buried::Manifest(digest.clone()))?;
                self.hold_tombstones_of(&mut held, repository, digest)?;
                if let Some((_, document)) = held.manifest.clone() {
                    let tags = tags_of(&self.tags_by_manifest, repository, digest, usize::MAX)?;
                    self.hold_tags(&mut held, repository, &tags)?;
                    self.hold_blobs(&mut held, repository, document.blobs().into_keys())?;
                }
                repository
            }
            Change::ReferenceMissing { repository, reference }
            | Change::ReferencePresent { repository, reference } => {
                match reference {
                    Reference::Tag(tag) => {
                        self.hold_tags(&mut held, repository, std::slice::from_ref(tag))?;
                    }
                    Reference::Digest(digest) => {
                        held.manifest = self::manifest(&self.manifests, repository, digest)?;
                    }
                }
                repository
            }
            Change::RepositoryFound { repository } | Change::RepositoryGone { repository } => {
                self.hold_tombstone(&mut held, repository, Buried::Repository)?;
                repository
            }
        };
        held.repository = row::<RepositoryRow>(&self.repositories, "repository", repository.as_str())?;
        Ok((repository, held))
    }

    fn hold_tags(&self, held: &mut Held, repository: &RepositoryName, tags: &[Tag]) -> Result<(), Failure> {
        for tag in tags {
            if let Some(row) = row_in(&self.tags, "tag", repository, tag.as_str())? {
                held.tags.insert(tag.clone(), row);
            }
            self.hold_tombstone(held, repository, Buried::Tag(tag.clone()))?;
        }
        Ok(())
    }

    fn hold_tombstone(
        &self,
        held: &mut Held,
        repository: &RepositoryName,
        buried: Buried,
    ) -> Result<(), Failure> {
        // There is none as a rule, which costs no look at a page.
        if !self.tombstones.is_empty()?
            && let Some(row) = row_in(&self.tombstones, "tombstone", repository, buried.as_str())?
        {
            held.tombstones.insert(buried, row);
        }
        Ok(())
    }

    /// Reads the tombstones of tags that pointed to a manifest.
    fn hold_tombstones_of(
        &self,
        held: &mut Held,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), Failure> {
        let (name, end) = (repository.as_str(), behind(repository));
        for entry in self.tombstones.range((name, "")..(end.as_str(), ""))? {
            let (key, row) = entry?;
            let Ok(tag) = Tag::parse(key.value().1) else { continue };
            let tombstone: Tombstone =
                decode(|| format!("tombstone of `{tag}` in `{repository}`"), row.value())?;
            if matches!(&tombstone.past, Past::Tag(row) if row.digest == *digest) {
                held.tombstones.insert(Buried::Tag(tag), tombstone);
            }
        }
        Ok(())
    }

    /// Counts how much is missing in all, when that of a repository changes.
    pub fn count_missing(&mut self, before: Missing, after: Missing) -> Result<Missing, Failure> {
        let mut sum = |key, before: u64, after: u64| {
            let sum = number(&self.meta, key)?.saturating_add(after).saturating_sub(before);
            self.meta.insert(key, sum)?;
            Ok::<_, Failure>(sum)
        };
        Ok(Missing {
            tags: sum(META_MISSING_TAGS, before.tags, after.tags)?,
            manifests: sum(META_MISSING_MANIFESTS, before.manifests, after.manifests)?,
        })
    }

    /// Keeps what was known of something that went, and lets go of the oldest where there are too many.
    fn bury(
        &mut self,
        repository: &RepositoryName,
        buried: &Buried,
        tombstone: &Tombstone,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let (name, reference) = (repository.as_str(), buried.as_str());
        self.tombstones.insert((name, reference), encode("tombstone", tombstone)?.as_slice())?;
        self.tombstones_by_age.insert((tombstone.at.as_milliseconds(), name, reference), ())?;
        // A clock that has leapt makes nothing old. Without a time that is known to have held, there was no door yet.
        let now =
            self.meta.get(META_TIME)?.map_or(now, |held| now.min(Timestamp::from_milliseconds(held.value())));
        loop {
            let oldest = self.tombstones_by_age.first()?.map(|(key, _)| {
                let (at, name, reference) = key.value();
                (at, name.to_owned(), reference.to_owned())
            });
            let Some((at, name, reference)) = oldest else { return Ok(()) };
            let is_old = now.since(Timestamp::from_milliseconds(at)) > TOMBSTONE_AGE;
            if !is_old && self.tombstones.len()? <= MAXIMUM_TOMBSTONES {
                return Ok(());
            }
            self.tombstones.remove((name.as_str(), reference.as_str()))?;
            self.tombstones_by_age.remove((at, name.as_str(), reference.as_str()))?;
        }
    }

    fn hold_blobs<'d>(
        &self,
        held: &mut Held,
        repository: &RepositoryName,
        digests: impl Iterator<Item = &'d Digest>,
    ) -> Result<(), Failure> {
        for digest in digests {
            if let Some(row) = row_in::<BlobRow>(&self.blobs, "blob", repository, digest.as_str())? {
                held.blobs.insert(digest.clone(), row);
            }
        }
        Ok(())
    }

    /// Writes one row, or removes it.
    pub fn write(
        &mut self,
        repository: &RepositoryName,
        change: RowChange,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let name = repository.as_str();
        match change {
            RowChange::Repository(row) => {
                self.repositories.insert(name, encode("repository row", &row)?.as_slice())?;
            }
            RowChange::RepositoryRemoved => self.remove_repository(repository)?,
            RowChange::Tag { tag, row, previous } => {
                self.tags.insert((name, tag.as_str()), encode("tag row", &row)?.as_slice())?;
                if let Some(previous) = previous {
                    self.tags_by_manifest.remove((name, previous.as_str(), tag.as_str()))?;
                }
                self.tags_by_manifest.insert((name, row.digest.as_str(), tag.as_str()), ())?;
            }
            RowChange::TagRemoved { tag, digest } => {
                self.tags.remove((name, tag.as_str()))?;
                self.tags_by_manifest.remove((name, digest.as_str(), tag.as_str()))?;
            }
            RowChange::Manifest { manifest, row } => {
                let digest = manifest.digest.as_str();
                let row = encode("manifest row", &row)?;
                let document = encode("document", &manifest.document)?;
                let rows = (row.as_slice(), document.as_slice(), manifest.bytes.as_ref());
                self.manifests.insert((name, digest), rows)?;
                if let Some(subject) = &manifest.document.subject {
                    self.referrers.insert((name, subject.digest.as_str(), digest), ())?;
                }
            }
            RowChange::ManifestRow { digest, row } => {
                let key = (name, digest.as_str());
                let kept = self.manifests.get(key)?.map(|rows| {
                    let (_, document, bytes) = rows.value();
                    (document.to_vec(), bytes.to_vec())
                });
                let (document, bytes) = kept.ok_or_else(|| {
                    Failure::corrupt(format!("manifest `{digest}` in `{repository}`"), NotThere)
                })?;
                let row = encode("manifest row", &row)?;
                self.manifests.insert(key, (row.as_slice(), document.as_slice(), bytes.as_slice()))?;
            }
            RowChange::ManifestRemoved { digest, subject } => {
                self.manifests.remove((name, digest.as_str()))?;
                if let Some(subject) = subject {
                    self.referrers.remove((name, subject.as_str(), digest.as_str()))?;
                }
            }
            RowChange::Blob { digest, row } => {
                self.blobs.insert((name, digest.as_str()), encode("blob row", &row)?.as_slice())?;
            }
            RowChange::BlobRemoved { digest } => {
                self.blobs.remove((name, digest.as_str()))?;
            }
            RowChange::Tombstone { buried, tombstone } => self.bury(repository, &buried, &tombstone, now)?,
            RowChange::TombstoneRemoved { buried, at } => {
                let reference = buried.as_str();
                self.tombstones.remove((name, reference))?;
                self.tombstones_by_age.remove((at.as_milliseconds(), name, reference))?;
            }
        }
        Ok(())
    }

    fn remove_repository(&mut self, repository: &RepositoryName) -> Result<(), Failure> {
        let (name, end) = (repository.as_str(), behind(repository));
        let (two, three) = ((name, "")..(end.as_str(), ""), (name, "", "")..(end.as_str(), "", ""));
        self.repositories.remove(name)?;
        remove_two(&mut self.tags, two.clone())?;
        remove_three(&mut self.tags_by_manifest, three.clone())?;
        remove_two(&mut self.manifests, two.clone())?;
        remove_three(&mut self.referrers, three)?;
        remove_two(&mut self.blobs, two)
    }
}

/// Removes what lies between two keys. One by one: when redb's own way to do that meets a damaged page it panics, and
/// again while the stack unwinds, which ends the process.
fn remove_two<V: redb::Value + 'static>(
    table: &mut Table<'_, TwoKeys, V>,
    keys: Range<(&str, &str)>,
) -> Result<(), Failure> {
    loop {
        let mut some = Vec::new();
        for entry in table.range(keys.clone())?.take(REMOVED) {
            let (key, _) = entry?;
            let (first, second) = key.value();
            some.push((first.to_owned(), second.to_owned()));
        }
        for (first, second) in &some {
            table.remove((first.as_str(), second.as_str()))?;
        }
        if some.len() < REMOVED {
            return Ok(());
        }
    }
}

/// The same for keys of three parts.
fn remove_three(
    table: &mut Table<'_, ThreeKeys, ()>,
    keys: Range<(&str, &str, &str)>,
) -> Result<(), Failure> {
    loop {
        let mut some = Vec::new();
        for entry in table.range(keys.clone())?.take(REMOVED) {
            let (key, ()) = (entry?.0, ());
            let (first, second, third) = key.value();
            some.push((first.to_owned(), second.to_owned(), third.to_owned()));
        }
        for (first, second, third) in &some {
            table.remove((first.as_str(), second.as_str(), third.as_str()))?;
        }
        if some.len() < REMOVED {
            return Ok(());
        }
    }
}
