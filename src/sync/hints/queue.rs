//! The hints that wait to be followed, in the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::store::{Hint, HintedReference, Hints, Queued, StoreError};

/// So many are remembered that came since the last look; if there are more, all are read again.
pub(super) const MOST_ADDED: usize = 10_000;

/// The hints that wait to be followed.
pub struct HintQueue {
    pub(super) store: Arc<dyn Hints>,
    pub(super) wake: Notify,
    added: Mutex<Added>,
}

/// An adding of whose end its caller has not heard yet.
struct Unheard<'a>(Option<&'a HintQueue>);

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.0 {
            *queue.added() = Added::Unknown;
            queue.wake.notify_one();
        }
    }
}

/// What came into the store since it was looked at last, so that it need not be read for each hint.
pub(super) enum Added {
    /// These.
    Hints(Vec<Hint>),
    /// What is not known any more: at the start, and when there was no look for long.
    Unknown,
}

impl HintQueue {
    /// The queue that this store keeps.
    pub fn new(store: Arc<dyn Hints>) -> Self {
        Self { store, wake: Notify::new(), added: Mutex::new(Added::Unknown) }
    }

    /// Adds hints, durably, unless there are too many.
    ///
    /// # Errors
    /// When the store cannot keep them.
    pub async fn add(&self, hints: Vec<HintedReference>) -> Result<Queued, StoreError> {
        // The caller may leave before the store has answered; what that keeps then is to be read from it.
        let mut unheard = Unheard(Some(self));
        let queued = self.store.add_hints(hints).await;
        if let Ok(queued) = &queued {
            unheard.0 = None;
            if let Queued::Kept(hints) = queued {
                self.added().note(hints);
            }
            self.wake.notify_one();
        }
        queued
    }

    pub(super) fn added(&self) -> MutexGuard<'_, Added> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Added {
    fn note(&mut self, more: &[Hint]) {
        if let Self::Hints(hints) = self {
            hints.extend_from_slice(more);
            if hints.len() > MOST_ADDED {
                *self = Self::Unknown;
            }
        }
    }
}
