//! What happened: events, the epochs of their numbers, and what is counted of days.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{FindingKind, Part, Row, Singles};
use super::walk::{Cursor, Walk};
use crate::store::day::{DayCounts, DayRow};
use crate::store::{Sequence, StoreError};

/// Of so many numbers it is known which have events: a bit for each.
const MOST_NUMBERS: u64 = 1 << 28;

/// What is known of the events behind the look at them.
pub(super) struct History {
    /// A bit for each number that was given out.
    bits: Vec<u64>,
}

impl History {
    /// Looks at it.
    pub(super) fn look(walk: &mut Walk<'_, '_>, singles: &Singles) -> Result<Self, StoreError> {
        let last = singles.sequence.get();
        let mut history =
            Self { bits: vec![0; usize::try_from(last.min(MOST_NUMBERS) / 64 + 1).unwrap_or(0)] };
        let mut epochs = Cursor::of(Part::Epochs);
        while let Some(row) = epochs.next(walk)? {
            if let Row::Epoch { before, .. } = row
                && *before > singles.sequence
            {
                walk.never_given_out(format!("{before}, behind which an epoch begins"))?;
            }
        }
        let mut days = Days::read(walk)?;
        let mut events = Cursor::of(Part::Events);
        while let Some(row) = events.next(walk)? {
            let Row::Event(event) = row else { continue };
            if event.sequence > singles.sequence {
                walk.never_given_out(format!("event {}", event.sequence))?;
            }
            history.note(event.sequence);
            let (day, counts) = DayCounts::of_event(event);
            days.count(day, counts);
        }
        days.compare(walk)?;
        Ok(history)
    }

    fn note(&mut self, number: Sequence) {
        let (word, bit) = place_of(number);
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= bit;
        }
    }

    /// Whether there is an event of this number. Of numbers that are too many to be known there is.
    pub(super) fn has(&self, number: Sequence) -> bool {
        let (word, bit) = place_of(number);
        number.get() >= MOST_NUMBERS || self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }
}

fn place_of(number: Sequence) -> (usize, u64) {
    (usize::try_from(number.get() / 64).unwrap_or(usize::MAX), 1 << (number.get() % 64))
}

/// The days that are kept, and what events tell of them.
struct Days {
    kept: BTreeMap<u64, DayRow>,
    told: BTreeMap<u64, DayCounts>,
    /// Something happened before the first day that is kept.
    has_older: bool,
}

impl Days {
    fn read(walk: &mut Walk<'_, '_>) -> Result<Self, StoreError> {
        let mut kept = BTreeMap::new();
        let mut days = Cursor::of(Part::Days);
        while let Some(row) = days.next(walk)? {
            if let Row::Day { day, row } = row {
                kept.insert(*day, **row);
            }
        }
        Ok(Self { kept, told: BTreeMap::new(), has_older: false })
    }

    fn count(&mut self, day: u64, counts: DayCounts) {
        match self.kept.first_key_value() {
            Some((first, _)) if day >= *first => self.told.entry(day).or_default().add(counts),
            Some(_) | None => self.has_older = true,
        }
    }

    fn compare(&self, walk: &mut Walk<'_, '_>) -> Result<(), StoreError> {
        let Some((first, _)) = self.kept.first_key_value() else { return Ok(()) };
        let all: BTreeSet<u64> = self.kept.keys().chain(self.told.keys()).copied().collect();
        // The first one may have begun before days were counted.
        for day in all.into_iter().filter(|day| day != first || !self.has_older) {
            let told = self.told.get(&day).copied().unwrap_or_default();
            let Some(DayRow { counts: kept, .. }) = self.kept.get(&day) else {
                walk.telling.found(FindingKind::Days, place(day), "events tell of it, and it is not kept")?;
                continue;
            };
            walk.telling.compare(FindingKind::Days, &place(day), "pushes", kept.pushes, told.pushes)?;
            walk.telling.compare(
                FindingKind::Days,
                &place(day),
                "deletions",
                kept.deletions,
                told.deletions,
            )?;
        }
        Ok(())
    }
}

fn place(day: u64) -> String {
    format!("day {day} since 1970")
}
