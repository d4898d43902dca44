//! The doors that share the record, within a transaction.

use std::sync::Arc;

use super::super::failure::{Failure, stored};
use super::super::query::{Query, query};
use super::Transaction;
use super::door_rows::column;
use crate::store::ledger::{LeaseRow, SharedMedium};
use crate::store::{Beat, DoorId, Incarnation, Intent, LeaseName};

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
    pub(in crate::store::postgres) fn door_beat(&self, door: DoorId) -> Option<Beat> {
        self.doors.iter().copied().find(|beat| beat.incarnation.door == door)
    }

    /// A door that was taken for dead, or leaves, is shown to no other any more.
    pub(in crate::store::postgres) fn bury_door(&mut self, door: DoorId) {
        self.tell_with_commit(query!(BURY, stored(door.0)));
        self.doors.retain(|beat| beat.incarnation.door != door);
    }

    /// This door lives from now on as this.
    pub(in crate::store::postgres) fn join_as(&mut self, incarnation: Incarnation) {
        self.tell_with_commit(query!(FORGET_DEAD));
        self.joined = Some(incarnation);
    }

    fn tell_with_commit(&mut self, query: Query) {
        self.is_dirty = true;
        self.with_commit.push(query);
    }
}

impl SharedMedium for Transaction<'_> {
    fn door(&self, door: DoorId) -> Result<Option<Beat>, Failure> {
        Ok(self.door_beat(door))
    }

    fn doors(&self) -> Result<Vec<Beat>, Failure> {
        Ok(self.doors.clone())
    }

    fn set_door(&mut self, beat: Beat) -> Result<(), Failure> {
        let Beat { incarnation: Incarnation { door, epoch }, count } = beat;
        self.tell_with_commit(query!(SET_DOOR, stored(door.0), stored(epoch), stored(count)));
        match self.doors.iter_mut().find(|known| known.incarnation.door == door) {
            Some(known) => *known = beat,
            None => self.doors.push(beat),
        }
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
        self.tell_with_commit(query!(
            SET_LEASE,
            column(name),
            holder.map(|holder| stored(holder.door.0)),
            holder.map(|holder| stored(holder.epoch)),
            stored(row.epoch),
        ));
        Ok(())
    }
}
