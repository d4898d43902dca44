//! One transaction, as the works that share it see it: what the ledger finds recorded, and where it puts what changes.
//!
//! What the works have said that they will look at is loaded with the ticket, in one flight; what is missing then is loaded
//! when it is looked at, in the same transaction, so that nothing is decided twice. What changes stays in `rows` until the end,
//! or until something has to be asked for that the database alone can answer.
//!
//! `wanted` says what is loaded, `rows` keeps and writes it, `removals` has what goes by the whole, `finish` the end of it all,
//! `doors` the doors that share the record, by their `door_rows`, `beside` what is kept beside it.

mod beside;
mod door_rows;
mod doors;
mod finish;
mod removals;
mod rows;
mod wanted;

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

pub(super) use self::beside::{SWEEP_ACTIVITY, SWEEP_CHECKPOINT, SWEEP_FINISHED, kind_column};
use self::door_rows::{DOORS, beat_of, lease_of};
pub(super) use self::finish::{Finished, JUDGE_ALL, MAXIMUM_EPOCHS, NOT_NOTED, NOTED_WRONGLY};
pub(super) use self::rows::intent_of;
use self::rows::{HeldManifest, Rows};
pub(super) use self::wanted::{Wanted, digest, intents, name, reference, tag};
use super::connection::Link;
use super::failure::{Failure, NotThere, decode, number, stored};
use super::query::{Query, query};
use super::ticket::Sums;
use crate::clock::Timestamp;
use crate::oci::{Digest, Document, RepositoryName, Tag};
use crate::store::day::{DayCounts, DayRow};
use crate::store::ledger::{self, LeaseRow, Medium, RowChange, View};
use crate::store::recent_events::{Appended, RecentEvents, look_at};
use crate::store::row::{BlobRow, ManifestRow, RepositoryRow, TagRow};
use crate::store::tombstone::{Buried, Tombstone};
use crate::store::{Beat, Event, Incarnation, Intent, IntentState, Lease, LeaseName, Missing, Sequence};

/// So many events of other doors are read at once; where there are more, none is remembered.
pub(super) const TAIL: i64 = 4_096;

/// The ticket, and all that is read with it.
const TICKET: &str = "SELECT sequence, content FROM ledger FOR UPDATE";
/// What was recorded since this door has looked last.
pub(super) const SINCE: &str = "SELECT content FROM events WHERE sequence > $1 ORDER BY sequence LIMIT $2";
const DAYS: &str = "SELECT day, content FROM days ORDER BY day DESC LIMIT 2";
const LEASES: &str = "SELECT name, door, door_epoch, epoch FROM leases";

/// A transaction that is being filled.
pub(super) struct Transaction<'t> {
    link: RefCell<&'t mut Link>,
    recent: &'t mut RecentEvents,
    me: Incarnation,
    wanted: Wanted,
    rows: RefCell<Rows>,
    /// The sums as they will be.
    pub(super) sums: Sums,
    /// The last number before it, and the last one that it has given out.
    before: Sequence,
    sequence: Sequence,
    /// How each door that lives was heard last, in the order in which they have joined.
    doors: Vec<Beat>,
    leases: BTreeMap<LeaseName, LeaseRow>,
    /// What becomes of doors and leases is looked up in nothing but these, and sent with the commit.
    with_commit: Vec<Query>,
    /// What other doors have recorded since this one has looked last.
    heard: Vec<Event>,
    appended: Vec<Appended>,
    /// Intents that were let through, or have ended.
    woken: Vec<Sequence>,
    abandoned: Vec<Sequence>,
    begun: Vec<Sequence>,
    joined: Option<Incarnation>,
    /// Manifests of which the flaws may have changed.
    touched: BTreeSet<(RepositoryName, Digest)>,
    days: BTreeMap<u64, DayCounts>,
    day_rows: BTreeMap<u64, DayRow>,
    /// When something was buried, or deleted: then the oldest may have to go.
    buried_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
    is_dirty: bool,
}

