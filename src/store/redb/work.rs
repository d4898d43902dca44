//! What each writing method does within a transaction.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::failure::Failure;
use super::intents::OpenIntents;
use super::transaction::Transaction;
use super::writer::{GATHERING, PATIENCE, Work};
use crate::clock::{Estimate, Timestamp};
use crate::oci::{Reference, RepositoryName};
use crate::store::effect::Learnt;
use crate::store::overlap::{Touch, between_writes, touches, with_event};
use crate::store::{
    AccountChange, Actor, AuthEvent, Change, Changed, Guard, Hint, HintedReference, Intent, IntentState,
    Outcome, Pull, Queued, Recorded, Retention, Sequence, Settled, Source, StoreError, Write,
};

/// The most intents that may be open at once. Far more than writes can be under way; what lies beyond is a registry
/// that has left no outcome known for a long time, and memory has to end somewhere.
const MAXIMUM_OPEN_INTENTS: usize = 65_536;

/// The most hints that are kept at once.
const MAXIMUM_HINTS: u64 = 100_000;

/// There are too many open intents.
#[derive(Debug, thiserror::Error)]
#[error(
    "{MAXIMUM_OPEN_INTENTS} writes without a known outcome wait to be verified: the registry must answer first"
)]
struct TooManyIntents;

/// [`Store::begin`](crate::store::Store::begin).
pub(super) struct Begin {
    pub repository: RepositoryName,
    pub write: Write,
    pub actor: Actor,
    pub now: Timestamp,
}

/// [`Store::settle`](crate::store::Store::settle).
pub(super) struct Settle {
    pub intent: Sequence,
    pub outcome: Outcome,
    pub now: Timestamp,
}

/// [`Store::record`](crate::store::Store::record).
pub(super) struct Record {
    pub changes: Vec<Change>,
    pub source: Source,
    pub guard: Guard,
    pub now: Timestamp,
}

/// [`Store::record_pulls`](crate::store::Store::record_pulls).
pub(super) struct RecordPulls(pub Vec<Pull>);

/// [`Store::add_hints`](crate::store::Store::add_hints).
pub(super) struct AddHints(pub Vec<HintedReference>);

/// [`Store::remove_hints`](crate::store::Store::remove_hints).
pub(super) struct RemoveHints(pub Vec<Hint>);

/// [`Store::keep_sweep`](crate::store::Store::keep_sweep).
pub(super) struct KeepSweep {
    pub checkpoint: Vec<u8>,
    pub marks: Vec<u64>,
}

/// [`Store::forget_sweep`](crate::store::Store::forget_sweep).
pub(super) struct ForgetSweep;

/// [`Store::add_auth_events`](crate::store::Store::add_auth_events).
pub(super) struct AddAuthEvents {
    pub events: Vec<(Option<Sequence>, AuthEvent)>,
    pub keep: Retention,
}

/// [`Store::keep_clock`](crate::store::Store::keep_clock).
pub(super) struct KeepClock(pub Estimate);

/// [`Store::keep_time`](crate::store::Store::keep_time).
pub(super) struct KeepTime(pub Timestamp);

/// [`Store::accept_removals`](crate::store::Store::accept_removals).
pub(super) struct AcceptRemovals;

/// [`Store::change_accounts`](crate::store::Store::change_accounts).
pub(super) struct ChangeAccounts(pub Vec<AccountChange>);

impl Work for Begin {
    type Answer = Intent;
    const ATTEMPTED: &'static str = "note a write";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<Intent, Failure> {
        if transaction.open_intents() >= MAXIMUM_OPEN_INTENTS {
            let cause = Arc::new(TooManyIntents);
            return Err(Failure::Refused(StoreError::Unavailable { attempted: Self::ATTEMPTED, cause }));
        }
        let intent = Intent {
            sequence: transaction.next(),
            begun: self.now,
            repository: self.repository.clone(),
            write: self.write.clone(),
            actor: self.actor.clone(),
            state: IntentState::Carried,
        };
        transaction.add_intent(intent.clone())?;
        Ok(intent)
    }

    // Nobody will carry it, so it must not block guards for ever.
    fn unheard(intent: &Intent, intents: &OpenIntents) {
        intents.doubt(intent.sequence);
    }
}

impl Work for Settle {
    type Answer = Settled;
    const ATTEMPTED: &'static str = "record the outcome of a write";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<Settled, Failure> {
        let Some(intent) = transaction.intent(self.intent) else {
            return Ok(Settled::default());
        };
        let (found, applied): (&[Change], &[Change]) = match &self.outcome {
            Outcome::Applied(changes) => (&[], changes),
            Outcome::Amended { found, applied } => (found, applied),
            // Nothing new came of it, so nothing can be out of order; and one that was open for long has much behind it.
            Outcome::Closed => {
                transaction.remove_intent(self.intent)?;
                return Ok(Settled::default());
            }
        };
        let by_events = overlapped_by_events(transaction, &intent)?;
        let by_intents = overlapped_by_intents(transaction, &intent)?;
        let nobody = Actor::default();
        let learnt = Learnt { source: Source::Verified, actor: &nobody, now: self.now };
        for change in found {
            transaction.apply(change, learnt)?;
        }
        let learnt = Learnt { source: Source::Observed, actor: &intent.actor, now: self.now };
        for change in applied {
            transaction.apply(change, learnt)?;
        }
        // The order at the registry is known to nobody: the intent stays, so that the question survives a crash. An
        // intent that is still open will meet this one's events when it settles, or is asked about itself.
        if by_events.is_empty() {
            transaction.remove_intent(self.intent)?;
        }
        let overlapped: BTreeSet<Reference> = by_events.into_iter().chain(by_intents).collect();
        Ok(Settled { overlapped: overlapped.into_iter().collect() })
    }
}

