//! One write transaction, as the works that share it see it: what is recorded, and what changes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::failure::Failure;
use super::intents::OpenIntents;
use super::snapshot::NotThere;
use super::tables::{
    ACCOUNTS, AUTH_EVENTS, AgeKeys, BLOBS, EPOCHS, EVENTS, EVENTS_BY_REPOSITORY, HINTS, INTENTS, Json,
    MANIFESTS, MAXIMUM_EPOCHS, META, META_ACCEPTED, META_CLOCK_AT, META_CLOCK_BOUND, META_CLOCK_OFFSET,
    META_HINT, META_MISSING_MANIFESTS, META_MISSING_TAGS, META_SEQUENCE, ManifestRows, OneKey, REFERRERS,
    REPOSITORIES, SWEEP, SWEEP_CHECKPOINT, SWEEP_MARKS, TAGS, TAGS_BY_MANIFEST, TOMBSTONES,
    TOMBSTONES_BY_AGE, ThreeKeys, TwoKeys, behind, decode, encode, event, manifest, number, row, row_in,
    tags_of,
};
use crate::clock::{Estimate, Timestamp};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::effect::{Held, Learnt, RowChange, effect};
use crate::store::row::{BlobRow, Document, RepositoryRow, TagRow, blobs};
use crate::store::tombstone::{Buried, MAXIMUM_TOMBSTONES, Past, TOMBSTONE_AGE, Tombstone};
use crate::store::{
    AccountChange, AuthEvent, Change, Changed, Epoch, Event, Expected, Hint, HintedReference, Intent,
    Missing, Pull, Queued, Retention, Sequence,
};

/// How many keys are collected at once when all of a repository is removed.
const REMOVED: usize = 1_000;

/// A write transaction that is being filled.
pub(super) struct Transaction<'txn, 'store> {
    transaction: &'txn WriteTransaction,
    tables: Tables<'txn>,
    open: &'store OpenIntents,
    epoch: Epoch,
    /// The last number that was given out before it.
    before: Sequence,
    staged: Staged,
}

/// What a transaction changes beside the file, once it is durable.
#[derive(Debug)]
pub(super) struct Staged {
    /// The last sequence number that it gave out.
    pub sequence: Sequence,
    /// Whether it wrote anything.
    pub dirty: bool,
    /// The intents that began.
    pub begun: BTreeMap<Sequence, Intent>,
    /// The intents that were settled.
    pub settled: BTreeSet<Sequence>,
    /// The events that were appended.
    pub events: Vec<Event>,
    /// How much is missing, if that has changed.
    pub missing: Option<Missing>,
}

struct Tables<'txn> {
    repositories: Table<'txn, OneKey, Json>,
    tags: Table<'txn, TwoKeys, Json>,
    tags_by_manifest: Table<'txn, ThreeKeys, ()>,
    manifests: Table<'txn, TwoKeys, ManifestRows>,
    referrers: Table<'txn, ThreeKeys, ()>,
    blobs: Table<'txn, TwoKeys, Json>,
    events: Table<'txn, u64, Json>,
    events_by_repository: Table<'txn, (&'static str, u64), ()>,
    intents: Table<'txn, u64, Json>,
    tombstones: Table<'txn, TwoKeys, Json>,
    tombstones_by_age: Table<'txn, AgeKeys, ()>,
    meta: Table<'txn, OneKey, u64>,
}

impl<'txn, 'store> Transaction<'txn, 'store> {
    /// Opens the tables. What is given out belongs to this epoch.
    pub fn new(
        transaction: &'txn WriteTransaction,
        open: &'store OpenIntents,
        epoch: Epoch,
    ) -> Result<Self, Failure> {
        let tables = Tables {
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
        };
        let sequence = Sequence::new(number(&tables.meta, META_SEQUENCE)?);
        let staged = Staged {
            sequence,
            dirty: false,
            begun: BTreeMap::new(),
            settled: BTreeSet::new(),
            events: Vec::new(),
            missing: None,
        };
        Ok(Self { transaction, tables, open, epoch, before: sequence, staged })
    }

