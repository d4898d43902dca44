//! Several doors over one medium.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;

use super::{MemoryMedium, MemoryStore, State, Steps};
use crate::store::ledger::{self, LeaseRow, Refused, SharedMedium};
use crate::store::{
    Beat, DoorId, Doors, Incarnation, Intent, Lease, LeaseName, Sequence, Source, StoreError,
};

impl MemoryStore {
    /// One door among several over this medium, followed from step to step. A door that was there before begins a new life.
    pub fn join(medium: &MemoryMedium, door: DoorId, steps: Arc<dyn Steps>) -> Self {
        let mut state = medium.state();
        let Ok(incarnation) = ledger::join(&mut *state, door);
        // The record changes hands among the doors, and stays the same history.
        let epoch = state.epoch_of_doors();
        drop(state);
        Self { is_shared: true, ..Self::over(medium, epoch, incarnation, steps) }
    }

    /// Looks at the medium, beside the doors that are over it.
    pub fn observing(medium: &MemoryMedium) -> Self {
        Self::over(medium, medium.state().epoch_of_doors(), Incarnation::default(), Arc::new(super::Yields))
    }

    /// The life that this door is in.
    pub(super) fn incarnation(&self) -> Incarnation {
        *self.lock_incarnation()
    }
}

#[async_trait]
impl Doors for MemoryStore {
    fn is_shared(&self) -> bool {
        self.is_shared
    }

    async fn beat(&self) -> Result<Vec<Beat>, StoreError> {
        if !self.is_shared {
            return Ok(Vec::new());
        }
        let by = self.incarnation();
        let Ok(beats) = self.write("show that a door lives", |state| ledger::beat(state, by)).await?;
        beats.ok_or(StoreError::Fenced)
    }

    async fn adopt(&self, last_heard: Beat) -> Result<bool, StoreError> {
        let attempted = "take over from a dead door";
        let Ok(adopted) = self.write(attempted, |state| ledger::adopt(state, last_heard)).await?;
        Ok(adopted)
    }

    async fn rejoin(&self) -> Result<(), StoreError> {
        let door = self.incarnation().door;
        let Ok(incarnation) = self.write("join the other doors", |state| ledger::join(state, door)).await?;
        *self.lock_incarnation() = incarnation;
        Ok(())
    }

    async fn acquire(&self, name: LeaseName) -> Result<Option<Lease>, StoreError> {
        let by = self.incarnation();
        if !self.is_shared {
            return Ok(Some(Lease { name, epoch: 0 }));
        }
        let attempted = "take a lease";
        let Ok(acquired) = self.write(attempted, |state| ledger::acquire(state, by, name)).await?;
        acquired.map_err(|refused: Refused| refused.into_error(attempted))
    }

    async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        let by = self.incarnation();
        let Ok(()) = self.write("give back a lease", |state| ledger::release(state, by, lease)).await?;
        Ok(())
    }
}

impl MemoryMedium {
    /// Whether a door is carrying a write to this reference, in the life that it is in.
    pub fn carries(&self, door: DoorId, repository: &str, reference: &str) -> bool {
        let state = self.state();
        let current = state.doors.get(&door).map(|beat| beat.incarnation).unwrap_or_default();
        state.intents.values().any(|intent| {
            let references = intent.write.references();
            intent.state.is_carried()
                && intent.holder == current
                && intent.repository.as_str() == repository
                && references.iter().any(|named| named.as_str() == reference)
        })
    }

    /// An event that was recorded by a door which had been taken for dead; or by a sweep of one that did not hold the lease.
    pub fn recorded_wrongly(&self) -> Option<(Sequence, &'static str)> {
        let state = self.state();
        state.recorded_by.iter().find_map(|(sequence, (source, by))| {
            let mut lives = state.lives.iter().rev();
            let life = lives.find(|(at, incarnation)| incarnation.door == by.door && at < sequence);
            if life.map(|(_, incarnation)| incarnation) != Some(by) {
                return Some((*sequence, "a door that was taken for dead"));
            }
            let mut held = state.lease_history.iter().rev();
            let held = held.find(|(at, name, _)| *name == LeaseName::Sweep && at < sequence);
            let is_held = held.and_then(|(_, _, holder)| *holder) == Some(*by);
            (*source == Source::Swept && !is_held).then_some((*sequence, "a sweep without its lease"))
        })
    }
}

impl SharedMedium for State {
    fn door(&self, door: DoorId) -> Result<Option<Beat>, Infallible> {
        Ok(self.doors.get(&door).copied())
    }

    fn doors(&self) -> Result<Vec<Beat>, Infallible> {
        Ok(self.doors.values().copied().collect())
    }

    fn set_door(&mut self, beat: Beat) -> Result<(), Infallible> {
        let before = self.doors.insert(beat.incarnation.door, beat);
        if before.map(|before| before.incarnation) != Some(beat.incarnation) {
            self.lives.push((self.sequence, beat.incarnation));
        }
        Ok(())
    }

    fn intents_held_by(&self, holder: Incarnation) -> Result<Vec<Arc<Intent>>, Infallible> {
        Ok(self.intents.values().filter(|intent| intent.holder == holder).cloned().collect())
    }

    fn lease(&self, name: LeaseName) -> Result<Option<LeaseRow>, Infallible> {
        Ok(self.leases.get(&name).copied())
    }

    fn set_lease(&mut self, name: LeaseName, row: LeaseRow) -> Result<(), Infallible> {
        self.lease_history.push((self.sequence, name, row.holder));
        self.leases.insert(name, row);
        Ok(())
    }
}
