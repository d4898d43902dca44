//! The doors that share the record, within a transaction.

use std::sync::Arc;

use super::super::failure::{Failure, number, stored};
use super::super::query::query;
use super::Transaction;
use super::door_rows::{DOOR, beat_of, column};
use crate::store::ledger::{LeaseRow, SharedMedium};
use crate::store::{Beat, DoorId, Incarnation, Intent, LeaseName};

const DOORS: &str = "SELECT epoch, beat, door FROM doors WHERE died IS NULL ORDER BY joined";
const SET_DOOR: &str = "
INSERT INTO doors (door, epoch, beat, batch, joined) SELECT $1, $2, $3, 0, coalesce(max(joined), 0) + 1 FROM doors
ON CONFLICT (door) DO UPDATE SET epoch = excluded.epoch, beat = excluded.beat";
/// The row stays for a while: the door may want to know which transaction of its own was the last to be committed.
const BURY: &str = "UPDATE doors SET died = now() WHERE door = $1";
const FORGET_DEAD: &str = "DELETE FROM doors WHERE died < now() - interval '1 day'";
const SET_LEASE: &str = "
INSERT INTO leases (name, door, door_epoch, epoch) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET door = excluded.door, door_epoch = excluded.door_epoch, epoch = excluded.epoch";
const REPOSITORIES_HELD: &str = "SELECT DISTINCT repository FROM intents WHERE door = $1 AND door_epoch = $2";

impl Transaction<'_> {
    /// How a door was heard last, if it lives.
    pub(in crate::store::postgres) fn door_beat(&self, door: DoorId) -> Result<Option<Beat>, Failure> {
        if let Some(known) = self.doors.borrow().get(&door) {
            return Ok(*known);
        }
        let rows = self.ask(query!(DOOR, stored(door.0)))?;
        let beat = rows.first().map(|row| beat_of(door, row)).transpose()?;
        self.doors.borrow_mut().insert(door, beat);
        Ok(beat)
    }

    /// A door that was taken for dead, or leaves, is shown to no other any more.
    pub(in crate::store::postgres) fn bury_door(&mut self, door: DoorId) -> Result<(), Failure> {
        self.tell(query!(BURY, stored(door.0)))?;
        self.doors.get_mut().insert(door, None);
        Ok(())
    }

    /// This door lives from now on as this.
    pub(in crate::store::postgres) fn join_as(&mut self, incarnation: Incarnation) -> Result<(), Failure> {
        self.tell(query!(FORGET_DEAD))?;
        self.joined = Some(incarnation);
        Ok(())
    }
}

impl SharedMedium for Transaction<'_> {
    fn door(&self, door: DoorId) -> Result<Option<Beat>, Failure> {
        self.door_beat(door)
    }

    fn doors(&self) -> Result<Vec<Beat>, Failure> {
        let rows = self.ask(query!(DOORS))?;
        rows.iter().map(|row| beat_of(DoorId(number(row.try_get(2)?)), row)).collect()
    }

    fn set_door(&mut self, beat: Beat) -> Result<(), Failure> {
        let Beat { incarnation: Incarnation { door, epoch }, count } = beat;
        self.tell(query!(SET_DOOR, stored(door.0), stored(epoch), stored(count)))?;
        self.doors.get_mut().insert(door, Some(beat));
        Ok(())
    }

    fn intents_held_by(&self, holder: Incarnation) -> Result<Vec<Arc<Intent>>, Failure> {
        self.flush()?;
        let repositories =
            self.ask(query!(REPOSITORIES_HELD, stored(holder.door.0), stored(holder.epoch)))?;
        let mut held = Vec::new();
        for row in repositories {
            let repository = super::wanted::name(row.try_get(0)?)?;
            let open = crate::store::ledger::View::intents_of(self, &repository)?;
            held.extend(open.into_iter().filter(|intent| intent.holder == holder));
        }
        held.sort_unstable_by_key(|intent| intent.sequence);
        Ok(held)
    }

    fn lease(&self, name: LeaseName) -> Result<Option<LeaseRow>, Failure> {
        Ok(self.leases.get(&name).copied())
    }

    fn set_lease(&mut self, name: LeaseName, row: LeaseRow) -> Result<(), Failure> {
        if self.leases.insert(name, row) == Some(row) {
            return Ok(());
        }
        let holder = row.holder;
        self.tell(query!(
            SET_LEASE,
            column(name),
            holder.map(|holder| stored(holder.door.0)),
            holder.map(|holder| stored(holder.epoch)),
            stored(row.epoch),
        ))?;
        Ok(())
    }
}
