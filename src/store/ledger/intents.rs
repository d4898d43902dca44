//! Writes that begin, and their outcomes.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::changes::apply;
use super::effect::Provenance;
use super::overlap::{between_writes, with_event};
use super::{Medium, View};
use crate::clock::Timestamp;
use crate::oci::{Reference, RepositoryName};
use crate::store::{Actor, Change, Intent, IntentState, Outcome, Sequence, Settled, Source, Write};

/// The most intents that may be open at once. Far more than writes can be under way; what lies beyond is a registry
/// that has left no outcome known for a long time, and memory has to end somewhere.
const MAXIMUM_OPEN_INTENTS: usize = 65_536;

/// There are too many open intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{MAXIMUM_OPEN_INTENTS} writes without a known outcome wait to be verified: the registry must answer first"
)]
pub(in crate::store) struct TooManyIntents;

/// A write that is about to be carried: [`Store::begin`](crate::store::Store::begin).
#[derive(Clone, Debug)]
pub(in crate::store) struct Beginning {
    pub repository: RepositoryName,
    pub write: Write,
    pub actor: Actor,
    pub now: Timestamp,
}

/// The outcome of a write: [`Store::settle`](crate::store::Store::settle).
#[derive(Clone, Debug)]
pub(in crate::store) struct Ended {
    pub intent: Sequence,
    pub outcome: Outcome,
    pub now: Timestamp,
}

/// Notes that a write is about to be carried.
///
/// # Errors
/// When the medium fails. The inner error is the ledger's own refusal, which writes nothing.
pub(in crate::store) fn begin<M: Medium>(
    medium: &mut M,
    beginning: &Beginning,
) -> Result<Result<Intent, TooManyIntents>, M::Error> {
    if medium.open_intents() >= MAXIMUM_OPEN_INTENTS {
        return Ok(Err(TooManyIntents));
    }
    let intent = Intent {
        sequence: medium.next(),
        begun: beginning.now,
        repository: beginning.repository.clone(),
        write: beginning.write.clone(),
        actor: beginning.actor.clone(),
        state: IntentState::Carried,
    };
    medium.add_intent(intent.clone())?;
    Ok(Ok(intent))
}

/// Records the outcome of a write, and ends its intent unless it was overtaken.
///
/// # Errors
/// When the medium fails.
pub(in crate::store) fn settle<M: Medium>(medium: &mut M, ended: &Ended) -> Result<Settled, M::Error> {
    let Some(intent) = medium.intent(ended.intent)? else {
        return Ok(Settled::default());
    };
    let (found, applied): (&[Change], &[Change]) = match &ended.outcome {
        Outcome::Applied(changes) => (&[], changes),
        Outcome::Amended { found, applied } => (found, applied),
        // Nothing new came of it, so nothing can be out of order; and one that was open for long has much behind it.
        Outcome::Closed => {
            medium.remove_intent(ended.intent)?;
            return Ok(Settled::default());
        }
    };
    let by_events = overlapped_by_events(medium, &intent)?;
    let by_intents = overlapped_by_intents(medium, &intent)?;
    let nobody = Actor::default();
    let provenance = Provenance { source: Source::Verified, actor: &nobody, now: ended.now };
    for change in found {
        apply(medium, change, provenance)?;
    }
    let provenance = Provenance { source: Source::Observed, actor: &intent.actor, now: ended.now };
    for change in applied {
        apply(medium, change, provenance)?;
    }
    // The order at the registry is known to nobody: the intent stays, so that the question survives a crash. An
    // intent that is still open will meet this one's events when it settles, or is asked about itself.
    if by_events.is_empty() {
        medium.remove_intent(ended.intent)?;
    }
    let overlapped: BTreeSet<Reference> = by_events.into_iter().chain(by_intents).collect();
    Ok(Settled { overlapped: overlapped.into_iter().collect() })
}

/// What other intents that are still open may touch besides this one.
fn overlapped_by_intents<V: View>(view: &V, intent: &Intent) -> Result<BTreeSet<Reference>, V::Error> {
    let repository = &intent.repository;
    let mut met = BTreeSet::new();
    for other in view.intents_of(repository)? {
        if other.sequence != intent.sequence {
            let points_to = |tag: &_| Ok(view.tag(repository, tag)?.map(|row| row.digest));
            met.append(&mut between_writes(&intent.write, &other.write, points_to)?);
        }
    }
    Ok(met)
}

/// What was recorded about this intent's references while it was open.
fn overlapped_by_events<V: View>(view: &V, intent: &Intent) -> Result<BTreeSet<Reference>, V::Error> {
    let mut met = BTreeSet::new();
    view.events_since(&intent.repository, intent.sequence, |event| {
        met.append(&mut with_event(&intent.write, event));
        ControlFlow::Continue(())
    })?;
    Ok(met)
}
