//! The tables of the record in a write transaction: what they hold about what a change touches, and the rows that change.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::super::failure::Failure;
use super::super::snapshot::NotThere;
use super::super::tables::{
    AgeKeys, BLOBS, CHILDREN, EVENTS, EVENTS_BY_REPOSITORY, FLAWS, IMAGES, INTENTS, Json, MANIFESTS, META,
    META_IMAGES, META_MISSING_MANIFESTS, META_MISSING_TAGS, META_TIME, ManifestRows, OneKey, REFERRERS,
    REPOSITORIES, TAGS, TAGS_BY_MANIFEST, TOMBSTONES, TOMBSTONES_BY_AGE, ThreeKeys, TwoKeys, behind, decode,
    encode, manifest, number, row, row_in, tags_of,
};
use super::on_demand::OnDemand;
use crate::clock::Timestamp;
use crate::oci::{Digest, Document, Manifest, RepositoryName, Tag};
use crate::store::day::DayCounts;
use crate::store::image::platform_of;
use crate::store::ledger::RowChange;
use crate::store::row::{BlobRow, ManifestRow, RepositoryRow, TagRow};
use crate::store::tombstone::{Buried, Past, Tombstone, is_over};
use crate::store::{FlawCounts, Missing, ReadImage, Sequence};

/// How many keys are collected at once when all of a repository is removed.
const REMOVED: usize = 1_000;

/// The tables of the record in one transaction, each opened when it is first touched.
pub(super) struct Tables<'txn> {
    pub repositories: OnDemand<'txn, OneKey, Json>,
    pub tags: OnDemand<'txn, TwoKeys, Json>,
    pub tags_by_manifest: OnDemand<'txn, ThreeKeys, ()>,
    pub manifests: OnDemand<'txn, TwoKeys, ManifestRows>,
    pub referrers: OnDemand<'txn, ThreeKeys, ()>,
    pub children: OnDemand<'txn, ThreeKeys, ()>,
    pub flaws: OnDemand<'txn, ThreeKeys, ()>,
    blobs: OnDemand<'txn, TwoKeys, Json>,
    images: OnDemand<'txn, TwoKeys, (&'static str, Json)>,
    pub events: OnDemand<'txn, u64, Json>,
    pub events_by_repository: OnDemand<'txn, (&'static str, u64), ()>,
    pub intents: OnDemand<'txn, u64, Json>,
    tombstones: OnDemand<'txn, TwoKeys, Json>,
    tombstones_by_age: OnDemand<'txn, AgeKeys, ()>,
    pub meta: OnDemand<'txn, OneKey, u64>,
    pub transaction: &'txn WriteTransaction,
    /// Manifests of which the flaws may have changed.
    pub touched: BTreeSet<(RepositoryName, Digest)>,
    /// How many flaws of each kind there are, once that was read.
    pub flaw_counts: Option<FlawCounts>,
    /// What happened on which day.
    pub days: BTreeMap<u64, DayCounts>,
}

impl<'txn> Tables<'txn> {
    /// Those of this transaction.
    pub(super) const fn of(transaction: &'txn WriteTransaction) -> Self {
        Self {
            repositories: OnDemand::new(transaction, REPOSITORIES),
            tags: OnDemand::new(transaction, TAGS),
            tags_by_manifest: OnDemand::new(transaction, TAGS_BY_MANIFEST),
            manifests: OnDemand::new(transaction, MANIFESTS),
            referrers: OnDemand::new(transaction, REFERRERS),
            children: OnDemand::new(transaction, CHILDREN),
            flaws: OnDemand::new(transaction, FLAWS),
            blobs: OnDemand::new(transaction, BLOBS),
            images: OnDemand::new(transaction, IMAGES),
            events: OnDemand::new(transaction, EVENTS),
            events_by_repository: OnDemand::new(transaction, EVENTS_BY_REPOSITORY),
            intents: OnDemand::new(transaction, INTENTS),
            tombstones: OnDemand::new(transaction, TOMBSTONES),
            tombstones_by_age: OnDemand::new(transaction, TOMBSTONES_BY_AGE),
            meta: OnDemand::new(transaction, META),
            transaction,
            touched: BTreeSet::new(),
            flaw_counts: None,
            days: BTreeMap::new(),
        }
    }

    /// A repository's row.
    pub(super) fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRow>, Failure> {
        row(self.repositories.read()?, "repository", repository.as_str())
    }

    /// A manifest's row, and what it says.
    pub(super) fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(ManifestRow, Document)>, Failure> {
        manifest(self.manifests.read()?, repository, digest)
    }

