//! One write transaction, as the works that share it see it: what the ledger finds recorded, and where it puts what changes.
//! `record` has the tables of the record, `health` and `days` what is told of it, `deleted` what is kept of deleted manifests, `beside` what is kept beside it, `sweeps` what
//! is kept of sweeps.

mod beside;
mod days;
mod deleted;
mod health;
mod on_demand;
mod record;
mod sweeps;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

pub(super) use self::health::find_flaws;
use self::record::Tables;
use super::failure::Failure;
use super::intents::OpenIntents;
use super::snapshot::NotThere;
use super::staged::Staged;
use super::tables::{
    EPOCHS, EVENT_TIMES, Json, MAXIMUM_EPOCHS, META_SEQUENCE, decode, encode, event, number,
};
use crate::clock::Timestamp;
use crate::oci::{Digest, Document, RepositoryName, Tag};
use crate::store::day::DayCounts;
use crate::store::event_range::{finished_blocks, numbers_of};
use crate::store::ledger::{self, Medium, RowChange, View};
use crate::store::recent_events::{Appended, RecentEvents, look_at};
use crate::store::row::{BlobRow, ManifestRow, RepositoryRow, TagRow};
use crate::store::tombstone::{Buried, Tombstone};
use crate::store::{Epoch, Event, Incarnation, Intent, IntentState, Lease, Missing, Sequence};

/// The part of an event's row that says when it was recorded.
#[derive(serde::Deserialize)]
struct EventTime {
    time: Timestamp,
}

/// A write transaction that is being filled.
pub(super) struct Transaction<'txn> {
    transaction: &'txn WriteTransaction,
    tables: Tables<'txn>,
    open: &'txn OpenIntents,
    /// The last events before it, if they are known.
    recent: Option<&'txn RecentEvents>,
    /// To be noted in the file; nothing if it was.
    epoch: Option<Epoch>,
    staged: Staged,
}

impl<'txn> Transaction<'txn> {
    /// Nothing is in it yet. What is given out belongs to this epoch, if that is not noted yet.
    pub(super) fn new(
        transaction: &'txn WriteTransaction,
        open: &'txn OpenIntents,
        recent: &'txn RecentEvents,
        epoch: Option<Epoch>,
    ) -> Result<Self, Failure> {
        let tables = Tables::of(transaction);
        let sequence = Sequence::new(number(tables.meta.read()?, META_SEQUENCE)?);
        let staged = Staged {
            before: sequence,
            sequence,
            dirty: false,
            intents: BTreeMap::new(),
            begun: 0,
            abandoned: Vec::new(),
            promoted: Vec::new(),
            settled: BTreeSet::new(),
            events: Vec::new(),
            missing: None,
        };
        let recent = recent.is_of(sequence).then_some(recent);
        Ok(Self { transaction, tables, open, recent, epoch, staged })
    }

    /// Removes intents of which their callers never heard.
    pub(super) fn abandon(&mut self, intents: Vec<Sequence>) -> Result<(), Failure> {
        for intent in &intents {
            ledger::abandon(self, *intent)?;
        }
        self.staged.abandoned = intents;
        Ok(())
    }

    /// Writes the last sequence number, and says what has to change beside the file.
    pub(super) fn finish(mut self) -> Result<Staged, Failure> {
        self.tables.judge_touched()?;
        self.tables.write_days()?;
        if self.staged.dirty {
            self.tables.meta.write()?.insert(META_SEQUENCE, self.staged.sequence.get())?;
        }
        if self.staged.sequence > self.staged.before {
            self.begin_epoch()?;
            self.note_event_times()?;
        }
        Ok(self.staged)
    }

    /// Notes of the blocks of numbers that end here what times their events have.
    fn note_event_times(&self) -> Result<(), Failure> {
        let finished = finished_blocks(self.staged.before, self.staged.sequence);
        if finished.is_empty() {
            return Ok(());
        }
        let mut times = self.transaction.open_table(EVENT_TIMES)?;
        note_times(self.tables.events.read()?, &mut times, finished)
    }

    /// Notes the epoch of this process, unless that is done.
    fn begin_epoch(&self) -> Result<(), Failure> {
        let Some(epoch) = self.epoch else { return Ok(()) };
        let mut epochs = self.transaction.open_table(EPOCHS)?;
        if epochs.last()?.is_some_and(|(_, last)| last.value() == epoch.get()) {
            return Ok(());
        }
        epochs.insert(self.staged.before.get(), epoch.get())?;
        while epochs.len()? > MAXIMUM_EPOCHS {
            epochs.pop_first()?;
        }
        Ok(())
    }
}

/// Notes of these blocks of numbers what times their events have.
pub(super) fn note_times(
    events: &impl ReadableTable<u64, Json>,
    times: &mut Table<'_, u64, (u64, u64)>,
    blocks: Range<u64>,
) -> Result<(), Failure> {
    for block in blocks {
        let (first, last) = numbers_of(block);
        let (mut earliest, mut latest) = (u64::MAX, 0);
        for entry in events.range(first..=last)? {
            let (number, row) = entry?;
            let EventTime { time } = decode(|| format!("event {}", number.value()), row.value())?;
            earliest = earliest.min(time.as_milliseconds());
            latest = latest.max(time.as_milliseconds());
        }
        times.insert(block, (earliest, latest))?;
    }
    Ok(())
}

