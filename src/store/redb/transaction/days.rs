//! What happened on each day, kept up within the transaction in which it happens.

use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::super::failure::Failure;
use super::super::tables::{DAYS, META_BYTES, decode, encode, number};
use super::record::Tables;
use crate::store::Totals;
use crate::store::day::{DayCounts, DayRow, MAXIMUM_DAYS};

impl Tables<'_> {
    /// Counts what happened on a day; it is written down at the end of the transaction.
    pub(super) fn count_on_day(&mut self, day: u64, counts: DayCounts) {
        self.days.entry(day).or_default().add(counts);
    }

    /// The bytes of a repository were so many, and are so many now.
    pub(super) fn count_bytes(&mut self, before: u64, after: u64) -> Result<(), Failure> {
        if before != after {
            let sum = number(self.meta.read()?, META_BYTES)?.wrapping_sub(before).wrapping_add(after);
            self.meta.write()?.insert(META_BYTES, sum)?;
        }
        Ok(())
    }

    /// Writes down what was counted, and lets go of the oldest days where there are too many.
    pub(super) fn write_days(&mut self) -> Result<(), Failure> {
        if self.days.is_empty() {
            return Ok(());
        }
        let totals = Totals {
            repositories: self.repositories.read()?.len()?,
            tags: self.tags.read()?.len()?,
            manifests: self.manifests.read()?.len()?,
            bytes: number(self.meta.read()?, META_BYTES)?,
        };
        let mut table = self.transaction.open_table(DAYS)?;
        for (day, counts) in std::mem::take(&mut self.days) {
            let kept = table.get(day)?.map(|row| decode(|| format!("day {day}"), row.value())).transpose()?;
            let row = DayRow::with(kept, counts, totals);
            table.insert(day, encode("day", &row)?.as_slice())?;
        }
        while table.len()? > MAXIMUM_DAYS {
            table.pop_first()?;
        }
        Ok(())
    }
}
