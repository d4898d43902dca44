//! What each writing method does within a transaction, and what it will look at there. What concerns the record is decided by
//! the ledger.

use std::time::Duration;

use super::failure::Failure;
use super::shared::Shared;
use super::transaction::Transaction;
use crate::store::group::{GATHERING, GATHERING_OF_SWEEPS, Work};
use crate::store::ledger::{self, Answered, Beginning, Ended, Postponed, Refused};
use crate::store::{Change, Incarnation, Intent, Outcome, Recorded, Sequence, Settled, Source};

/// [`Ledger::mark_unknown`](crate::store::Ledger::mark_unknown).
pub(super) struct MarkUnknown {
    pub by: Incarnation,
    pub intent: Sequence,
    pub holder: Incarnation,
}

/// What the ledger refuses is the fault of no other request.
pub(super) fn refused<W: Work<Shared>>(refused: Refused) -> Failure {
    Failure::Refused(refused.into_error(W::ATTEMPTED))
}

impl Work<Shared> for Beginning {
    type Answer = Intent;
    const ATTEMPTED: &'static str = "note a write";

    fn prepare(&self, transaction: &mut Transaction<'_>) {
        transaction.wanted().intents_of.insert(self.repository.clone());
    }

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Intent, Failure> {
        ledger::begin(transaction, self)?.map_err(refused::<Self>)
    }

    // No task will carry it, so it must not block guards and other writes for ever.
    fn on_caller_gone(intent: &Intent, shared: &Shared) {
        shared.abandon([intent.sequence]);
    }
}

impl Work<Shared> for Ended {
    type Answer = Settled;
    const ATTEMPTED: &'static str = "record the outcome of a write";

    fn prepare(&self, transaction: &mut Transaction<'_>) {
        let wanted = transaction.wanted();
        wanted.intents.insert(self.intent);
        let (found, applied): (&[Change], &[Change]) = match &self.outcome {
            Outcome::Applied(changes) => (&[], changes),
            Outcome::Amended { found, applied } => (found, applied),
            Outcome::Closed => (&[], &[]),
        };
        found.iter().chain(applied).for_each(|change| wanted.change(change));
    }

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Settled, Failure> {
        ledger::settle(transaction, self)?.map_err(refused::<Self>)
    }
}

impl Work<Shared> for MarkUnknown {
    type Answer = bool;
    const ATTEMPTED: &'static str = "note that the outcome of a write is not known";

    fn prepare(&self, transaction: &mut Transaction<'_>) {
        transaction.wanted().intents.insert(self.intent);
    }

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool, Failure> {
        ledger::mark_unknown(transaction, self.by, self.holder, self.intent)?.map_err(refused::<Self>)
    }
}

impl Work<Shared> for Postponed {
    type Answer = ();
    const ATTEMPTED: &'static str = "put down when a write is asked about next";

    fn prepare(&self, transaction: &mut Transaction<'_>) {
        transaction.wanted().intents.extend(self.retries.iter().map(|(intent, _)| *intent));
    }

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

    fn prepare(&self, transaction: &mut Transaction<'_>) {
        let wanted = transaction.wanted();
        self.changes.iter().for_each(|change| wanted.change(change));
    }

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Recorded, Failure> {
        ledger::record(transaction, self)?.map_err(refused::<Self>)
    }
}
