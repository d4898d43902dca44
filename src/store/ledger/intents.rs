//! Writes that begin, wait for each other, and end. Open intents are the queue: what waits is promoted, first in, first out, in
//! the same decision that ends what it waited for.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::changes::apply;
use super::effect::Provenance;
use super::overlap::{between_writes, must_be_apart, with_event};
use super::view::MAXIMUM_OPEN_INTENTS;
use super::{Medium, Refused, View, check_current};
use crate::clock::Timestamp;
use crate::oci::{Reference, RepositoryName};
use crate::store::{
    Actor, Change, Incarnation, Intent, IntentState, Lease, Outcome, Retry, Sequence, Settled, Source, Write,
};

/// A write that is about to be carried: [`Ledger::begin`](crate::store::Ledger::begin).
#[derive(Clone, Debug)]
pub(in crate::store) struct Beginning {
    /// The door that is to carry it.
    pub by: Incarnation,
    pub repository: RepositoryName,
    pub write: Write,
    pub actor: Actor,
    pub now: Timestamp,
}

/// The outcome of a write: [`Ledger::settle`](crate::store::Ledger::settle).
#[derive(Clone, Debug)]
pub(in crate::store) struct Ended {
    pub intent: Sequence,
    /// The door that settles it.
    pub by: Incarnation,
    /// The door that carried it, in the life in which it did.
    pub holder: Incarnation,
    pub outcome: Outcome,
    pub now: Timestamp,
}

/// Intents without a known outcome that are asked about again later:
/// [`Ledger::postpone_intents`](crate::store::Ledger::postpone_intents).
#[derive(Clone, Debug)]
pub(in crate::store) struct Postponed {
    /// The door that has asked.
    pub by: Incarnation,
    /// The lease under which it does so.
    pub lease: Lease,
    pub retries: Vec<(Sequence, Retry)>,
}

/// Notes that a write is to be carried: at once, unless an earlier one has to be over first.
///
/// # Errors
/// When the medium fails. The inner error is the ledger's own refusal, which writes nothing.
pub(in crate::store) fn begin<M: Medium>(
    medium: &mut M,
    beginning: &Beginning,
) -> Result<Result<Intent, Refused>, M::Error> {
    if let Err(refused) = check_current(medium, beginning.by)? {
        return Ok(Err(refused));
    }
    if medium.open_intents() >= MAXIMUM_OPEN_INTENTS {
        return Ok(Err(Refused::TooManyIntents));
    }
    let sequence = medium.next();
    let open = medium.intents_of(&beginning.repository)?;
    let state = if open.iter().any(|earlier| blocks(earlier, &beginning.write)) {
        IntentState::Waiting
    } else {
        IntentState::Carried { since: sequence }
    };
    let intent = Intent {
        sequence,
        begun: beginning.now,
        repository: beginning.repository.clone(),
        write: beginning.write.clone(),
        actor: beginning.actor.clone(),
        holder: beginning.by,
        state,
    };
    medium.add_intent(intent.clone())?;
    Ok(Ok(intent))
}

/// Records the outcome of a write, and ends its intent unless it was overtaken.
///
/// # Errors
/// When the medium fails. The inner error is the ledger's own refusal.
pub(in crate::store) fn settle<M: Medium>(
    medium: &mut M,
    ended: &Ended,
) -> Result<Result<Settled, Refused>, M::Error> {
    if let Err(refused) = check_current(medium, ended.by)? {
        return Ok(Err(refused));
    }
    decide_settled(medium, ended).map(Ok)
}

fn decide_settled<M: Medium>(medium: &mut M, ended: &Ended) -> Result<Settled, M::Error> {
    let Some(intent) = medium.intent(ended.intent)? else {
        return Ok(match ended.outcome {
            Outcome::Closed => Settled::IN_ORDER,
            Outcome::Applied(_) | Outcome::Amended { .. } => Settled::Lost,
        });
    };
    let (found, applied): (&[Change], &[Change]) = match &ended.outcome {
        Outcome::Applied(changes) => (&[], changes),
        Outcome::Amended { found, applied } => (found, applied),
        // Nothing new came of it, so nothing can be out of order; and one that was open for long has much behind it.
        Outcome::Closed => {
            end(medium, &intent)?;
            return Ok(Settled::IN_ORDER);
        }
    };
    let IntentState::Carried { since } = intent.state else { return Ok(Settled::Lost) };
    if intent.holder != ended.holder {
        return Ok(Settled::Lost);
    }
    let by_events = overlapped_by_events(medium, &intent, since)?;
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
    // The order at the registry is not known: the intent stays, so that the question survives a crash. An
    // intent that is still open will meet this one's events when it settles, or is asked about itself.
    if by_events.is_empty() {
        end(medium, &intent)?;
    } else {
        give_up(medium, &intent)?;
    }
    let overlapped: BTreeSet<Reference> = by_events.into_iter().chain(by_intents).collect();
    Ok(Settled::Recorded { overlapped: overlapped.into_iter().collect() })
}

