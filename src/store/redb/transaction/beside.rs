//! What is kept beside the record: accounts, what happened at the gate, the registry's clock, pulls and hints.

use std::collections::BTreeMap;

use redb::{ReadableTable, ReadableTableMetadata};

use super::super::failure::Failure;
use super::super::tables::{
    ACCOUNTS, HINTS, Json, META_ACCEPTED, META_AUTH_EVENT, META_CLOCK_AT, META_CLOCK_BOUND,
    META_CLOCK_OFFSET, META_HINT, META_TIME, TwoKeys, auth_events, decode, decode_hint, encode, number, row,
    row_in,
};
use super::Transaction;
use crate::clock::{Estimate, Timestamp};
use crate::store::day::DayCounts;
use crate::store::hint::MAXIMUM_HINTS;
use crate::store::row::{HintRow, RepositoryRow, TagRow};
use crate::store::{
    AccountChange, AuthEvent, AuthEventKind, Hint, HintedReference, Pull, Queued, ReadImage, Retention,
    Sequence, StoreError,
};

impl Transaction<'_> {
    /// Makes accounts what they are to be, if all are as expected.
    ///
    /// # Errors
    /// When the medium fails. The inner error is that one is not as expected: then nothing is written.
    pub(crate) fn change_accounts(
        &mut self,
        changes: &[AccountChange],
    ) -> Result<Result<(), StoreError>, Failure> {
        let mut table = self.transaction.open_table(ACCOUNTS)?;
        for AccountChange { kind, key, expected, .. } in changes {
            let kept = table.get((kind.as_str(), key.as_str()))?;
            if !expected.is_met_by(kept.as_ref().map(|kept| kept.value())) {
                return Ok(Err(StoreError::Conflict));
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
        Ok(Ok(()))
    }

    /// Keeps what happened at the gate, and purges what is too much or too old. Answers the numbers.
    pub(crate) fn add_auth_events(
        &mut self,
        events: &[(Option<Sequence>, AuthEvent)],
        keep: Retention,
    ) -> Result<Vec<Sequence>, Failure> {
        let mut tables = BTreeMap::new();
        for kind in AuthEventKind::ALL {
            tables.insert(kind, self.transaction.open_table(auth_events(kind))?);
        }
        let mut last = number(self.tables.meta.read()?, META_AUTH_EVENT)?;
        let mut numbers = Vec::with_capacity(events.len());
        for (known, event) in events {
            let Some(table) = tables.get_mut(&event.kind) else { continue };
            let kept = match known.map(Sequence::get) {
                Some(known) if table.get(known)?.is_some() => known,
                Some(_) | None => {
                    last += 1;
                    last
                }
            };
            table.insert(kept, encode("event of the gate", event)?.as_slice())?;
            numbers.push(Sequence::new(kept));
        }
        for (kind, table) in &mut tables {
            let events = table.iter()?.map(|entry| {
                let (number, row) = entry?;
                let number = number.value();
                let event: AuthEvent = decode(|| format!("event {number} of the gate"), row.value())?;
                Ok::<_, Failure>((Sequence::new(number), event.time))
            });
            for number in keep.purged(*kind, table.len()?, events)? {
                table.remove(number.get())?;
            }
        }
        drop(tables);
        self.tables.meta.write()?.insert(META_AUTH_EVENT, last)?;
        self.staged.dirty = true;
        Ok(numbers)
    }

    /// Keeps what is known of the registry's clock.
    pub(crate) fn keep_clock(&mut self, estimate: Estimate) -> Result<(), Failure> {
        let Estimate { offset, bound, at } = estimate;
        self.tables.meta.write()?.insert(META_CLOCK_OFFSET, offset.cast_unsigned())?;
        self.tables.meta.write()?.insert(META_CLOCK_BOUND, bound)?;
        self.tables.meta.write()?.insert(META_CLOCK_AT, at.as_milliseconds())?;
        self.staged.dirty = true;
        Ok(())
    }

    /// Keeps the last time that has held.
    pub(crate) fn keep_time(&mut self, time: Timestamp) -> Result<(), Failure> {
        self.tables.meta.write()?.insert(META_TIME, time.as_milliseconds())?;
        self.staged.dirty = true;
        Ok(())
    }

    /// What is missing now is accepted as gone: that gets a number, behind those of all marks.
    pub(crate) fn accept_removals(&mut self) -> Result<(), Failure> {
        let until = self.staged.sequence.next();
        self.tables.meta.write()?.insert(META_ACCEPTED, until.get())?;
        self.staged.sequence = until;
        self.staged.dirty = true;
        Ok(())
    }

    /// Keeps what images say of themselves, and up to which event they were read.
    pub(crate) fn keep_images(&mut self, images: &[ReadImage], until: Sequence) -> Result<(), Failure> {
        self.staged.dirty = true;
        self.tables.keep_images(images, until)
    }

    /// Adds pulls to what is recorded.
    pub(crate) fn record_pull(&mut self, pull: &Pull) -> Result<(), Failure> {
        let (repository, name) = (&pull.repository, pull.repository.as_str());
        let Some(mut row) = row::<RepositoryRow>(self.tables.repositories.read()?, "repository", name)?
        else {
            return Ok(());
        };
        // Who only looks changes nothing of the repository.
        if pull.last_pull.is_some() {
            row.add_pulls(pull);
            self.tables.repositories.write()?.insert(name, encode("repository row", &row)?.as_slice())?;
            if let Some((day, counts)) = DayCounts::of_pull(pull) {
                self.tables.count_on_day(day, counts);
            }
            self.staged.dirty = true;
        }
        let Some(tag) = &pull.tag else { return Ok(()) };
        if let Some(mut row) = row_in::<TagRow>(self.tables.tags.read()?, "tag", repository, tag.as_str())? {
            row.add_pulls(pull);
            self.tables.tags.write()?.insert((name, tag.as_str()), encode("tag row", &row)?.as_slice())?;
            self.staged.dirty = true;
        }
        Ok(())
    }

    /// Keeps hints, if there is room.
    pub(crate) fn add_hints(&mut self, hints: &[HintedReference]) -> Result<Queued, Failure> {
        let mut table = self.transaction.open_table(HINTS)?;
        if table.len()? + hints.len() as u64 > MAXIMUM_HINTS as u64 {
            return Ok(Queued::Full);
        }
        let mut last = number(self.tables.meta.read()?, META_HINT)?;
        let mut kept = Vec::with_capacity(hints.len());
        for about in hints {
            last += 1;
            let hint = Hint::new(about.clone(), last);
            let row = encode("hint", &HintRow::of(&hint))?;
            table.insert((about.repository.as_str(), about.reference.as_str()), row.as_slice())?;
            kept.push(hint);
        }
        self.tables.meta.write()?.insert(META_HINT, last)?;
        self.staged.dirty = true;
        Ok(Queued::Kept(kept))
    }

    /// Puts down when hints that were not given again are looked at next.
    pub(crate) fn postpone_hints(&mut self, hints: &[Hint]) -> Result<(), Failure> {
        let mut table = self.transaction.open_table(HINTS)?;
        for hint in hints {
            if is_kept(&table, hint)? {
                let row = encode("hint", &HintRow::of(hint))?;
                table.insert(key_of(hint), row.as_slice())?;
                self.staged.dirty = true;
            }
        }
        Ok(())
    }

    /// Removes hints that were not given again.
    pub(crate) fn remove_hints(&mut self, hints: &[Hint]) -> Result<(), Failure> {
        let mut table = self.transaction.open_table(HINTS)?;
        for hint in hints {
            if is_kept(&table, hint)? {
                table.remove(key_of(hint))?;
                self.staged.dirty = true;
            }
        }
        Ok(())
    }
}

fn key_of(hint: &Hint) -> (&str, &str) {
    (hint.about.repository.as_str(), hint.about.reference.as_str())
}

/// Whether a hint is there as this one, neither gone nor given again.
fn is_kept(table: &impl ReadableTable<TwoKeys, Json>, hint: &Hint) -> Result<bool, Failure> {
    let (repository, reference) = key_of(hint);
    let Some(row) = table.get((repository, reference))? else { return Ok(false) };
    Ok(decode_hint(repository, reference, row.value())?.number == hint.number)
}
