//! What the registry answered, and the guards that refuse an answer which something newer has overtaken.

use std::ops::ControlFlow;

use super::changes::apply;
use super::effect::Provenance;
use super::overlap::{Touch, touches};
use super::{Medium, Refused, View, check_current};
use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::store::{Actor, Change, Guard, Incarnation, Recorded, Sequence, Source};

/// What the registry was found to hold: [`Ledger::record`](crate::store::Ledger::record).
#[derive(Clone, Debug)]
pub(in crate::store) struct Answered {
    pub changes: Vec<Change>,
    pub source: Source,
    pub guard: Guard,
    pub now: Timestamp,
    /// The door that asked.
    pub by: Incarnation,
}

/// Records what the registry answered, unless the guard refuses.
///
/// # Errors
/// When the medium fails. The inner error is the ledger's own refusal.
pub(in crate::store) fn record<M: Medium>(
    medium: &mut M,
    answered: &Answered,
) -> Result<Result<Recorded, Refused>, M::Error> {
    if let Err(refused) = check_current(medium, answered.by)? {
        return Ok(Err(refused));
    }
    if let Some(lease) = answered.guard.lease
        && !medium.holds(answered.by, lease)?
    {
        return Ok(Err(Refused::Fenced));
    }
    decide_recorded(medium, answered).map(Ok)
}

fn decide_recorded<M: Medium>(medium: &mut M, answered: &Answered) -> Result<Recorded, M::Error> {
    for (repository, touches) in touches(&answered.guard, &answered.changes) {
        if is_superseded(medium, &repository, &touches, answered.guard.since)? {
            return Ok(Recorded::Superseded);
        }
    }
    let nobody = Actor::default();
    let provenance = Provenance { source: answered.source, actor: &nobody, now: answered.now };
    let mut events = 0;
    for change in &answered.changes {
        events += apply(medium, change, provenance)?;
    }
    Ok(if events == 0 { Recorded::Unchanged } else { Recorded::Changed(events) })
}

/// Whether something newer touched what an answer speaks of, or a write to it is being carried now.
fn is_superseded<V: View>(
    view: &V,
    repository: &RepositoryName,
    touches: &[Touch],
    since: Sequence,
) -> Result<bool, V::Error> {
    for intent in view.intents_of(repository)? {
        // The registry has heard nothing of a write that waits, and when an unknown one is done is not known.
        if !intent.state.is_carried() {
            continue;
        }
        let points_to = |tag: &_| Ok(view.tag(repository, tag)?.map(|row| row.digest));
        for touch in touches {
            if touch.meets_write(&intent.write, points_to)? {
                return Ok(true);
            }
        }
    }
    let mut superseded = false;
    view.events_since(repository, since, |event| {
        superseded = touches.iter().any(|touch| touch.meets_event(event));
        if superseded { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(superseded)
}
