//! What is kept of sweeps.

use redb::{ReadableTable, ReadableTableMetadata};

use super::super::failure::Failure;
use super::super::tables::{
    SWEEP, SWEEP_ACTIVITY, SWEEP_CHECKPOINT, SWEEP_FINISHED, SWEEP_MARKS, sweep_queue, write_sweep_queue,
};
use super::Transaction;
use crate::store::{SweepQueue, SweepUpdate};

impl Transaction<'_> {
    /// Lets the ledger decide about the queue of sweeps.
    pub(crate) fn in_sweep_queue<T>(
        &mut self,
        decide: impl FnOnce(&mut SweepQueue) -> T,
    ) -> Result<T, Failure> {
        let before = sweep_queue(self.tables.meta.read()?)?;
        let mut queue = before;
        let answer = decide(&mut queue);
        if queue != before {
            write_sweep_queue(self.tables.meta.write()?, &queue)?;
            self.staged.dirty = true;
        }
        Ok(answer)
    }

    /// Replaces what is kept of a sweep: the checkpoint, and one piece of marks more, or instead of all others.
    pub(crate) fn keep_sweep(&mut self, update: &SweepUpdate) -> Result<(), Failure> {
        if update.forgets_marks {
            self.forget_marks()?;
        }
        let mut table = self.transaction.open_table(SWEEP)?;
        table.insert(SWEEP_CHECKPOINT, update.checkpoint.as_slice())?;
        if !update.marks.is_empty() {
            // Behind all pieces that there are: no row goes but all of them.
            let piece = format!("{SWEEP_MARKS}{:010}", table.len()?);
            let bytes: Vec<u8> = update.marks.iter().flat_map(|mark| mark.to_le_bytes()).collect();
            table.insert(piece.as_str(), bytes.as_slice())?;
        }
        self.staged.dirty = true;
        Ok(())
    }

    /// All rows go at once, which takes no longer for very many of them; but how the last sweep has ended stays.
    fn forget_marks(&mut self) -> Result<(), Failure> {
        let table = self.transaction.open_table(SWEEP)?;
        if table.range(SWEEP_MARKS..)?.next().is_none() {
            return Ok(());
        }
        let finished = table.get(SWEEP_FINISHED)?.map(|finished| finished.value().to_vec());
        drop(table);
        self.transaction.delete_table(SWEEP)?;
        let mut table = self.transaction.open_table(SWEEP)?;
        if let Some(finished) = finished {
            table.insert(SWEEP_FINISHED, finished.as_slice())?;
        }
        self.staged.dirty = true;
        Ok(())
    }

    /// Shows what the door that sweeps is at.
    pub(crate) fn show_sweep(&mut self, activity: &[u8]) -> Result<(), Failure> {
        self.transaction.open_table(SWEEP)?.insert(SWEEP_ACTIVITY, activity)?;
        self.staged.dirty = true;
        Ok(())
    }

    /// Keeps how a sweep has ended. What was shown of it is over.
    pub(crate) fn keep_end_of_sweep(&mut self, finished: &[u8]) -> Result<(), Failure> {
        let mut table = self.transaction.open_table(SWEEP)?;
        table.insert(SWEEP_FINISHED, finished)?;
        // Not removed: pieces of marks are numbered by how many rows there are.
        if table.get(SWEEP_ACTIVITY)?.is_some() {
            table.insert(SWEEP_ACTIVITY, [].as_slice())?;
        }
        self.staged.dirty = true;
        Ok(())
    }
}
