//! What each writing method does within a transaction. What concerns the record is decided by the ledger.

use std::sync::Arc;
use std::time::Duration;

use super::failure::Failure;
use super::intents::OpenIntents;
use super::transaction::Transaction;
use super::writer::{GATHERING, PATIENCE, Work};
use crate::store::ledger::{self, Answered, Beginning, Ended};
use crate::store::{Intent, Recorded, Settled, Source, StoreError};

impl Work for Beginning {
    type Answer = Intent;
    const ATTEMPTED: &'static str = "note a write";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<Intent, Failure> {
        ledger::begin(transaction, self)?.map_err(|cause| {
            let cause = Arc::new(cause);
            Failure::Refused(StoreError::Unavailable { attempted: Self::ATTEMPTED, cause })
        })
    }

    // Nobody will carry it, so it must not block guards for ever.
    fn unheard(intent: &Intent, intents: &OpenIntents) {
        intents.doubt(intent.sequence);
    }
}

impl Work for Ended {
    type Answer = Settled;
    const ATTEMPTED: &'static str = "record the outcome of a write";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<Settled, Failure> {
        ledger::settle(transaction, self)
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
