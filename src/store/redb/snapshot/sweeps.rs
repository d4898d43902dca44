//! What is kept of sweeps.

use super::super::failure::Failure;
use super::super::tables::{
    META, SWEEP, SWEEP_ACTIVITY, SWEEP_CHECKPOINT, SWEEP_FINISHED, SWEEP_MARKS, sweep_queue,
};
use super::Snapshot;
use crate::store::{KeptSweep, SweepQueue, SweepReport};

impl Snapshot {
    pub(crate) fn sweep_queue(&self) -> Result<SweepQueue, Failure> {
        sweep_queue(&self.0.open_table(META)?)
    }

    pub(crate) fn kept_sweep(&self) -> Result<Option<KeptSweep>, Failure> {
        let table = self.0.open_table(SWEEP)?;
        let Some(checkpoint) = table.get(SWEEP_CHECKPOINT)? else { return Ok(None) };
        let mut kept = KeptSweep { checkpoint: checkpoint.value().to_vec(), marks: Vec::new() };
        for entry in table.range(SWEEP_MARKS..)? {
            let (_, piece) = entry?;
            let marks = piece.value().as_chunks().0.iter().map(|mark| u64::from_le_bytes(*mark));
            kept.marks.extend(marks);
        }
        Ok(Some(kept))
    }

    pub(crate) fn sweep_report(&self) -> Result<SweepReport, Failure> {
        let table = self.0.open_table(SWEEP)?;
        let row = |name| -> Result<Option<Vec<u8>>, Failure> {
            let found = table.get(name)?.map(|row| row.value().to_vec());
            Ok(found.filter(|row| !row.is_empty()))
        };
        let (activity, finished) = (row(SWEEP_ACTIVITY)?, row(SWEEP_FINISHED)?);
        Ok(SweepReport { queue: self.sweep_queue()?, activity, finished })
    }
}
