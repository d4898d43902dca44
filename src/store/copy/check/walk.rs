//! Goes through the parts of a record, some rows at a time.

use std::collections::VecDeque;

use super::super::finding::Telling;
use super::super::{FindingKind, Part, Row, RowSource, Tally};
use crate::store::StoreError;

/// A record that is gone through.
pub(super) struct Walk<'s, 't> {
    source: &'s mut dyn RowSource,
    pub telling: &'s mut Telling<'t>,
    /// What the rows come to that were gone through.
    pub tally: Tally,
}

/// A place in one part. Two of them may be in different places.
pub(super) struct Cursor {
    part: Part,
    rows: VecDeque<Row>,
    /// The last row that was taken.
    last: Option<Row>,
    is_over: bool,
    /// Rows that are gone through again count no more.
    counts: bool,
}

impl<'s, 't> Walk<'s, 't> {
    pub(super) fn of(source: &'s mut dyn RowSource, telling: &'s mut Telling<'t>) -> Self {
        Self { source, telling, tally: Tally::default() }
    }

    /// This names something by a number that was never given out.
    pub(super) fn never_given_out(&mut self, place: String) -> Result<(), StoreError> {
        self.telling.found(FindingKind::History, place, "a number that was never given out")
    }
}

impl Cursor {
    /// At the beginning of a part.
    pub(super) const fn of(part: Part) -> Self {
        Self { part, rows: VecDeque::new(), last: None, is_over: false, counts: true }
    }

    /// At the beginning of a part, for rows that were gone through or will be.
    pub(super) const fn again(part: Part) -> Self {
        Self { part, rows: VecDeque::new(), last: None, is_over: false, counts: false }
    }

    /// The next row, which stays the next one.
    pub(super) fn peek(&mut self, walk: &mut Walk<'_, '_>) -> Result<Option<&Row>, StoreError> {
        if self.rows.is_empty() && !self.is_over {
            let rows = walk.source.rows(self.part, self.last.as_ref())?;
            self.is_over = rows.is_empty();
            if self.counts {
                walk.telling.looked_at(rows.len() as u64)?;
            }
            self.rows = rows.into();
        }
        Ok(self.rows.front())
    }

    /// The next row.
    pub(super) fn next(&mut self, walk: &mut Walk<'_, '_>) -> Result<Option<&Row>, StoreError> {
        self.peek(walk)?;
        let Some(row) = self.rows.pop_front() else { return Ok(None) };
        if self.last.as_ref().is_some_and(|last| !row.is_behind(last)) {
            let place = format!("{:?} {:?}", self.part, row.key());
            walk.telling.found(FindingKind::Unreadable, place, "the row says another key than it has")?;
            self.is_over = true;
            self.rows.clear();
        }
        if self.counts {
            walk.tally.count(&row);
        }
        Ok(Some(self.last.insert(row)))
    }

    /// This place, to come back to.
    pub(super) fn place(&self) -> Self {
        let Self { part, last, .. } = self;
        Self { last: last.clone(), ..Self::again(*part) }
    }
}
