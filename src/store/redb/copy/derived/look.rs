//! The look itself: how it tells what it finds.

use redb::ReadTransaction;

use super::super::super::failure::Failure;
use crate::store::copy::{FindingKind, Telling};

/// How many rows are looked at before who waits is told.
const TOLD: u64 = 10_000;

/// A look at one state of the file.
pub(super) struct Look<'r, 'l, 't> {
    pub read: &'r ReadTransaction,
    pub telling: &'l mut Telling<'t>,
}

impl Look<'_, '_, '_> {
    pub(super) fn found(&mut self, kind: FindingKind, place: String, what: String) -> Result<(), Failure> {
        self.telling.found(kind, place, what).map_err(Failure::Refused)
    }

    pub(super) fn lacks(&mut self, table: &str, place: String) -> Result<(), Failure> {
        self.found(FindingKind::Index, place, format!("it is not found by `{table}`"))
    }

    pub(super) fn has_too_much(&mut self, table: &str, place: String) -> Result<(), Failure> {
        self.found(FindingKind::Index, place, format!("`{table}` leads there, and that is not so"))
    }

    pub(super) fn as_many(&mut self, table: &str, found: u64, rows: u64) -> Result<(), Failure> {
        match found > rows {
            true => self.has_too_much(table, format!("{} of {found} rows", found - rows)),
            false => Ok(()),
        }
    }

    /// Tells now and then that it goes on.
    pub(super) fn goes_on(&mut self, rows: u64) -> Result<(), Failure> {
        match rows.is_multiple_of(TOLD) {
            true => self.telling.looked_at(0).map_err(Failure::Refused),
            false => Ok(()),
        }
    }
}