    /// Writes the last sequence number, and says what has to change beside the file.
    pub fn finish(mut self) -> Result<Staged, Failure> {
        if self.staged.dirty {
            self.tables.meta.insert(META_SEQUENCE, self.staged.sequence.get())?;
        }
        if self.staged.sequence > self.before {
            self.begin_epoch()?;
        }
        Ok(self.staged)
    }

    /// Notes the epoch of this process, unless that is done.
    fn begin_epoch(&self) -> Result<(), Failure> {
        let mut epochs = self.transaction.open_table(EPOCHS)?;
        if epochs.last()?.is_some_and(|(_, last)| last.value() == self.epoch.get()) {
            return Ok(());
        }
        epochs.insert(self.before.get(), self.epoch.get())?;
        while epochs.len()? > MAXIMUM_EPOCHS {
            epochs.pop_first()?;
        }
        Ok(())
    }

    /// How many intents are open.
    pub fn open_intents(&self) -> usize {
        (self.open.len() + self.staged.begun.len()).saturating_sub(self.staged.settled.len())
    }

    /// The open intent with this number.
    pub fn intent(&self, sequence: Sequence) -> Option<Intent> {
        if self.staged.settled.contains(&sequence) {
            return None;
        }
        self.staged.begun.get(&sequence).cloned().or_else(|| self.open.get(sequence))
    }

    /// All intents that are open in a repository.
    pub fn intents_of(&self, repository: &RepositoryName) -> Vec<Intent> {
        let begun = self.staged.begun.values().filter(|intent| intent.repository == *repository).cloned();
        let mut intents: Vec<Intent> = self.open.of(repository).into_iter().chain(begun).collect();
        intents.retain(|intent| !self.staged.settled.contains(&intent.sequence));
        intents
    }

    /// The number that the next intent or event gets.
    pub fn next(&self) -> Sequence {
        self.staged.sequence.next()
    }

    /// Adds an intent whose number is [`Transaction::next`].
    pub fn add_intent(&mut self, intent: Intent) -> Result<(), Failure> {
        let row = encode("intent", &intent)?;
        self.tables.intents.insert(intent.sequence.get(), row.as_slice())?;
        self.staged.sequence = intent.sequence;
        self.staged.begun.insert(intent.sequence, intent);
        self.staged.dirty = true;
        Ok(())
    }

    /// Removes an intent.
    pub fn remove_intent(&mut self, sequence: Sequence) -> Result<(), Failure> {
        self.tables.intents.remove(sequence.get())?;
        self.staged.settled.insert(sequence);
        self.staged.dirty = true;
        Ok(())
    }

