//! What each writing method does within a transaction. What concerns the record is decided by the ledger.

use std::sync::Arc;
use std::time::Duration;

use super::failure::Failure;
use super::intents::OpenIntents;
use super::transaction::Transaction;
use super::writer::{GATHERING, PATIENCE, Work};
use crate::clock::{Estimate, Timestamp};
use crate::store::ledger::{self, Answered, Beginning, Ended};
use crate::store::{
    AccountChange, AuthEvent, Changed, Hint, HintedReference, Intent, Pull, Queued, Recorded, Retention,
    Sequence, Settled, Source, StoreError,
};

/// The most hints that are kept at once.
const MAXIMUM_HINTS: u64 = 100_000;

/// [`Store::mark_unknown`](crate::store::Store::mark_unknown).
pub(super) struct MarkUnknown(pub Sequence);

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

impl Work for Beginning {
    type Answer = Intent;
    const ATTEMPTED: &'static str = "note a write";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<Intent, Failure> {
        ledger::begin(transaction, self)?.map_err(|cause| {
            let cause = Arc::new(cause);
            Failure::Refused(StoreError::Unavailable { attempted: Self::ATTEMPTED, cause })
        })
    }

    // Nobody will carry it, so it must not block guards and other writes for ever.
    fn unheard(intent: &Intent, intents: &OpenIntents) {
        intents.abandon(intent.sequence);
    }
}

impl Work for Ended {
    type Answer = Settled;
    const ATTEMPTED: &'static str = "record the outcome of a write";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<Settled, Failure> {
        ledger::settle(transaction, self)
    }
}

impl Work for MarkUnknown {
    type Answer = ();
    const ATTEMPTED: &'static str = "note that the outcome of a write is not known";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<(), Failure> {
        ledger::mark_unknown(transaction, self.0)
    }
}

impl Work for Answered {
    type Answer = Recorded;
    const ATTEMPTED: &'static str = "record what the registry answered";

    fn patience(&self) -> Duration {
        // A sweep has more to ask meanwhile.
        if self.source == Source::Swept { PATIENCE } else { GATHERING }
    }

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<Recorded, Failure> {
        ledger::record(transaction, self)
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
