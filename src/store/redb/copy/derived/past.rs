//! What happened, what is left of what went, and what happened at the gate.

use redb::{ReadOnlyTable, ReadableTable as _, ReadableTableMetadata as _};

use super::super::super::failure::Failure;
use super::super::super::tables::{
    DELETED_MANIFESTS, DELETED_MANIFESTS_BY_AGE, EVENT_TIMES, EVENTS, EVENTS_BY_REPOSITORY, TOMBSTONES,
    TOMBSTONES_BY_AGE, auth_events, decode, optional,
};
use super::look::Look;
use crate::store::copy::FindingKind;
use crate::store::event_range::{block_of, numbers_of};
use crate::store::tombstone::Tombstone;
use crate::store::{AuthEvent, AuthEventKind, Event};

impl Look<'_, '_, '_> {
    /// Looks at all of it.
    pub(super) fn past(&mut self) -> Result<(), Failure> {
        self.events()?;
        self.tombstones()?;
        self.deleted()?;
        self.auth_events()
    }

    fn events(&mut self) -> Result<(), Failure> {
        let by_repository = self.read.open_table(EVENTS_BY_REPOSITORY)?;
        let times = optional(self.read, EVENT_TIMES)?;
        let table = self.read.open_table(EVENTS)?;
        let mut found = 0;
        // The earliest and the latest time of the block that is gone through.
        let mut block: Option<(u64, u64, u64)> = None;
        for (rows, entry) in (0..).zip(table.iter()?) {
            let (number, row) = entry?;
            let number = number.value();
            let event: Event = decode(|| format!("event {number}"), row.value())?;
            if event.sequence.get() != number {
                let what = format!("it says that it is {}", event.sequence);
                self.found(FindingKind::History, format!("event {number}"), what)?;
            }
            match by_repository.get((event.repository.as_str(), number))?.is_some() {
                true => found += 1,
                false => self.lacks("events_by_repository", format!("event {number}"))?,
            }
            let (time, of) = (event.time.as_milliseconds(), block_of(number));
            block = match block {
                Some((now, earliest, latest)) if now == of => {
                    Some((of, earliest.min(time), latest.max(time)))
                }
                other => {
                    self.times(times.as_ref(), other)?;
                    Some((of, time, time))
                }
            };
            self.goes_on(rows)?;
        }
        self.times(times.as_ref(), block)?;
        if by_repository.len()? > found {
            for entry in by_repository.iter()? {
                let (key, ()) = (entry?.0, ());
                let (name, number) = key.value();
                let event: Option<Event> = table
                    .get(number)?
                    .map(|row| decode(|| format!("event {number}"), row.value()))
                    .transpose()?;
                if event.is_none_or(|event| event.repository.as_str() != name) {
                    self.has_too_much("events_by_repository", format!("event {number} of {name}"))?;
                }
            }
        }
        Ok(())
    }

    /// Compares the times that are kept of a block, if any are.
    fn times(
        &mut self,
        times: Option<&ReadOnlyTable<u64, (u64, u64)>>,
        block: Option<(u64, u64, u64)>,
    ) -> Result<(), Failure> {
        let (Some(times), Some((block, earliest, latest))) = (times, block) else { return Ok(()) };
        match times.get(block)?.map(|kept| kept.value()) {
            Some(kept) if kept != (earliest, latest) => {
                let (first, last) = numbers_of(block);
                let what = "the times by which they are found are not theirs".to_owned();
                self.found(FindingKind::Index, format!("events {first} to {last}"), what)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn tombstones(&mut self) -> Result<(), Failure> {
        let by_age = self.read.open_table(TOMBSTONES_BY_AGE)?;
        let table = self.read.open_table(TOMBSTONES)?;
        for entry in table.iter()? {
            let (key, row) = entry?;
            let (name, buried) = key.value();
            let row: Tombstone = decode(|| format!("tombstone of `{buried}` in `{name}`"), row.value())?;
            if by_age.get((row.at.as_milliseconds(), name, buried))?.is_none() {
                self.lacks("tombstones_by_age", format!("what is left of {buried} in {name}"))?;
            }
        }
        self.as_many("tombstones_by_age", by_age.len()?, table.len()?)
    }

    fn deleted(&mut self) -> Result<(), Failure> {
        let by_age = self.read.open_table(DELETED_MANIFESTS_BY_AGE)?;
        let table = self.read.open_table(DELETED_MANIFESTS)?;
        for entry in table.iter()? {
            let (key, rows) = entry?;
            let ((name, digest), (at, document, bytes)) = (key.value(), rows.value());
            let size = by_age.get((at, name, digest))?.map(|size| size.value());
            if size != Some((document.len() + bytes.len()) as u64) {
                self.lacks("deleted_manifests_by_age", format!("the deleted {name}@{digest}"))?;
            }
        }
        self.as_many("deleted_manifests_by_age", by_age.len()?, table.len()?)
    }

    fn auth_events(&mut self) -> Result<(), Failure> {
        for kind in AuthEventKind::ALL {
            let Some(table) = optional(self.read, auth_events(kind))? else { continue };
            for entry in table.iter()? {
                let (number, row) = entry?;
                let number = number.value();
                let event: AuthEvent = decode(|| format!("event {number} of the gate"), row.value())?;
                if event.kind != kind {
                    self.has_too_much(&format!("{kind:?}"), format!("event {number} of the gate"))?;
                }
            }
        }
        Ok(())
    }
}