impl Work for Record {
    type Answer = Recorded;
    const ATTEMPTED: &'static str = "record what the registry answered";

    fn patience(&self) -> Duration {
        // A sweep has more to ask meanwhile.
        if self.source == Source::Swept { PATIENCE } else { GATHERING }
    }

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<Recorded, Failure> {
        for (repository, touches) in touches(&self.guard, &self.changes) {
            if is_superseded(transaction, &repository, &touches, self.guard.since)? {
                return Ok(Recorded::Superseded);
            }
        }
        let nobody = Actor::default();
        let learnt = Learnt { source: self.source, actor: &nobody, now: self.now };
        let mut events = 0;
        for change in &self.changes {
            events += transaction.apply(change, learnt)?;
        }
        Ok(if events == 0 { Recorded::Unchanged } else { Recorded::Changed(events) })
    }
}

impl Work for RecordPulls {
    type Answer = ();
    const ATTEMPTED: &'static str = "count pulls";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<(), Failure> {
        self.0.iter().try_for_each(|pull| transaction.record_pull(pull))
    }
}

impl Work for AddHints {
    type Answer = Queued;
    const ATTEMPTED: &'static str = "keep hints";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<Queued, Failure> {
        transaction.add_hints(&self.0, MAXIMUM_HINTS)
    }
}

impl Work for RemoveHints {
    type Answer = ();
    const ATTEMPTED: &'static str = "remove hints";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<(), Failure> {
        transaction.remove_hints(&self.0)
    }
}

impl Work for KeepSweep {
    type Answer = ();
    const ATTEMPTED: &'static str = "keep how far a sweep is";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<(), Failure> {
        transaction.keep_sweep(&self.checkpoint, &self.marks)
    }
}

impl Work for ForgetSweep {
    type Answer = ();
    const ATTEMPTED: &'static str = "forget how far a sweep was";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<(), Failure> {
        transaction.forget_sweep()
    }
}

impl Work for AddAuthEvents {
    type Answer = Vec<Sequence>;
    const ATTEMPTED: &'static str = "write down what happened at the gate";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<Vec<Sequence>, Failure> {
        transaction.add_auth_events(&self.events, self.keep)
    }
}

impl Work for KeepClock {
    type Answer = ();
    const ATTEMPTED: &'static str = "keep what is known of the registry's clock";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<(), Failure> {
        transaction.keep_clock(self.0)
    }
}

impl Work for KeepTime {
    type Answer = ();
    const ATTEMPTED: &'static str = "keep the time";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<(), Failure> {
        transaction.keep_time(self.0)
    }
}

impl Work for AcceptRemovals {
    type Answer = ();
    const ATTEMPTED: &'static str = "accept removals";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<(), Failure> {
        transaction.accept_removals()
    }
}

impl Work for ChangeAccounts {
    type Answer = Changed;
    const ATTEMPTED: &'static str = "keep accounts";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<Changed, Failure> {
        transaction.change_accounts(&self.0)
    }
}

/// What other intents that are still open may touch besides this one.
fn overlapped_by_intents(
    transaction: &Transaction<'_, '_>,
    intent: &Intent,
) -> Result<BTreeSet<Reference>, Failure> {
    let repository = &intent.repository;
    let mut met = BTreeSet::new();
    for other in transaction.intents_of(repository) {
        if other.sequence != intent.sequence {
            let points_to = |tag: &_| transaction.points_to(repository, tag);
            met.append(&mut between_writes(&intent.write, &other.write, points_to)?);
        }
    }
    Ok(met)
}

/// What was recorded about this intent's references while it was open.
fn overlapped_by_events(
    transaction: &Transaction<'_, '_>,
    intent: &Intent,
) -> Result<BTreeSet<Reference>, Failure> {
    let repository = &intent.repository;
    let mut met = BTreeSet::new();
    transaction.events_since(repository, intent.sequence, |event| {
        met.append(&mut with_event(&intent.write, event));
        ControlFlow::Continue(())
    })?;
    Ok(met)
}

/// Whether something newer touched what an answer speaks of, or somebody is writing to it now.
fn is_superseded(
    transaction: &Transaction<'_, '_>,
    repository: &RepositoryName,
    touches: &[Touch],
    since: Sequence,
) -> Result<bool, Failure> {
    for intent in transaction.intents_of(repository) {
        if intent.state == IntentState::Unknown {
            continue;
        }
        for touch in touches {
            if touch.meets_write(&intent.write, |tag| transaction.points_to(repository, tag))? {
                return Ok(true);
            }
        }
    }
    let mut superseded = false;
    transaction.events_since(repository, since, |event| {
        superseded = touches.iter().any(|touch| touch.meets_event(event));
        if superseded { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(superseded)
}
