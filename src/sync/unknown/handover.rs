//! Where the carrier leaves what it could not settle, and how far the asking about it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::store::{Intent, Ledger, StoreError};

/// Where the carrier leaves what it could not settle.
#[derive(Default)]
pub struct UnknownIntents {
    // Bounded: an intent gets here at most once, and none begins while the store cannot write.
    unmarked: Mutex<Vec<Intent>>,
    pub(super) wake: Notify,
    pub(super) pending: AtomicU64,
    pub(super) completed: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// How far the asking is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnknownCounts {
    /// Intents that are still asked about.
    pub pending: u64,
    /// Intents that were settled by asking since the start.
    pub completed: u64,
    /// Attempts since the start that came to no answer.
    pub failed: u64,
}

impl UnknownIntents {
    /// Takes over an intent whose outcome is not known. Where the store cannot mark it as such now, that is tried again.
    /// Answers whether it is asked about from now on: other doors may have given it up, and be done with it, before the
    /// registry heard of the write.
    pub async fn take_over(&self, ledger: &dyn Ledger, intent: &Intent) -> bool {
        let is_asked_about = match ledger.mark_unknown(intent).await {
            Ok(is_marked) => is_marked,
            Err(StoreError::Fenced) => false,
            Err(error) => {
                let number = intent.sequence.get();
                tracing::warn!(intent = number, %error, "a write without a known outcome cannot be marked; trying again");
                self.unmarked.lock().unwrap_or_else(PoisonError::into_inner).push(intent.clone());
                true
            }
        };
        self.wake.notify_one();
        is_asked_about
    }

    /// Has the open intents looked at now.
    pub fn look(&self) {
        self.wake.notify_one();
    }

    /// How far the asking is.
    pub fn counts(&self) -> UnknownCounts {
        UnknownCounts {
            pending: self.pending.load(Ordering::Relaxed),
            completed: self.completed.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Marks in the store what could not be marked before; what cannot be marked now is kept for the next time.
    pub(super) async fn mark(&self, ledger: &dyn Ledger) -> Result<(), StoreError> {
        loop {
            let next = self.unmarked.lock().unwrap_or_else(PoisonError::into_inner).last().cloned();
            let Some(intent) = next else { return Ok(()) };
            match ledger.mark_unknown(&intent).await {
                Ok(_) | Err(StoreError::Fenced) => {}
                Err(error) => return Err(error),
            }
            self.unmarked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|other| other.sequence != intent.sequence);
        }
    }
}