impl<'t> Transaction<'t> {
    /// Nothing is loaded yet.
    pub(super) fn new(link: &'t mut Link, recent: &'t mut RecentEvents, me: Incarnation) -> Self {
        Self {
            link: RefCell::new(link),
            recent,
            me,
            wanted: Wanted::default(),
            rows: RefCell::default(),
            sums: Sums::default(),
            before: Sequence::ZERO,
            sequence: Sequence::ZERO,
            doors: Vec::new(),
            with_commit: Vec::new(),
            leases: BTreeMap::new(),
            heard: Vec::new(),
            appended: Vec::new(),
            woken: Vec::new(),
            abandoned: Vec::new(),
            begun: Vec::new(),
            joined: None,
            touched: BTreeSet::new(),
            days: BTreeMap::new(),
            day_rows: BTreeMap::new(),
            buried_at: None,
            deleted_at: None,
            is_dirty: false,
        }
    }

    /// What is to be loaded with the ticket.
    pub(super) const fn wanted(&mut self) -> &mut Wanted {
        &mut self.wanted
    }

    /// Takes the ticket, and loads what is wanted. Answers whether the record has gone back behind what this door has seen: an
    /// older one was restored.
    pub(super) fn begin(&mut self) -> Result<bool, Failure> {
        let wanted = std::mem::take(&mut self.wanted);
        let seen = self.recent.last();
        let mut queries = vec![
            query!(TICKET),
            query!(SINCE, stored(seen.get()), TAIL),
            query!(DAYS),
            query!(DOORS),
            query!(LEASES),
        ];
        let ticket_queries = queries.len();
        queries.extend(wanted.queries());
        let mut answers = self.link.get_mut().begin(&queries)?;
        let loaded = answers.split_off(ticket_queries);
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or_default();
        let ticket = next();
        let ticket = ticket.first().ok_or_else(|| Failure::corrupt("ticket", NotThere))?;
        self.before = Sequence::new(number(ticket.try_get(0)?));
        self.sequence = self.before;
        self.sums = decode(|| "ticket".into(), ticket.try_get(1)?)?;
        let since = next();
        let is_older = self.before < seen;
        if is_older || since.len() as i64 == TAIL {
            *self.recent = RecentEvents::behind(self.before);
        } else {
            let mut appended = Vec::with_capacity(since.len());
            for row in since {
                let content: &[u8] = row.try_get(0)?;
                let event: Event = decode(|| "event".into(), content)?;
                self.heard.push(event.clone());
                appended.push(Appended { event, bytes: content.len() });
            }
            self.recent.take_over(seen, self.before, appended);
        }
        for row in next() {
            let day = number(row.try_get(0)?);
            self.day_rows.insert(day, decode(|| format!("day {day}"), row.try_get(1)?)?);
        }
        self.doors = next().iter().map(beat_of).collect::<Result<_, _>>()?;
        for row in next() {
            let (name, lease) = lease_of(&row)?;
            self.leases.extend(name.map(|name| (name, lease)));
        }
        self.rows.get_mut().take(wanted, loaded)?;
        Ok(is_older)
    }

