//! What callers ask of the store, by its roles: writes go to the writer, reads to the database.

mod accounts;
mod auth_log;
mod clocks;
mod doors;
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

use super::PostgresStore;
use crate::store::{Store, StoreTrouble};

impl Store for PostgresStore {
    fn is_writable(&self) -> bool {
        self.shared.writable.load(Ordering::Acquire)
    }

    fn trouble(&self) -> Option<StoreTrouble> {
        self.shared.trouble()
    }

    fn is_lost_with_one_server(&self) -> bool {
        self.shared.is_alone
    }

    fn close(&self) {
        self.shut();
    }
}
