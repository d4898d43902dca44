//! What the store in memory holds: maps of rows, over which the ledger decides. It looks that each row that goes was there, and
//! that each that comes was not.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Estimate, Timestamp};
use crate::oci::{Digest, Document, ImageConfig, Manifest, RepositoryName, Tag};
use crate::store::day::{DayCounts, DayRow};
use crate::store::deleted_manifest::{self, Kept};
use crate::store::ledger::{LeaseRow, Medium, RowChange, View};
use crate::store::recent::{LOOKED_AT, RecentlyObserved, is_of_a_write};
use crate::store::row::{BlobRow, ManifestRow, RepositoryRow, TagRow};
use crate::store::tombstone::{Buried, Past, Tombstone, is_over};
use crate::store::waiting::Waiters;
use crate::store::{
    AuthEvent, Beat, DoorId, Epoch, Event, Hint, History, Incarnation, Intent, IntentState, KeptSweep, Lease,
    LeaseName, Missing, Sequence, Source, SweepReport,
};

/// See the module.
#[derive(Clone)]
pub(in crate::store) struct State {
    pub identity: Epoch,
    /// Each with the last number before it, oldest first.
    pub epochs: Vec<(Sequence, Epoch)>,
    pub sequence: Sequence,
    pub repositories: BTreeMap<RepositoryName, RepositoryRow>,
    pub tags: BTreeMap<(RepositoryName, Tag), TagRow>,
    pub manifests: BTreeMap<(RepositoryName, Digest), (ManifestRow, Arc<Manifest>)>,
    pub blobs: BTreeMap<(RepositoryName, Digest), BlobRow>,
    /// Manifests that were deleted, and when.
    pub deleted: BTreeMap<(RepositoryName, Digest), (Timestamp, Arc<Manifest>)>,
    /// What images say of themselves; nothing where that cannot be had.
    pub images: BTreeMap<(RepositoryName, Digest), Option<ImageConfig>>,
    pub images_read_until: Sequence,
    /// By the number of the day since 1970.
    pub days: BTreeMap<u64, DayRow>,
    pub tombstones: BTreeMap<(RepositoryName, Buried), Tombstone>,
    pub intents: BTreeMap<Sequence, Arc<Intent>>,
    /// Who waits for one of them to be carried.
    pub waiters: Arc<Waiters>,
    pub events: BTreeMap<Sequence, Event>,
    /// The number of the last one, for those who follow.
    pub last_event: Arc<watch::Sender<Sequence>>,
    /// What the door's own writes did of late: read from the events whenever a store is opened.
    pub recent: Arc<RecentlyObserved>,
    pub missing: Missing,
    /// What was marked as missing up to this number is accepted as gone.
    pub accepted: Sequence,
    /// By the texts of repository and reference.
    pub hints: BTreeMap<(String, String), Hint>,
    pub last_hint: u64,
    pub sweep: Option<KeptSweep>,
    pub sweep_report: SweepReport,
    pub accounts: BTreeMap<(&'static str, String), Vec<u8>>,
    pub auth_events: BTreeMap<Sequence, AuthEvent>,
    pub last_auth_event: Sequence,
    pub clock: Option<Estimate>,
    pub time: Option<Timestamp>,
    /// The doors that share it; none where there is but one.
    pub doors: BTreeMap<DoorId, Beat>,
    pub leases: BTreeMap<LeaseName, LeaseRow>,
    /// Who held each lease behind which number, in the order of time.
    pub lease_history: Vec<(Sequence, LeaseName, Option<Incarnation>)>,
    /// Behind which number each life of a door began.
    pub lives: Vec<(Sequence, Incarnation)>,
    /// Which of several doors recorded which events.
    pub recorded_by: BTreeMap<Sequence, (Source, Incarnation)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            identity: Epoch::random().unwrap(),
            epochs: Vec::new(),
            sequence: Sequence::ZERO,
            repositories: BTreeMap::new(),
            tags: BTreeMap::new(),
            manifests: BTreeMap::new(),
            blobs: BTreeMap::new(),
            deleted: BTreeMap::new(),
            images: BTreeMap::new(),
            images_read_until: Sequence::ZERO,
            days: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            intents: BTreeMap::new(),
            waiters: Arc::default(),
            events: BTreeMap::new(),
            last_event: Arc::new(watch::Sender::new(Sequence::ZERO)),
            recent: Arc::default(),
            missing: Missing::default(),
            accepted: Sequence::ZERO,
            hints: BTreeMap::new(),
            last_hint: 0,
            sweep: None,
            sweep_report: SweepReport::default(),
            accounts: BTreeMap::new(),
            auth_events: BTreeMap::new(),
            last_auth_event: Sequence::ZERO,
            clock: None,
            time: None,
            doors: BTreeMap::new(),
            leases: BTreeMap::new(),
            lease_history: Vec::new(),
            lives: Vec::new(),
            recorded_by: BTreeMap::new(),
        }
    }
}