    /// What other doors have recorded since this one has looked last.
    pub(super) fn take_heard(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.heard)
    }

    /// Removes intents of which their callers never heard.
    pub(super) fn abandon(&mut self, intents: Vec<Sequence>) -> Result<(), Failure> {
        for intent in &intents {
            ledger::abandon(self, *intent)?;
        }
        self.abandoned = intents;
        Ok(())
    }

    /// Asks the database within the transaction, which has all that was written so far.
    fn ask(&self, query: Query) -> Result<Vec<tokio_postgres::Row>, Failure> {
        self.link.borrow_mut().one(query)
    }

    /// Does something within the transaction.
    fn tell(&mut self, query: Query) -> Result<Vec<tokio_postgres::Row>, Failure> {
        self.is_dirty = true;
        self.ask(query)
    }

    /// Sends what has changed in rows.
    fn flush(&self) -> Result<(), Failure> {
        let queries = self.rows.borrow_mut().changes()?;
        if !queries.is_empty() {
            self.link.borrow_mut().send(&queries)?;
        }
        Ok(())
    }

    /// The rows, with this among them.
    fn rows_with(
        &self,
        is_there: impl Fn(&Rows) -> bool,
        wanted: impl FnOnce() -> Wanted,
    ) -> Result<RefMut<'_, Rows>, Failure> {
        if !is_there(&self.rows.borrow()) {
            let wanted = wanted();
            let answers = self.link.borrow_mut().send(&wanted.queries())?;
            self.rows.borrow_mut().take(wanted, answers)?;
        }
        Ok(self.rows.borrow_mut())
    }

    fn held_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<HeldManifest>, Failure> {
        let key = (repository.clone(), digest.clone());
        let rows = self.rows_with(
            |rows| rows.manifests.has(&key),
            || Wanted { manifests: [key.clone()].into(), ..Wanted::default() },
        )?;
        Ok(rows.manifests.get(&key).cloned())
    }

    /// Counts what happened on a day.
    fn count_on_day(&mut self, day: u64, counts: DayCounts) {
        self.days.entry(day).or_default().add(counts);
    }

    fn touch(&mut self, repository: &RepositoryName, digest: &Digest) {
        self.touched.insert((repository.clone(), digest.clone()));
    }
}

impl View for Transaction<'_> {
    type Error = Failure;

    fn last(&self) -> Sequence {
        self.sequence
    }

    fn is_current(&self, door: Incarnation) -> Result<bool, Failure> {
        Ok(self.door_beat(door.door).is_some_and(|beat| beat.incarnation == door))
    }

    fn holds(&self, door: Incarnation, lease: Lease) -> Result<bool, Failure> {
        let row = self.leases.get(&lease.name);
        Ok(row.is_some_and(|row| row.holder == Some(door) && row.epoch == lease.epoch))
    }

    fn open_intents(&self) -> usize {
        usize::try_from(self.sums.open_intents).unwrap_or(usize::MAX)
    }

    fn intent(&self, sequence: Sequence) -> Result<Option<Arc<Intent>>, Failure> {
        let rows = self.rows_with(
            |rows| rows.intents.knows(sequence),
            || Wanted { intents: [sequence].into(), ..Wanted::default() },
        )?;
        Ok(rows.intents.get(sequence))
    }

    fn intents_of(&self, repository: &RepositoryName) -> Result<Vec<Arc<Intent>>, Failure> {
        let rows = self.rows_with(
            |rows| rows.intents.has(repository),
            || Wanted { intents_of: [repository.clone()].into(), ..Wanted::default() },
        )?;
        Ok(rows.intents.of(repository))
    }

    fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRow>, Failure> {
        let rows = self.rows_with(
            |rows| rows.repositories.has(repository),
            || Wanted { repositories: [repository.clone()].into(), ..Wanted::default() },
        )?;
        Ok(rows.repositories.get(repository).cloned())
    }

    fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(ManifestRow, Document)>, Failure> {
        Ok(self.held_manifest(repository, digest)?.map(|held| (held.row, held.document)))
    }

    fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRow>, Failure> {
        let key = (repository.clone(), tag.clone());
        let rows = self.rows_with(
            |rows| rows.tags.has(&key),
            || Wanted { tags: [key.clone()].into(), ..Wanted::default() },
        )?;
        Ok(rows.tags.get(&key).cloned())
    }

    fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, Failure> {
        self.flush()?;
        let sql = "SELECT tag, content FROM tags WHERE repository = $1 AND digest = $2 ORDER BY tag";
        let mut tags = Vec::new();
        for row in self.ask(query!(sql, repository.to_string(), digest.to_string()))? {
            let tag = wanted::tag(row.try_get(0)?)?;
            // The row itself is asked for next.
            let content = decode(|| format!("tag row of `{tag}` in `{repository}`"), row.try_get(1)?)?;
            self.rows.borrow_mut().tags.load((repository.clone(), tag.clone()), Some(content));
            tags.push(tag);
        }
        Ok(tags)
    }

    fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobRow>, Failure> {
        let key = (repository.clone(), digest.clone());
        let rows = self.rows_with(
            |rows| rows.blobs.has(&key),
            || {
                // A manifest that goes is asked about with all that it names.
                let rows = self.rows.borrow();
                let of_repository = rows.manifests.known().filter(|((name, _), _)| name == repository);
                let blobs = of_repository.flat_map(|(_, held)| held.document.blobs().into_keys());
                let blobs = blobs.map(|digest| (repository.clone(), digest.clone()));
                Wanted { blobs: blobs.chain([key.clone()]).collect(), ..Wanted::default() }
            },
        )?;
        Ok(rows.blobs.get(&key).cloned())
    }

    fn tombstone(&self, repository: &RepositoryName, buried: &Buried) -> Result<Option<Tombstone>, Failure> {
        // There is none as a rule, which costs no question.
        if self.sums.tombstones == 0 {
            return Ok(None);
        }
        let key = (repository.clone(), buried.clone());
        let rows = self.rows_with(
            |rows| rows.tombstones.has(&key),
            || Wanted { tombstones: [key.clone()].into(), ..Wanted::default() },
        )?;
        Ok(rows.tombstones.get(&key).cloned())
    }

    fn tombstones_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<(Tag, Tombstone)>, Failure> {
        if self.sums.tombstones == 0 {
            return Ok(Vec::new());
        }
        self.flush()?;
        let sql = "SELECT reference, content FROM tombstones WHERE repository = $1 AND digest = $2";
        let mut found = Vec::new();
        for row in self.ask(query!(sql, repository.to_string(), digest.to_string()))? {
            let tag = wanted::tag(row.try_get(0)?)?;
            let tombstone = decode(|| format!("tombstone of `{tag}` in `{repository}`"), row.try_get(1)?)?;
            found.push((tag, tombstone));
        }
        Ok(found)
    }

    fn events_since(
        &self,
        repository: &RepositoryName,
        since: Sequence,
        mut look: impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let looked = match self.recent.look(repository, since, &mut look) {
            Some(looked) => looked,
            None => self.older_events(repository, since, &mut look)?,
        };
        if looked.is_continue() {
            let _ = look_at(&self.appended, repository, since, look);
        }
        Ok(())
    }
}

