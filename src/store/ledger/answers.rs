//! What the registry answered, and the guards that refuse an answer which something newer has overtaken.

use std::ops::ControlFlow;

use super::changes::apply;
use super::effect::Provenance;
use super::overlap::{Touch, touches};
use super::{Medium, View};
use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::store::{Actor, Change, Guard, Recorded, Sequence, Source};

/// What the registry was found to hold: [`Store::record`](crate::store::Store::record).
#[derive(Clone, Debug)]
pub(in crate::store) struct Answered {
    pub changes: Vec<Change>,
    pub source: Source,
    pub guard: Guard,
    pub now: Timestamp,
}

/// Records what the registry answered, unless the guard refuses.
///
/// # Errors
/// When the medium fails.
pub(in crate::store) fn record<M: Medium>(medium: &mut M, answered: &Answered) -> Result<Recorded, M::Error> {
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
        // The registry has heard nothing of a write that waits, and when an unknown one is done is known to nobody.
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
