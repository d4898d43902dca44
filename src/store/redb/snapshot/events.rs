//! Parts of the history.

use std::iter;
use std::ops::RangeInclusive;

use redb::{ReadOnlyTable, TableError};

use super::super::failure::Failure;
use super::super::tables::{
    EVENT_TIMES, EVENTS, EVENTS_BY_REPOSITORY, Json, META, META_SEQUENCE, decode, number,
};
use super::page::Filling;
use super::{NotThere, Snapshot};
use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::store::event_range::{block_of, numbers_of};
use crate::store::{Event, EventOrder, EventRange, Page, PageRequest, Sequence};

/// So many blocks of numbers are left out, or looked into, at most in one part: four million numbers.
const BLOCKS: usize = 4_096;

type EventTimes = ReadOnlyTable<u64, (u64, u64)>;
type Numbers<'a> = Box<dyn Iterator<Item = Result<u64, Failure>> + 'a>;

/// What comes next of the history.
enum Stretch {
    /// These numbers, and whether they are the last ones.
    Numbers { numbers: RangeInclusive<u64>, is_last: bool },
    /// Nothing up to this number, and there is more behind it.
    Nothing(u64),
    /// Nothing any more.
    End,
}

impl Snapshot {
    pub(crate) fn events(&self, range: &EventRange) -> Result<Page<Event, Sequence>, Failure> {
        let events = self.0.open_table(EVENTS)?;
        let times = match range.times.is_unbounded() {
            true => None,
            false => self.event_times()?,
        };
        let last = number(&self.0.open_table(META)?, META_SEQUENCE)?;
        let mut rest = match (range.order, range.after.map(Sequence::get)) {
            (EventOrder::OldestFirst, after) => after.unwrap_or(0).saturating_add(1)..=last,
            (EventOrder::NewestFirst, None) => 1..=last,
            (EventOrder::NewestFirst, Some(after)) => 1..=last.min(after.saturating_sub(1)),
        };
        let mut filling = Filling::new(&PageRequest { after: range.after, limit: range.rows });
        let (mut rows, mut blocks) = (filling.limit, BLOCKS);
        loop {
            let (numbers, is_last) = match stretch(range, times.as_ref(), &rest, &mut blocks)? {
                Stretch::Numbers { numbers, is_last } => (numbers, is_last),
                Stretch::Nothing(number) => {
                    filling.pass(Sequence::new(number));
                    return Ok(filling.part());
                }
                Stretch::End => return Ok(filling.end()),
            };
            for number in self.numbers(range.repository.as_ref(), numbers.clone(), range.order)? {
                let number = number?;
                if rows == 0 {
                    return Ok(filling.part());
                }
                rows -= 1;
                let row = events
                    .get(number)?
                    .ok_or_else(|| Failure::corrupt(format!("event {number}"), NotThere))?;
                if !filling.has_room(row.value().len()) {
                    return Ok(filling.part());
                }
                let event: Event = decode(|| format!("event {number}"), row.value())?;
                if range.times.contains(event.time) {
                    filling.push(Sequence::new(number), event);
                } else {
                    filling.pass(Sequence::new(number));
                }
            }
            if is_last {
                return Ok(filling.end());
            }
            blocks = blocks.saturating_sub(1);
            if blocks == 0 {
                filling.pass(Sequence::new(match range.order {
                    EventOrder::OldestFirst => *numbers.end(),
                    EventOrder::NewestFirst => *numbers.start(),
                }));
                return Ok(filling.part());
            }
            rest = match range.order {
                EventOrder::OldestFirst => numbers.end().saturating_add(1)..=*rest.end(),
                EventOrder::NewestFirst => *rest.start()..=numbers.start().saturating_sub(1),
            };
        }
    }