impl State {
    /// Notes who of several doors recorded what came behind a number.
    pub fn note_recorded(&mut self, before: Sequence, by: Incarnation) {
        let events = self.events.range(before.next()..);
        self.recorded_by.extend(events.map(|(sequence, event)| (*sequence, (event.source, by))));
    }

    /// Begins to be used by a store: no task carries what an earlier one has left.
    pub fn open(&mut self) {
        for intent in self.intents.values_mut() {
            let state = IntentState::unknown_since(intent.sequence);
            *intent = Arc::new(Intent { state, ..Intent::clone(intent) });
        }
        self.waiters = Arc::default();
        let last = self.events.last_key_value().map_or(Sequence::ZERO, |(number, _)| *number);
        self.last_event = Arc::new(watch::Sender::new(last));
        self.doors.clear();
        self.leases.clear();
        self.lease_history.clear();
        self.lives.clear();
        self.recorded_by.clear();
        let last = self.events.values().rev().take(LOOKED_AT).filter(|event| is_of_a_write(event.source));
        let last = last.cloned().map(Ok::<_, Infallible>);
        let Ok(recent) = RecentlyObserved::of_last(last);
        self.recent = Arc::new(recent);
    }

    /// Notes the epoch of the store that has given out numbers behind `before`, unless that is done.
    pub fn begin_epoch(&mut self, before: Sequence, epoch: Epoch) {
        if self.epochs.last().is_none_or(|(_, last)| *last != epoch) {
            self.epochs.push((before, epoch));
        }
    }

    /// The epoch in which several doors write.
    pub fn epoch_of_doors(&self) -> Epoch {
        self.epochs.last().map_or_else(|| Epoch::random().unwrap(), |(_, epoch)| *epoch)
    }

    /// Which history this is.
    pub fn history(&self) -> History {
        let epoch = self.epochs.last().map_or(self.identity, |(_, epoch)| *epoch);
        History { identity: self.identity, epoch }
    }

    /// Whether a position that was read in an epoch is part of this history.
    pub fn continues(&self, epoch: Epoch, position: Sequence) -> bool {
        let mut end = self.sequence;
        for (before, found) in self.epochs.iter().rev() {
            if *found == epoch {
                return position <= end;
            }
            end = *before;
        }
        epoch == self.identity && position <= end
    }

    fn purge_deleted(&mut self, now: Timestamp) {
        loop {
            let oldest = self.deleted.iter().min_by_key(|(key, (at, _))| (*at, (*key).clone()));
            let Some((key, at)) = oldest.map(|(key, (at, _))| (key.clone(), *at)) else { return };
            let bytes = self.deleted.values().map(|(_, manifest)| manifest.size()).sum();
            let kept = Kept { count: self.deleted.len() as u64, bytes };
            if !deleted_manifest::is_over(at, kept, now, self.time) {
                return;
            }
            self.deleted.remove(&key);
        }
    }

    fn purge_tombstones(&mut self, now: Timestamp) {
        loop {
            let oldest = self.tombstones.iter().min_by_key(|(key, tombstone)| (tombstone.at, (*key).clone()));
            let Some((key, at)) = oldest.map(|(key, tombstone)| (key.clone(), tombstone.at)) else { return };
            if !is_over(at, self.tombstones.len() as u64, now, self.time) {
                return;
            }
            self.tombstones.remove(&key);
        }
    }
}

impl View for State {
    type Error = Infallible;

    fn last(&self) -> Sequence {
        self.sequence
    }

    fn is_current(&self, door: Incarnation) -> Result<bool, Infallible> {
        Ok(self.doors.is_empty() || self.doors.get(&door.door).is_some_and(|beat| beat.incarnation == door))
    }

    fn holds(&self, door: Incarnation, lease: Lease) -> Result<bool, Infallible> {
        let held = self.leases.get(&lease.name);
        Ok(self.doors.is_empty()
            || held.is_some_and(|row| row.holder == Some(door) && row.epoch == lease.epoch))
    }

    fn open_intents(&self) -> usize {
        self.intents.len()
    }

    fn intent(&self, sequence: Sequence) -> Result<Option<Arc<Intent>>, Infallible> {
        Ok(self.intents.get(&sequence).cloned())
    }

    fn intents_of(&self, repository: &RepositoryName) -> Result<Vec<Arc<Intent>>, Infallible> {
        Ok(self.intents.values().filter(|intent| intent.repository == *repository).cloned().collect())
    }

    fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRow>, Infallible> {
        Ok(self.repositories.get(repository).cloned())
    }

    fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(ManifestRow, Document)>, Infallible> {
        let found = self.manifests.get(&(repository.clone(), digest.clone()));
        Ok(found.map(|(row, manifest)| (row.clone(), manifest.document.clone())))
    }

    fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRow>, Infallible> {
        Ok(self.tags.get(&(repository.clone(), tag.clone())).cloned())
    }

    fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, Infallible> {
        let tags = self.tags.iter().filter(|((name, _), row)| name == repository && row.digest == *digest);
        Ok(tags.map(|((_, tag), _)| tag.clone()).collect())
    }

    fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobRow>, Infallible> {
        Ok(self.blobs.get(&(repository.clone(), digest.clone())).cloned())
    }

