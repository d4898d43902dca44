//! Doors and leases as they stand in their columns.

use tokio_postgres::Row;

use super::super::failure::{Failure, number};
use crate::store::ledger::LeaseRow;
use crate::store::{Beat, DoorId, Incarnation, LeaseName};

/// How each door that lives was heard last.
pub(super) const DOORS: &str = "SELECT epoch, beat, door FROM doors WHERE died IS NULL ORDER BY joined";

/// A door's life from its columns.
pub(super) fn beat_of(row: &Row) -> Result<Beat, Failure> {
    let door = DoorId(number(row.try_get(2)?));
    let epoch = number(row.try_get(0)?);
    Ok(Beat { incarnation: Incarnation { door, epoch }, count: number(row.try_get(1)?) })
}

/// A lease from its columns; without a name one that this version does not know.
pub(super) fn lease_of(row: &Row) -> Result<(Option<LeaseName>, LeaseRow), Failure> {
    let name: &str = row.try_get(0)?;
    let door: Option<i64> = row.try_get(1)?;
    let door_epoch: Option<i64> = row.try_get(2)?;
    let holder = door
        .zip(door_epoch)
        .map(|(door, epoch)| Incarnation { door: DoorId(number(door)), epoch: number(epoch) });
    let name = LeaseName::ALL.into_iter().find(|known| column(*known) == name);
    Ok((name, LeaseRow { holder, epoch: number(row.try_get(3)?) }))
}

/// The name of a lease in its column.
pub(super) const fn column(name: LeaseName) -> &'static str {
    match name {
        LeaseName::Sweep => "sweep",
        LeaseName::Verify => "verify",
        LeaseName::Hints => "hints",
        LeaseName::Images => "images",
    }
}