    /// What the record holds for a tag.
    pub fn points_to(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>, Failure> {
        let row: Option<TagRow> = row_in(&self.tables.tags, "tag", repository, tag.as_str())?;
        Ok(row.map(|row| row.digest))
    }

    /// Looks at the events of a repository behind `since`, oldest first, until `look` breaks.
    pub fn events_since(
        &self,
        repository: &RepositoryName,
        since: Sequence,
        mut look: impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let name = repository.as_str();
        let numbers = (name, since.next().get())..=(name, u64::MAX);
        for entry in self.tables.events_by_repository.range(numbers)? {
            let sequence = entry?.0.value().1;
            let event = event(&self.tables.events, sequence)?
                .ok_or_else(|| Failure::corrupt(format!("event {sequence}"), NotThere))?;
            if look(&event).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Replaces what is kept of a sweep: the checkpoint, and one piece of marks more.
    pub fn keep_sweep(&mut self, checkpoint: &[u8], marks: &[u64]) -> Result<(), Failure> {
        let mut table = self.transaction.open_table(SWEEP)?;
        table.insert(SWEEP_CHECKPOINT, checkpoint)?;
        if !marks.is_empty() {
            // The checkpoint is one of the rows; the others are pieces.
            let piece = format!("{SWEEP_MARKS}{:010}", table.len()?);
            let bytes: Vec<u8> = marks.iter().flat_map(|mark| mark.to_le_bytes()).collect();
            table.insert(piece.as_str(), bytes.as_slice())?;
        }
        self.staged.dirty = true;
        Ok(())
    }

    /// Forgets what is kept of a sweep.
    pub fn forget_sweep(&mut self) -> Result<(), Failure> {
        if !self.transaction.open_table(SWEEP)?.is_empty()? {
            self.transaction.delete_table(SWEEP)?;
            self.transaction.open_table(SWEEP)?;
            self.staged.dirty = true;
        }
        Ok(())
    }

    /// Makes accounts what they are to be, if all are as expected.
    pub fn change_accounts(&mut self, changes: &[AccountChange]) -> Result<Changed, Failure> {
        let mut table = self.transaction.open_table(ACCOUNTS)?;
        for AccountChange { kind, key, expected, .. } in changes {
            let kept = table.get((kind.as_str(), key.as_str()))?;
            let is_as_expected = match expected {
                Expected::Anything => true,
                Expected::Nothing => kept.is_none(),
                Expected::Content(content) => kept.is_some_and(|kept| kept.value() == content.as_slice()),
            };
            if !is_as_expected {
                return Ok(Changed::Overtaken);
            }
        }
        for AccountChange { kind, key, content, .. } in changes {
            let key = (kind.as_str(), key.as_str());
            match content {
                Some(content) => table.insert(key, content.as_slice())?,
                None => table.remove(key)?,
            };
            self.staged.dirty = true;
        }
        Ok(Changed::Made)
    }

    /// Appends what happened at the gate, and purges what is too much or too old.
    pub fn add_auth_events(&mut self, events: &[AuthEvent], keep: Retention) -> Result<(), Failure> {
        let mut table = self.transaction.open_table(AUTH_EVENTS)?;
        let mut last = table.last()?.map_or(0, |(number, _)| number.value());
        for event in events {
            last += 1;
            table.insert(last, encode("event of the gate", event)?.as_slice())?;
        }
        let mut excess = table.len()?.saturating_sub(keep.most);
        let (mut gone, mut spared) = (Vec::new(), Vec::new());
        for entry in table.iter()? {
            let (number, row) = entry?;
            let number = number.value();
            let event: AuthEvent = decode(|| format!("event {number} of the gate"), row.value())?;
            // The last one stays, so that numbers go on.
            if number == last || (excess == 0 && event.time >= keep.since) {
                break;
            }
            if event.kind.is_administrative() && event.time >= keep.since {
                spared.push(number);
                continue;
            }
            gone.push(number);
            excess = excess.saturating_sub(1);
        }
        let excess = usize::try_from(excess).unwrap_or(usize::MAX);
        for number in gone.into_iter().chain(spared.into_iter().take(excess)) {
            table.remove(number)?;
        }
        self.staged.dirty = true;
        Ok(())
    }

    /// Keeps what is known of the registry's clock.
    pub fn keep_clock(&mut self, estimate: Estimate) -> Result<(), Failure> {
        let Estimate { offset, bound, at } = estimate;
        self.tables.meta.insert(META_CLOCK_OFFSET, offset.cast_unsigned())?;
        self.tables.meta.insert(META_CLOCK_BOUND, bound)?;
        self.tables.meta.insert(META_CLOCK_AT, at.as_milliseconds())?;
        self.staged.dirty = true;
        Ok(())
    }

    /// What is missing now is accepted as gone: that gets a number, behind those of all marks.
    pub fn accept_removals(&mut self) -> Result<(), Failure> {
        let until = self.next();
        self.tables.meta.insert(META_ACCEPTED, until.get())?;
        self.staged.sequence = until;
        self.staged.dirty = true;
        Ok(())
    }

    /// Adds pulls to what is recorded.
    pub fn record_pull(&mut self, pull: &Pull) -> Result<(), Failure> {
        let (repository, name) = (&pull.repository, pull.repository.as_str());
        let Some(mut row) = row::<RepositoryRow>(&self.tables.repositories, "repository", name)? else {
            return Ok(());
        };
        row.pulls = row.pulls.saturating_add(pull.count);
        row.last_pull = row.last_pull.max(Some(pull.last));
        self.tables.repositories.insert(name, encode("repository row", &row)?.as_slice())?;
        self.staged.dirty = true;
        let Some(tag) = &pull.tag else { return Ok(()) };
        if let Some(mut row) = row_in::<TagRow>(&self.tables.tags, "tag", repository, tag.as_str())? {
            row.pulls = row.pulls.saturating_add(pull.count);
            row.last_pull = row.last_pull.max(Some(pull.last));
            self.tables.tags.insert((name, tag.as_str()), encode("tag row", &row)?.as_slice())?;
        }
        Ok(())
    }

    /// Keeps hints, if there is room.
    pub fn add_hints(&mut self, hints: &[HintedReference], most: u64) -> Result<Queued, Failure> {
        let mut table = self.transaction.open_table(HINTS)?;
        if table.len()? + hints.len() as u64 > most {
            return Ok(Queued::Full);
        }
        let mut last = number(&self.tables.meta, META_HINT)?;
        let mut kept = Vec::with_capacity(hints.len());
        for about in hints {
            last += 1;
            table.insert((about.repository.as_str(), about.reference.as_str()), last)?;
            kept.push(Hint { about: about.clone(), number: last });
        }
        self.tables.meta.insert(META_HINT, last)?;
        self.staged.dirty = true;
        Ok(Queued::Kept(kept))
    }

    /// Removes hints that were not given again.
    pub fn remove_hints(&mut self, hints: &[Hint]) -> Result<(), Failure> {
        let mut table = self.transaction.open_table(HINTS)?;
        for Hint { about: HintedReference { repository, reference }, number } in hints {
            let key = (repository.as_str(), reference.as_str());
            if table.get(key)?.is_some_and(|kept| kept.value() == *number) {
                table.remove(key)?;
                self.staged.dirty = true;
            }
        }
        Ok(())
    }

    /// Applies a change. Answers how many events came of it.
    pub fn apply(&mut self, change: &Change, learnt: Learnt<'_>) -> Result<usize, Failure> {
        let (repository, held) = self.tables.held(change)?;
        let before = held.repository.as_ref().map(RepositoryRow::missing).unwrap_or_default();
        let effect = effect(held, change, learnt, self.next());
        let mut after = before;
        for row in effect.rows {
            match &row {
                RowChange::Repository(row) => after = row.missing(),
                RowChange::RepositoryRemoved => after = Missing::default(),
                _ => {}
            }
            self.tables.write(repository, row, learnt.now)?;
            self.staged.dirty = true;
        }
        if after != before {
            self.staged.missing = Some(self.tables.count_missing(before, after)?);
        }
        for event in &effect.events {
            let row = encode("event", event)?;
            self.tables.events.insert(event.sequence.get(), row.as_slice())?;
            self.tables.events_by_repository.insert((repository.as_str(), event.sequence.get()), ())?;
            self.staged.sequence = event.sequence;
            self.staged.dirty = true;
        }
        let count = effect.events.len();
        self.staged.events.extend(effect.events);
        Ok(count)
    }
}

impl Tables<'_> {
    /// Reads what the record holds about what a change touches.
    fn held<'c>(&self, change: &'c Change) -> Result<(&'c RepositoryName, Held), Failure> {
        let mut held = Held::default();
        let repository = match change {
            Change::ManifestPut { repository, manifest, tags } => {
                held.manifest = self::manifest(&self.manifests, repository, &manifest.digest)?;
                self.hold_tags(&mut held, repository, tags)?;
                self.hold_tombstone(&mut held, repository, Buried::Manifest(manifest.digest.clone()))?;
                self.hold_tombstone(&mut held, repository, Buried::Repository)?;
                if held.manifest.is_none() {
                    let names = blobs(manifest.config.as_ref(), &manifest.layers);
                    self.hold_blobs(&mut held, repository, names.into_keys())?;
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
    fn count_missing(&mut self, before: Missing, after: Missing) -> Result<Missing, Failure> {
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

    fn write(
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
                let document = encode("document", &Document::from(&*manifest))?;
                let rows = (row.as_slice(), document.as_slice(), manifest.bytes.as_ref());
                self.manifests.insert((name, digest), rows)?;
                if let Some(subject) = &manifest.subject {
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
