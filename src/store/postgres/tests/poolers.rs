//! The contract over PgBouncer, which gives each transaction whichever connection is free.

use std::sync::Arc;

use secrecy::SecretString;

use super::pooler::Pooler;
use super::postgres::{Database, PASSWORD};
use super::{PostgresAddress, PostgresStore, TlsFiles};
use crate::store::Store;
use crate::store::contract::several_doors::TwoDoors;
use crate::store::contract::{contract_tests, several_doors_tests};

/// A database with the pooler that leads to it.
struct Pooled {
    pooler: Pooler,
    _database: Database,
}

impl Pooled {
    fn new() -> Self {
        let database = Database::create();
        Self { pooler: Pooler::of(&database), _database: database }
    }

    fn open(&self) -> Arc<dyn Store> {
        let password = SecretString::from(PASSWORD);
        let address = PostgresAddress::parse(self.pooler.url(), Some(&password), TlsFiles::default());
        Arc::new(PostgresStore::open(&address.unwrap()).unwrap())
    }
}

fn empty() -> (Arc<dyn Store>, Pooled) {
    let pooled = Pooled::new();
    (pooled.open(), pooled)
}

fn shared() -> (TwoDoors, Pooled) {
    let pooled = Pooled::new();
    ([pooled.open(), pooled.open()], pooled)
}

mod over_a_pooler {
    use super::*;

    contract_tests!(empty);
}

mod several_doors {
    use super::*;

    several_doors_tests!(shared);
}