    /// A tag's row.
    pub(super) fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRow>, Failure> {
        row_in(self.tags.read()?, "tag", repository, tag.as_str())
    }

    /// All tags that point to a manifest.
    pub(super) fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, Failure> {
        tags_of(self.tags_by_manifest.read()?, repository, digest, usize::MAX)
    }

    /// A blob's row.
    pub(super) fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<BlobRow>, Failure> {
        row_in(self.blobs.read()?, "blob", repository, digest.as_str())
    }

    /// What is left of something that went.
    pub(super) fn tombstone(
        &self,
        repository: &RepositoryName,
        buried: &Buried,
    ) -> Result<Option<Tombstone>, Failure> {
        // There is none as a rule, which costs no look at a page.
        if self.tombstones.read()?.is_empty()? {
            return Ok(None);
        }
        row_in(self.tombstones.read()?, "tombstone", repository, buried.as_str())
    }

    /// What is left of tags that pointed to a manifest.
    pub(super) fn tombstones_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<(Tag, Tombstone)>, Failure> {
        let (name, end) = (repository.as_str(), behind(repository));
        let mut found = Vec::new();
        for entry in self.tombstones.read()?.range((name, "")..(end.as_str(), ""))? {
            let (key, row) = entry?;
            let Ok(tag) = Tag::parse(key.value().1) else { continue };
            let tombstone: Tombstone =
                decode(|| format!("tombstone of `{tag}` in `{repository}`"), row.value())?;
            if matches!(&tombstone.past, Past::Tag(row) if row.digest == *digest) {
                found.push((tag, tombstone));
            }
        }
        Ok(found)
    }

