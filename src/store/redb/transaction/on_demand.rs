//! A table of a write transaction that is opened when it is first touched. To open one and to close it costs more than to write
//! a row, and most transactions touch few.

use std::cell::OnceCell;

use redb::{Key, Table, TableDefinition, Value, WriteTransaction};

use super::super::failure::Failure;

/// See the module.
pub(super) struct OnDemand<'txn, K: Key + 'static, V: Value + 'static> {
    transaction: &'txn WriteTransaction,
    definition: TableDefinition<'static, K, V>,
    table: OnceCell<Table<'txn, K, V>>,
}

impl<'txn, K: Key + 'static, V: Value + 'static> OnDemand<'txn, K, V> {
    /// This table of the transaction, not open yet. Nothing else may open it while this lives.
    pub(super) const fn new(
        transaction: &'txn WriteTransaction,
        definition: TableDefinition<'static, K, V>,
    ) -> Self {
        Self { transaction, definition, table: OnceCell::new() }
    }

    /// The table, to be read.
    pub(super) fn read(&self) -> Result<&Table<'txn, K, V>, Failure> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let table = self.transaction.open_table(self.definition)?;
        Ok(self.table.get_or_init(|| table))
    }

    /// The table, to be written.
    pub(super) fn write(&mut self) -> Result<&mut Table<'txn, K, V>, Failure> {
        self.read()?;
        // It is open now.
        self.table.get_mut().ok_or(Failure::Interrupted)
    }
}
