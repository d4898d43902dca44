//! Doors that share a record, and what each of them alone does at a time. A door that is taken for dead is given another
//! epoch: nothing that it announced before is its own any more, and all that it held is free.
//!
//! Backends of one door need none of this.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::intents::{give_up, promote};
use super::{Medium, Refused, check_current};
use crate::oci::RepositoryName;
use crate::store::{Beat, DoorId, Incarnation, Intent, IntentState, Lease, LeaseName};

/// Who holds a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct LeaseRow {
    /// None once it was let go.
    pub holder: Option<Incarnation>,
    /// How often it has changed hands.
    pub epoch: u64,
}

/// What a backend keeps of the doors that share it.
pub(in crate::store) trait SharedMedium: Medium {
    /// The current life of a door, and how often it was heard in it.
    fn door(&self, door: DoorId) -> Result<Option<Beat>, Self::Error>;

    /// All doors.
    fn doors(&self) -> Result<Vec<Beat>, Self::Error>;

    /// Keeps what is known of a door.
    fn set_door(&mut self, beat: Beat) -> Result<(), Self::Error>;

    /// Numbers and repositories of the open intents that this incarnation announced.
    fn intents_held_by(&self, holder: Incarnation) -> Result<Vec<Arc<Intent>>, Self::Error>;

    /// Who holds a lease.
    fn lease(&self, name: LeaseName) -> Result<Option<LeaseRow>, Self::Error>;

    /// Keeps who holds a lease.
    fn set_lease(&mut self, name: LeaseName, row: LeaseRow) -> Result<(), Self::Error>;
}

/// A door joins the others, anew if it was there before: then its former life is over.
///
/// # Errors
/// When the medium fails.
pub(in crate::store) fn join<M: SharedMedium>(medium: &mut M, door: DoorId) -> Result<Incarnation, M::Error> {
    let epoch = match medium.door(door)? {
        Some(beat) => bury(medium, beat)?,
        None => 1,
    };
    let incarnation = Incarnation { door, epoch };
    medium.set_door(Beat { incarnation, count: 0 })?;
    Ok(incarnation)
}

/// A door shows that it lives. Answers how often each door was heard; nothing if this one was taken for dead.
///
/// # Errors
/// When the medium fails.
pub(in crate::store) fn beat<M: SharedMedium>(
    medium: &mut M,
    by: Incarnation,
) -> Result<Option<Vec<Beat>>, M::Error> {
    let Some(beat) = medium.door(by.door)?.filter(|beat| beat.incarnation == by) else { return Ok(None) };
    medium.set_door(Beat { count: beat.count + 1, ..beat })?;
    medium.doors().map(Some)
}

/// Takes a door for dead that was last heard so, unless it was heard again. Answers whether it is.
///
/// # Errors
/// When the medium fails.
pub(in crate::store) fn adopt<M: SharedMedium>(medium: &mut M, last_heard: Beat) -> Result<bool, M::Error> {
    let door = last_heard.incarnation.door;
    if medium.door(door)? != Some(last_heard) {
        return Ok(false);
    }
    let epoch = bury(medium, last_heard)?;
    medium.set_door(Beat { incarnation: Incarnation { door, epoch }, count: last_heard.count })?;
    Ok(true)
}

/// Ends a life of a door: what it was to carry goes, what it carried has no known outcome, and its leases are free. Answers
/// its next epoch.
fn bury<M: SharedMedium>(medium: &mut M, beat: Beat) -> Result<u64, M::Error> {
    let held = medium.intents_held_by(beat.incarnation)?;
    let mut repositories: BTreeSet<RepositoryName> = BTreeSet::new();
    // Those that wait go first, so that none of them is let through.
    for intent in held.iter().filter(|intent| intent.state == IntentState::Waiting) {
        medium.remove_intent(intent.sequence)?;
        repositories.insert(intent.repository.clone());
    }
    for intent in held.iter().filter(|intent| intent.state.is_carried()) {
        give_up(medium, intent)?;
    }
    for repository in &repositories {
        promote(medium, repository)?;
    }
    for name in LeaseName::ALL {
        if let Some(row) = medium.lease(name)?.filter(|row| row.holder == Some(beat.incarnation)) {
            medium.set_lease(name, LeaseRow { holder: None, ..row })?;
        }
    }
    Ok(beat.incarnation.epoch + 1)
}

/// Takes a lease that is free, or is this door's already. Answers nothing while another door holds it.
///
/// # Errors
/// When the medium fails. The inner error is the ledger's own refusal.
pub(in crate::store) fn acquire<M: SharedMedium>(
    medium: &mut M,
    by: Incarnation,
    name: LeaseName,
) -> Result<Result<Option<Lease>, Refused>, M::Error> {
    if let Err(refused) = check_current(medium, by)? {
        return Ok(Err(refused));
    }
    let row = medium.lease(name)?.unwrap_or(LeaseRow { holder: None, epoch: 0 });
    let epoch = match row.holder {
        Some(holder) if holder == by => row.epoch,
        Some(_) => return Ok(Ok(None)),
        None => row.epoch + 1,
    };
    medium.set_lease(name, LeaseRow { holder: Some(by), epoch })?;
    Ok(Ok(Some(Lease { name, epoch })))
}

/// Lets a lease go, if it is still this door's.
///
/// # Errors
/// When the medium fails.
pub(in crate::store) fn release<M: SharedMedium>(
    medium: &mut M,
    by: Incarnation,
    lease: Lease,
) -> Result<(), M::Error> {
    match medium.lease(lease.name)? {
        Some(row) if row.holder == Some(by) && row.epoch == lease.epoch => {
            medium.set_lease(lease.name, LeaseRow { holder: None, ..row })
        }
        _ => Ok(()),
    }
}