impl Transaction<'_> {
    /// Shows the events behind `since` that the database has.
    fn older_events(
        &self,
        repository: &RepositoryName,
        since: Sequence,
        mut look: impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Failure> {
        let sql =
            "SELECT content FROM events WHERE repository = $1 AND sequence > $2 ORDER BY sequence LIMIT 1000";
        let mut since = since;
        loop {
            let rows = self.ask(query!(sql, repository.to_string(), stored(since.get())))?;
            for row in &rows {
                let event: Event = decode(|| format!("event of `{repository}`"), row.try_get(0)?)?;
                since = event.sequence;
                if look(&event).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if rows.len() < 1_000 {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }
}

impl Medium for Transaction<'_> {
    fn add_intent(&mut self, intent: Intent) -> Result<(), Failure> {
        self.sequence = intent.sequence;
        self.sums.open_intents += 1;
        self.begun.push(intent.sequence);
        self.is_dirty = true;
        // All of its repository are there: a new one is only added once they were looked at.
        self.rows.get_mut().intents.set(Arc::new(intent));
        Ok(())
    }

    fn set_intent_state(&mut self, intent: &Intent, state: IntentState) -> Result<(), Failure> {
        self.is_dirty = true;
        self.woken.push(intent.sequence);
        self.rows.get_mut().intents.set(Arc::new(Intent { state, ..intent.clone() }));
        Ok(())
    }

    fn remove_intent(&mut self, sequence: Sequence) -> Result<(), Failure> {
        if self.intent(sequence)?.is_some() {
            self.is_dirty = true;
            self.sums.open_intents = self.sums.open_intents.saturating_sub(1);
            self.rows.get_mut().intents.remove(sequence);
        }
        self.woken.push(sequence);
        Ok(())
    }

    fn write(&mut self, repository: &RepositoryName, row: RowChange, now: Timestamp) -> Result<(), Failure> {
        self.is_dirty = true;
        let name = repository.clone();
        match row {
            RowChange::Repository(row) => {
                let before = View::repository(self, repository)?;
                let bytes = before.as_ref().map_or(0, |before| before.bytes);
                let totals = &mut self.sums.totals;
                totals.bytes = totals.bytes.wrapping_sub(bytes).wrapping_add(row.bytes);
                Sums::count(&mut totals.repositories, before.is_some(), true);
                let was_empty = before.is_some_and(|before| before.is_empty());
                Sums::count(&mut self.sums.empty_repositories, was_empty, row.is_empty());
                self.rows.get_mut().repositories.set(name, Some(row));
            }
            RowChange::RepositoryRemoved => self.remove_repository(repository, now)?,
            RowChange::Tag { tag, row, previous } => {
                let before = View::tag(self, repository, &tag)?;
                Sums::count(&mut self.sums.totals.tags, before.is_some(), true);
                self.touch(repository, &row.digest);
                if let Some(previous) = previous {
                    self.touch(repository, &previous);
                }
                self.rows.get_mut().tags.set((name, tag), Some(row));
            }
            RowChange::TagRemoved { tag, digest } => {
                let before = View::tag(self, repository, &tag)?;
                Sums::count(&mut self.sums.totals.tags, before.is_some(), false);
                self.touch(repository, &digest);
                self.rows.get_mut().tags.set((name, tag), None);
            }
            RowChange::Manifest { manifest, row } => {
                let is_known = self.held_manifest(repository, &manifest.digest)?.is_some();
                Sums::count(&mut self.sums.totals.manifests, is_known, true);
                self.touch(repository, &manifest.digest);
                for child in manifest.document.child_manifests() {
                    self.touch(repository, child);
                }
                let key = (name, manifest.digest.clone());
                let document = manifest.document.clone();
                let held = HeldManifest { row, document, content: Some(manifest) };
                self.rows.get_mut().manifests.set(key, Some(held));
            }
            RowChange::ManifestRow { digest, row } => {
                let held = self.held_manifest(repository, &digest)?;
                let held = held.ok_or_else(|| {
                    Failure::corrupt(format!("manifest `{digest}` in `{repository}`"), NotThere)
                })?;
                self.rows.get_mut().manifests.set((name, digest), Some(HeldManifest { row, ..held }));
            }
            RowChange::ManifestRemoved { digest, .. } => self.remove_manifest(repository, &digest, now)?,
            RowChange::Blob { digest, row } => self.rows.get_mut().blobs.set((name, digest), Some(row)),
            RowChange::BlobRemoved { digest } => self.rows.get_mut().blobs.set((name, digest), None),
            RowChange::Tombstone { buried, tombstone } => {
                let before = View::tombstone(self, repository, &buried)?;
                Sums::count(&mut self.sums.tombstones, before.is_some(), true);
                self.buried_at = self.buried_at.max(Some(now));
                self.rows.get_mut().tombstones.set((name, buried), Some(tombstone));
            }
            RowChange::TombstoneRemoved { buried, .. } => {
                let before = View::tombstone(self, repository, &buried)?;
                Sums::count(&mut self.sums.tombstones, before.is_some(), false);
                self.rows.get_mut().tombstones.set((name, buried), None);
            }
        }
        Ok(())
    }

    fn count_missing(&mut self, before: Missing, after: Missing) -> Result<(), Failure> {
        let missing = &mut self.sums.missing;
        missing.tags = missing.tags.saturating_add(after.tags).saturating_sub(before.tags);
        missing.manifests =
            missing.manifests.saturating_add(after.manifests).saturating_sub(before.manifests);
        Ok(())
    }

    fn append(&mut self, event: Event) -> Result<(), Failure> {
        let (day, counts) = DayCounts::of_event(&event);
        self.count_on_day(day, counts);
        self.sequence = event.sequence;
        self.sums.events += 1;
        self.is_dirty = true;
        self.appended.push(Appended { event, bytes: 0 });
        Ok(())
    }
}