    fn tombstone(
        &self,
        repository: &RepositoryName,
        buried: &Buried,
    ) -> Result<Option<Tombstone>, Infallible> {
        Ok(self.tombstones.get(&(repository.clone(), buried.clone())).cloned())
    }

    fn tombstones_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<(Tag, Tombstone)>, Infallible> {
        let of_tag = |((name, buried), tombstone): (&(RepositoryName, Buried), &Tombstone)| match (
            buried,
            &tombstone.past,
        ) {
            (Buried::Tag(tag), Past::Tag(row)) if name == repository && row.digest == *digest => {
                Some((tag.clone(), tombstone.clone()))
            }
            _ => None,
        };
        Ok(self.tombstones.iter().filter_map(of_tag).collect())
    }

    fn events_since(
        &self,
        repository: &RepositoryName,
        since: Sequence,
        look: impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        let behind = |event: &&Event| event.repository == *repository && event.sequence > since;
        let _ = self.events.values().filter(behind).try_for_each(look);
        Ok(())
    }
}

impl Medium for State {
    fn add_intent(&mut self, intent: Intent) -> Result<(), Infallible> {
        assert_eq!(intent.sequence, self.next());
        self.sequence = intent.sequence;
        self.intents.insert(intent.sequence, Arc::new(intent));
        Ok(())
    }

    fn set_intent_state(&mut self, intent: &Intent, state: IntentState) -> Result<(), Infallible> {
        let changed = Arc::new(Intent { state, ..intent.clone() });
        assert!(self.intents.insert(intent.sequence, changed).is_some());
        self.waiters.wake([intent.sequence]);
        Ok(())
    }

    fn remove_intent(&mut self, sequence: Sequence) -> Result<(), Infallible> {
        self.intents.remove(&sequence);
        self.waiters.wake([sequence]);
        Ok(())
    }

    fn count_missing(&mut self, before: Missing, after: Missing) -> Result<(), Infallible> {
        self.missing.tags = self.missing.tags + after.tags - before.tags;
        self.missing.manifests = self.missing.manifests + after.manifests - before.manifests;
        Ok(())
    }

    fn append(&mut self, event: Event) -> Result<(), Infallible> {
        assert_eq!(event.sequence, self.next());
        self.sequence = event.sequence;
        self.recent.note(&event, Duration::ZERO);
        let (day, counts) = DayCounts::of_event(&event);
        self.count_on_day(day, counts);
        self.last_event.send_replace(event.sequence);
        self.events.insert(event.sequence, event);
        Ok(())
    }

    fn write(
        &mut self,
        repository: &RepositoryName,
        row: RowChange,
        now: Timestamp,
    ) -> Result<(), Infallible> {
        let here = repository.clone();
        match row {
            RowChange::Repository(row) => {
                self.repositories.insert(here, row);
            }
            RowChange::RepositoryRemoved => {
                self.repositories.remove(repository);
                self.tags.retain(|(name, _), _| name != repository);
                let gone = self.manifests.extract_if(.., |(name, _), _| name == repository);
                self.deleted.extend(gone.map(|(key, (_, manifest))| (key, (now, manifest))));
                self.purge_deleted(now);
                self.blobs.retain(|(name, _), _| name != repository);
                self.images.retain(|(name, _), _| name != repository);
            }
            RowChange::Tag { tag, row, previous } => {
                let digest = row.digest.clone();
                let before = self.tags.insert((here, tag), row).map(|row| row.digest);
                assert_eq!(before.filter(|before| *before != digest), previous);
            }
            RowChange::TagRemoved { tag, digest } => {
                let before = self.tags.remove(&(here, tag)).map(|row| row.digest);
                assert_eq!(before, Some(digest));
            }
            RowChange::Manifest { manifest, row } => {
                let key = (here, manifest.digest.clone());
                assert!(self.manifests.insert(key, (row, manifest)).is_none());
            }
            RowChange::ManifestRow { digest, row } => {
                self.manifests.get_mut(&(here, digest)).unwrap().0 = row
            }
            RowChange::Tombstone { buried, tombstone } => {
                assert!(self.tombstones.insert((here, buried), tombstone).is_none());
                self.purge_tombstones(now);
            }
            RowChange::TombstoneRemoved { buried, at } => {
                assert_eq!(self.tombstones.remove(&(here, buried)).unwrap().at, at);
            }
            RowChange::ManifestRemoved { digest, subject } => {
                self.images.remove(&(here.clone(), digest.clone()));
                let (_, manifest) = self.manifests.remove(&(here.clone(), digest.clone())).unwrap();
                assert_eq!(
                    manifest.document.subject.as_ref().map(|subject| &subject.digest),
                    subject.as_ref()
                );
                self.deleted.insert((here, digest), (now, manifest));
                self.purge_deleted(now);
            }
            RowChange::Blob { digest, row } => {
                self.blobs.insert((here, digest), row);
            }
            RowChange::BlobRemoved { digest } => {
                assert_eq!(self.blobs.remove(&(here, digest)).unwrap().holders, 1);
            }
        }
        Ok(())
    }
}
