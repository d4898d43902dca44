//! What each writing method does within a transaction. What concerns the record is decided by the ledger.

use std::time::Duration;

use super::failure::Failure;
use super::shared::Shared;
use super::transaction::Transaction;
use crate::store::group::{GATHERING, GATHERING_OF_SWEEPS, Work};
use crate::store::ledger::{self, Answered, Beginning, Ended, Postponed, Refused};
use crate::store::{Incarnation, Intent, Recorded, Sequence, Settled, Source};

/// [`Ledger::mark_unknown`](crate::store::Ledger::mark_unknown).
pub(super) struct MarkUnknown {
    pub intent: Sequence,
    pub holder: Incarnation,
}

/// What the ledger refuses is the fault of no other request.
fn refused<W: Work<Shared>>(refused: Refused) -> Failure {
    Failure::Refused(refused.into_error(W::ATTEMPTED))
}

impl Work<Shared> for Beginning {
    type Answer = Intent;
    const ATTEMPTED: &'static str = "note a write";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Intent, Failure> {
        ledger::begin(transaction, self)?.map_err(refused::<Self>)
    }

    // No task will carry it, so it must not block guards and other writes for ever.
    fn on_caller_gone(intent: &Intent, shared: &Shared) {
        shared.intents.abandon(intent.sequence);
    }
}

impl Work<Shared> for Ended {
    type Answer = Settled;
    const ATTEMPTED: &'static str = "record the outcome of a write";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Settled, Failure> {
        ledger::settle(transaction, self)?.map_err(refused::<Self>)
    }
}

impl Work<Shared> for MarkUnknown {
    type Answer = bool;
    const ATTEMPTED: &'static str = "note that the outcome of a write is not known";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool, Failure> {
        ledger::mark_unknown(transaction, Incarnation::default(), self.holder, self.intent)?
            .map_err(refused::<Self>)
    }
}

impl Work<Shared> for Postponed {
    type Answer = ();
    const ATTEMPTED: &'static str = "put down when a write is asked about next";

    // Memory alone: the transaction has nothing to commit.
    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        ledger::postpone(transaction, self)?.map_err(refused::<Self>)
    }
}

impl Work<Shared> for Answered {
    type Answer = Recorded;
    const ATTEMPTED: &'static str = "record what the registry answered";

    fn gathering(&self) -> Duration {
        // A sweep has more to ask meanwhile.
        if self.source == Source::Swept { GATHERING_OF_SWEEPS } else { GATHERING }
    }

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Recorded, Failure> {
        ledger::record(transaction, self)?.map_err(refused::<Self>)
    }
}