    /// Counts how much is missing in all, when that of a repository changes.
    pub(super) fn count_missing(&mut self, before: Missing, after: Missing) -> Result<Missing, Failure> {
        let mut sum = |key, before: u64, after: u64| {
            let sum = number(self.meta.read()?, key)?.saturating_add(after).saturating_sub(before);
            self.meta.write()?.insert(key, sum)?;
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
        self.tombstones.write()?.insert((name, reference), encode("tombstone", tombstone)?.as_slice())?;
        self.tombstones_by_age.write()?.insert((tombstone.at.as_milliseconds(), name, reference), ())?;
        let held = self.meta.read()?.get(META_TIME)?.map(|held| Timestamp::from_milliseconds(held.value()));
        loop {
            let oldest = self.tombstones_by_age.read()?.first()?.map(|(key, _)| {
                let (at, name, reference) = key.value();
                (at, name.to_owned(), reference.to_owned())
            });
            let Some((at, name, reference)) = oldest else { return Ok(()) };
            if !is_over(Timestamp::from_milliseconds(at), self.tombstones.read()?.len()?, now, held) {
                return Ok(());
            }
            self.tombstones.write()?.remove((name.as_str(), reference.as_str()))?;
            self.tombstones_by_age.write()?.remove((at, name.as_str(), reference.as_str()))?;
        }
    }

    /// Writes one row, or removes it.
    pub(super) fn write(
        &mut self,
        repository: &RepositoryName,
        change: RowChange,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let name = repository.as_str();
        match change {
            RowChange::Repository(row) => {
                let before = self.repository(repository)?.map_or(0, |before| before.bytes);
                self.count_bytes(before, row.bytes)?;
                self.note_repository(repository, &row)?;
                self.repositories.write()?.insert(name, encode("repository row", &row)?.as_slice())?;
            }
            RowChange::RepositoryRemoved => {
                self.keep_deleted_manifests_of(repository, now)?;
                self.remove_repository(repository)?;
            }
            RowChange::Tag { tag, row, previous } => {
                self.note_tag(repository, tag.as_str(), &row)?;
                self.tags.write()?.insert((name, tag.as_str()), encode("tag row", &row)?.as_slice())?;
                if let Some(previous) = previous {
                    self.note_touched(repository, &previous);
                    self.tags_by_manifest.write()?.remove((name, previous.as_str(), tag.as_str()))?;
                }
                self.tags_by_manifest.write()?.insert((name, row.digest.as_str(), tag.as_str()), ())?;
            }
            RowChange::TagRemoved { tag, digest } => {
                self.note_tag_removed(repository, tag.as_str(), &digest)?;
                self.tags.write()?.remove((name, tag.as_str()))?;
                self.tags_by_manifest.write()?.remove((name, digest.as_str(), tag.as_str()))?;
            }
            RowChange::Manifest { manifest, row } => self.write_manifest(repository, &manifest, &row)?,
            RowChange::ManifestRow { digest, row } => self.write_manifest_row(repository, &digest, &row)?,
            RowChange::ManifestRemoved { digest, subject } => {
                self.note_manifest_removed(repository, &digest)?;
                self.keep_deleted_manifest(repository, &digest, now)?;
                self.manifests.write()?.remove((name, digest.as_str()))?;
                self.images.write()?.remove((name, digest.as_str()))?;
                if let Some(subject) = subject {
                    self.referrers.write()?.remove((name, subject.as_str(), digest.as_str()))?;
                }
            }
            RowChange::Blob { digest, row } => {
                self.blobs.write()?.insert((name, digest.as_str()), encode("blob row", &row)?.as_slice())?;
            }
            RowChange::BlobRemoved { digest } => {
                self.blobs.write()?.remove((name, digest.as_str()))?;
            }
            RowChange::Tombstone { buried, tombstone } => self.bury(repository, &buried, &tombstone, now)?,
            RowChange::TombstoneRemoved { buried, at } => {
                let reference = buried.as_str();
                self.tombstones.write()?.remove((name, reference))?;
                self.tombstones_by_age.write()?.remove((at.as_milliseconds(), name, reference))?;
            }
        }
        Ok(())
    }

    /// Keeps what images say of themselves, of those that are recorded, and up to which event they were read.
    pub(super) fn keep_images(&mut self, images: &[ReadImage], until: Sequence) -> Result<(), Failure> {
        for ReadImage { repository, digest, config } in images {
            let key = (repository.as_str(), digest.as_str());
            if self.manifests.read()?.get(key)?.is_some() {
                let platform = platform_of(config.as_ref()).unwrap_or_default();
                self.images.write()?.insert(key, (platform.as_str(), encode("image", config)?.as_slice()))?;
            }
        }
        self.meta.write()?.insert(META_IMAGES, until.get())?;
        Ok(())
    }

    fn write_manifest(
        &mut self,
        repository: &RepositoryName,
        manifest: &Manifest,
        row: &ManifestRow,
    ) -> Result<(), Failure> {
        let (name, digest) = (repository.as_str(), manifest.digest.as_str());
        let row = encode("manifest row", row)?;
        let document = encode("document", &manifest.document)?;
        self.manifests
            .write()?
            .insert((name, digest), (row.as_slice(), document.as_slice(), manifest.bytes.as_ref()))?;
        self.note_manifest(repository, manifest)?;
        if let Some(subject) = &manifest.document.subject {
            self.referrers.write()?.insert((name, subject.digest.as_str(), digest), ())?;
        }
        Ok(())
    }

    /// The manifest itself stays as it is.
    fn write_manifest_row(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        row: &ManifestRow,
    ) -> Result<(), Failure> {
        let key = (repository.as_str(), digest.as_str());
        let kept = self.manifests.read()?.get(key)?.map(|rows| {
            let (_, document, bytes) = rows.value();
            (document.to_vec(), bytes.to_vec())
        });
        let (document, bytes) =
            kept.ok_or_else(|| Failure::corrupt(format!("manifest `{digest}` in `{repository}`"), NotThere))?;
        let row = encode("manifest row", row)?;
        self.manifests.write()?.insert(key, (row.as_slice(), document.as_slice(), bytes.as_slice()))?;
        Ok(())
    }

    fn remove_repository(&mut self, repository: &RepositoryName) -> Result<(), Failure> {
        let (name, end) = (repository.as_str(), behind(repository));
        let (two, three) = ((name, "")..(end.as_str(), ""), (name, "", "")..(end.as_str(), "", ""));
        let before = self.repository(repository)?.map_or(0, |before| before.bytes);
        self.count_bytes(before, 0)?;
        self.remove_flaws_of(repository)?;
        self.repositories.write()?.remove(name)?;
        remove_two(self.tags.write()?, two.clone())?;
        remove_three(self.tags_by_manifest.write()?, three.clone())?;
        remove_two(self.manifests.write()?, two.clone())?;
        remove_three(self.referrers.write()?, three)?;
        remove_two(self.images.write()?, two.clone())?;
        remove_two(self.blobs.write()?, two)
    }
}

/// Removes what lies between two keys. One by one: when redb's own way to do that meets a damaged page it panics, and
/// again while the stack unwinds, which ends the process.
pub(super) fn remove_two<V: redb::Value + 'static>(
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

/// The same for keys of three parts. Answers how many there were.
pub(super) fn remove_three(
    table: &mut Table<'_, ThreeKeys, ()>,
    keys: Range<(&str, &str, &str)>,
) -> Result<u64, Failure> {
    let mut removed = 0;
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
        removed += some.len() as u64;
        if some.len() < REMOVED {
            return Ok(removed);
        }
    }
}
