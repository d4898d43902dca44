//! What callers ask of the store, by its roles: writes go to the writer, points are read in place and lists on threads that may
//! block.

mod accounts;
mod auth_log;
mod clocks;
pub(super) mod doors;
mod events;
mod health;
mod hints;
mod images;
mod ledger;
mod numbers;
mod pulls;
mod records;
mod sweep_state;

use std::sync::atomic::Ordering;

use super::copy::Rows;
use super::panics::caught;
use super::{READ, RedbStore};
use crate::store::{Store, StoreError, StoreTrouble, WholeRecord};

impl Store for RedbStore {
    fn is_writable(&self) -> bool {
        self.shared.writable.load(Ordering::Acquire)
    }

    fn trouble(&self) -> Option<StoreTrouble> {
        self.shared.trouble()
    }

    fn whole(&self) -> Result<Option<WholeRecord>, StoreError> {
        self.shared.check_open()?;
        let snapshot = caught(|| self.shared.snapshot()).map_err(|failure| failure.into_error(READ))?;
        Ok(Some(WholeRecord(Box::new(Rows::in_snapshot(snapshot)))))
    }

    fn close(&self) {
        self.shut();
    }
}