impl View for Transaction<'_> {
    type Error = Failure;

    fn last(&self) -> Sequence {
        self.staged.sequence
    }

    fn is_current(&self, _: Incarnation) -> Result<bool, Failure> {
        Ok(true)
    }

    fn holds(&self, _: Incarnation, _: Lease) -> Result<bool, Failure> {
        Ok(true)
    }

    fn open_intents(&self) -> usize {
        (self.open.len() + self.staged.begun).saturating_sub(self.staged.settled.len())
    }

    fn intent(&self, sequence: Sequence) -> Result<Option<Arc<Intent>>, Failure> {
        if self.staged.settled.contains(&sequence) {
            return Ok(None);
        }
        Ok(self.staged.intents.get(&sequence).cloned().or_else(|| self.open.get(sequence)))
    }

    fn intents_of(&self, repository: &RepositoryName) -> Result<Vec<Arc<Intent>>, Failure> {
        let mut intents = self.open.of(repository);
        let staged = &self.staged;
        intents.retain(|intent| {
            !staged.settled.contains(&intent.sequence) && !staged.intents.contains_key(&intent.sequence)
        });
        let changed = staged
            .intents
            .values()
            .filter(|intent| intent.repository == *repository && !staged.settled.contains(&intent.sequence));
        intents.extend(changed.cloned());
        intents.sort_unstable_by_key(|intent| intent.sequence);
        Ok(intents)
    }

    fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRow>, Failure> {
        self.tables.repository(repository)
    }

    fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(ManifestRow, Document)>, Failure> {
        self.tables.manifest(repository, digest)
    }

    fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRow>, Failure> {
        self.tables.tag(repository, tag)
    }

    fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, Failure> {
        self.tables.tags_of(repository, digest)
    }

    fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobRow>, Failure> {
        self.tables.blob(repository, digest)
    }

    fn tombstone(&self, repository: &RepositoryName, buried: &Buried) -> Result<Option<Tombstone>, Failure> {
        self.tables.tombstone(repository, buried)
    }

    fn tombstones_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<(Tag, Tombstone)>, Failure> {
        self.tables.tombstones_of(repository, digest)
    }

    fn events_since(
        &self,
        repository: &RepositoryName,
        since: Sequence,
        mut look: impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        match self.recent.and_then(|recent| recent.look(repository, since, &mut look)) {
            Some(ControlFlow::Continue(())) => {
                let _ = look_at(&self.staged.events, repository, since, look);
                Ok(())
            }
            Some(ControlFlow::Break(())) => Ok(()),
            None => self.events_in_file(repository, since, look),
        }
    }
}

impl Transaction<'_> {
    /// [`View::events_since`], read from the file.
    pub(super) fn events_in_file(
        &self,
        repository: &RepositoryName,
        since: Sequence,
        mut look: impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let name = repository.as_str();
        let numbers = (name, since.next().get())..=(name, u64::MAX);
        for entry in self.tables.events_by_repository.read()?.range(numbers)? {
            let sequence = entry?.0.value().1;
            let event = event(self.tables.events.read()?, sequence)?
                .ok_or_else(|| Failure::corrupt(format!("event {sequence}"), NotThere))?;
            if look(&event).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Medium for Transaction<'_> {
    fn add_intent(&mut self, intent: Intent) -> Result<(), Failure> {
        let row = encode("intent", &intent)?;
        self.tables.intents.write()?.insert(intent.sequence.get(), row.as_slice())?;
        self.staged.sequence = intent.sequence;
        self.staged.intents.insert(intent.sequence, Arc::new(intent));
        self.staged.begun += 1;
        self.staged.dirty = true;
        Ok(())
    }

    fn set_intent_state(&mut self, intent: &Intent, state: IntentState) -> Result<(), Failure> {
        // Not part of the row: whoever opens the file does not know the outcome, in whatever state it was.
        if state.is_carried() {
            self.staged.promoted.push(intent.sequence);
        }
        self.staged.intents.insert(intent.sequence, Arc::new(Intent { state, ..intent.clone() }));
        Ok(())
    }

    fn remove_intent(&mut self, sequence: Sequence) -> Result<(), Failure> {
        self.tables.intents.write()?.remove(sequence.get())?;
        self.staged.settled.insert(sequence);
        self.staged.dirty = true;
        Ok(())
    }

    fn write(&mut self, repository: &RepositoryName, row: RowChange, now: Timestamp) -> Result<(), Failure> {
        self.staged.dirty = true;
        self.tables.write(repository, row, now)
    }

    fn count_missing(&mut self, before: Missing, after: Missing) -> Result<(), Failure> {
        self.staged.missing = Some(self.tables.count_missing(before, after)?);
        Ok(())
    }

    fn append(&mut self, event: Event) -> Result<(), Failure> {
        let row = encode("event", &event)?;
        self.tables.events.write()?.insert(event.sequence.get(), row.as_slice())?;
        self.tables
            .events_by_repository
            .write()?
            .insert((event.repository.as_str(), event.sequence.get()), ())?;
        let (day, counts) = DayCounts::of_event(&event);
        self.tables.count_on_day(day, counts);
        self.staged.sequence = event.sequence;
        self.staged.dirty = true;
        self.staged.events.push(Appended { event, bytes: row.len() });
        Ok(())
    }
}