    /// The times of blocks. A file of an earlier program has no such table before a block is finished.
    fn event_times(&self) -> Result<Option<EventTimes>, Failure> {
        match self.0.open_table(EVENT_TIMES) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The numbers of events, of one repository or of all.
    fn numbers(
        &self,
        repository: Option<&RepositoryName>,
        numbers: RangeInclusive<u64>,
        order: EventOrder,
    ) -> Result<Numbers<'static>, Failure> {
        let (first, last) = numbers.into_inner();
        if first > last {
            return Ok(Box::new(iter::empty()));
        }
        let of_all = |entry: Result<(redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, Json>), _>| {
            entry.map(|(number, _)| number.value()).map_err(|error: redb::StorageError| error.into())
        };
        match repository {
            None => {
                let found = self.0.open_table(EVENTS)?.range(first..=last)?;
                Ok(match order {
                    EventOrder::OldestFirst => Box::new(found.map(of_all)),
                    EventOrder::NewestFirst => Box::new(found.rev().map(of_all)),
                })
            }
            Some(repository) => {
                let name = repository.as_str();
                let index = self.0.open_table(EVENTS_BY_REPOSITORY)?;
                let found = index.range((name, first)..=(name, last))?;
                let of_one = |entry: Result<(redb::AccessGuard<'_, (&str, u64)>, _), redb::StorageError>| {
                    let (key, _): (_, redb::AccessGuard<'_, ()>) = entry?;
                    Ok(key.value().1)
                };
                Ok(match order {
                    EventOrder::OldestFirst => Box::new(found.map(of_one)),
                    EventOrder::NewestFirst => Box::new(found.rev().map(of_one)),
                })
            }
        }
    }
}

/// The next numbers among `rest` whose events may be of the times that are asked for: the rest of a block, or all of it where
/// every time is. `blocks` counts down how many more there may be in this part.
fn stretch(
    range: &EventRange,
    times: Option<&EventTimes>,
    rest: &RangeInclusive<u64>,
    blocks: &mut usize,
) -> Result<Stretch, Failure> {
    let (first, last) = (*rest.start(), *rest.end());
    if first > last {
        return Ok(Stretch::End);
    }
    let Some(times) = times else {
        return Ok(Stretch::Numbers { numbers: rest.clone(), is_last: true });
    };
    let stretch_of = |block| {
        let (from, to) = numbers_of(block);
        let numbers = from.max(first)..=to.min(last);
        let is_last = match range.order {
            EventOrder::OldestFirst => *numbers.end() == last,
            EventOrder::NewestFirst => *numbers.start() == first,
        };
        Stretch::Numbers { numbers, is_last }
    };
    let (nearest, farthest) = match range.order {
        EventOrder::OldestFirst => (block_of(first), block_of(last)),
        EventOrder::NewestFirst => (block_of(last), block_of(first)),
    };
    let known = times.range(nearest.min(farthest)..=nearest.max(farthest))?;
    let mut known: Box<dyn Iterator<Item = _>> = match range.order {
        EventOrder::OldestFirst => Box::new(known),
        EventOrder::NewestFirst => Box::new(known.rev()),
    };
    let mut block = nearest;
    loop {
        let times = match known.next().transpose()? {
            Some((key, times)) if key.value() == block => times.value(),
            // Nothing is known of this block.
            Some(_) | None => return Ok(stretch_of(block)),
        };
        let [earliest, latest] = [times.0, times.1].map(Timestamp::from_milliseconds);
        if range.times.may_meet(earliest, latest) {
            return Ok(stretch_of(block));
        }
        if block == farthest {
            return Ok(Stretch::End);
        }
        *blocks = blocks.saturating_sub(1);
        if *blocks == 0 {
            let (from, to) = numbers_of(block);
            return Ok(Stretch::Nothing(match range.order {
                EventOrder::OldestFirst => to,
                EventOrder::NewestFirst => from,
            }));
        }
        block = match range.order {
            EventOrder::OldestFirst => block + 1,
            EventOrder::NewestFirst => block - 1,
        };
    }
}
