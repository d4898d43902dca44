//! Epochs, and what is said of removals.

use redb::{ReadableTable, ReadableTableMetadata};

use super::super::failure::Failure;
use super::super::tables::{
    EPOCHS, EVENTS, MAXIMUM_EPOCHS, META, META_ACCEPTED, META_IDENTITY_HIGH, META_IDENTITY_LOW,
    META_SEQUENCE, decode, number,
};
use super::Snapshot;
use crate::clock::Timestamp;
use crate::store::{Epoch, Event, History, Missing, Sequence};

impl Snapshot {
    /// How much was recorded as gone since then that the door did not carry.
    pub(crate) fn found_removals(&self, since: Timestamp) -> Result<Missing, Failure> {
        let mut found = Missing::default();
        for entry in self.0.open_table(EVENTS)?.iter()?.rev() {
            let (sequence, row) = entry?;
            let event: Event = decode(|| format!("event {}", sequence.value()), row.value())?;
            if event.time < since {
                break;
            }
            found.count_removal(&event);
        }
        Ok(found)
    }

    /// Up to which number what was marked as missing is accepted as gone.
    pub(crate) fn accepted(&self) -> Result<Sequence, Failure> {
        Ok(Sequence::new(number(&self.0.open_table(META)?, META_ACCEPTED)?))
    }

    pub(crate) fn history(&self) -> Result<History, Failure> {
        let meta = self.0.open_table(META)?;
        let identity =
            Epoch::from_halves(number(&meta, META_IDENTITY_HIGH)?, number(&meta, META_IDENTITY_LOW)?);
        let last = self.0.open_table(EPOCHS)?.last()?.map(|(_, epoch)| Epoch::new(epoch.value()));
        Ok(History { identity, epoch: last.unwrap_or(identity) })
    }

    pub(crate) fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, Failure> {
        let epochs = self.0.open_table(EPOCHS)?;
        // The last number of the epoch that is looked at.
        let mut end = number(&self.0.open_table(META)?, META_SEQUENCE)?;
        for entry in epochs.iter()?.rev() {
            let (begun, found) = entry?;
            if Epoch::new(found.value()) == epoch {
                return Ok(position.get() <= end);
            }
            end = begun.value();
        }
        let is_whole = epochs.len()? < MAXIMUM_EPOCHS;
        Ok(is_whole && epoch == self.history()?.identity && position.get() <= end)
    }
}