/// Says that no door is carrying an intent any more and its outcome is not known. One that is waiting is removed: the registry
/// has heard nothing of it. Answers whether it was this door's to say.
///
/// # Errors
/// When the medium fails. The inner error is the ledger's own refusal.
pub(in crate::store) fn mark_unknown<M: Medium>(
    medium: &mut M,
    by: Incarnation,
    holder: Incarnation,
    intent: Sequence,
) -> Result<Result<bool, Refused>, M::Error> {
    if let Err(refused) = check_current(medium, by)? {
        return Ok(Err(refused));
    }
    match medium.intent(intent)? {
        Some(intent) if intent.holder != holder => return Ok(Ok(false)),
        Some(intent) if intent.state.is_carried() => give_up(medium, &intent)?,
        Some(intent) if intent.state == IntentState::Waiting => end(medium, &intent)?,
        Some(_) | None => return Ok(Ok(false)),
    }
    Ok(Ok(true))
}

/// Puts down when intents are asked about next. Those that are gone, or whose outcome is not unknown, stay as they are.
///
/// # Errors
/// When the medium fails. The inner error is the ledger's own refusal: the lease is lost.
pub(in crate::store) fn postpone<M: Medium>(
    medium: &mut M,
    postponed: &Postponed,
) -> Result<Result<(), Refused>, M::Error> {
    if !medium.holds(postponed.by, postponed.lease)? {
        return Ok(Err(Refused::Fenced));
    }
    for (intent, retry) in &postponed.retries {
        let Some(intent) = medium.intent(*intent)? else { continue };
        if let IntentState::Unknown { since, .. } = intent.state {
            medium.set_intent_state(&intent, IntentState::Unknown { since, retry: *retry })?;
        }
    }
    Ok(Ok(()))
}

/// Removes an intent of which its caller never heard: neither has the registry.
///
/// # Errors
/// When the medium fails.
pub(in crate::store) fn abandon<M: Medium>(medium: &mut M, intent: Sequence) -> Result<(), M::Error> {
    match medium.intent(intent)? {
        Some(intent) => end(medium, &intent),
        None => Ok(()),
    }
}

/// Removes an intent; what waited for it is carried.
fn end<M: Medium>(medium: &mut M, intent: &Intent) -> Result<(), M::Error> {
    medium.remove_intent(intent.sequence)?;
    promote(medium, &intent.repository)
}

/// The outcome of an intent is not known; what waited for it is carried.
pub(super) fn give_up<M: Medium>(medium: &mut M, intent: &Intent) -> Result<(), M::Error> {
    let since = intent.state.heard_since().unwrap_or(intent.sequence);
    medium.set_intent_state(intent, IntentState::unknown_since(since))?;
    promote(medium, &intent.repository)
}

/// Lets those intents be carried that wait for nothing any more, first come, first served.
pub(super) fn promote<M: Medium>(medium: &mut M, repository: &RepositoryName) -> Result<(), M::Error> {
    let open = medium.intents_of(repository)?;
    let since = medium.last();
    for (place, intent) in open.iter().enumerate() {
        // One that was let through just now blocks as it did before.
        if intent.state == IntentState::Waiting
            && !open[..place].iter().any(|earlier| blocks(earlier, &intent.write))
        {
            medium.set_intent_state(intent, IntentState::Carried { since })?;
        }
    }
    Ok(())
}

/// Whether an earlier intent has to be over before this write is carried. One whose outcome is not known does not: when
/// it is done is not known either.
fn blocks(earlier: &Intent, write: &Write) -> bool {
    !earlier.state.is_unknown() && must_be_apart(&earlier.write, write)
}

/// What other intents that are still open may touch besides this one.
fn overlapped_by_intents<V: View>(view: &V, intent: &Intent) -> Result<BTreeSet<Reference>, V::Error> {
    let repository = &intent.repository;
    let mut met = BTreeSet::new();
    for other in view.intents_of(repository)? {
        // The registry has heard nothing of one that waits.
        if other.sequence != intent.sequence && other.state.heard_since().is_some() {
            let points_to = |tag: &_| Ok(view.tag(repository, tag)?.map(|row| row.digest));
            met.append(&mut between_writes(&intent.write, &other.write, points_to)?);
        }
    }
    Ok(met)
}

/// What was recorded about this intent's references while it was carried.
fn overlapped_by_events<V: View>(
    view: &V,
    intent: &Intent,
    since: Sequence,
) -> Result<BTreeSet<Reference>, V::Error> {
    let mut met = BTreeSet::new();
    view.events_since(&intent.repository, since, |event| {
        met.append(&mut with_event(&intent.write, event));
        ControlFlow::Continue(())
    })?;
    Ok(met)
}
