//! Callers of this process whose intents wait for others: each is woken when its intent is carried, or gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Sequence;

/// Who waits for which intent. Holds one entry for each call that waits, and no more.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiting: Mutex<HashMap<Sequence, Arc<Notify>>>,
}

/// One that waits, until it is dropped.
pub(super) struct Waiter<'a> {
    waiters: &'a Waiters,
    intent: Sequence,
    notify: Arc<Notify>,
}

impl Waiters {
    /// Waits from here on for this intent. Look at the intent afterwards, so that nothing is missed.
    pub(super) fn wait_for(&self, intent: Sequence) -> Waiter<'_> {
        let notify = Arc::clone(self.lock().entry(intent).or_default());
        Waiter { waiters: self, intent, notify }
    }

    /// Something became of these intents.
    pub(super) fn wake(&self, intents: impl IntoIterator<Item = Sequence>) {
        let waiting = self.lock();
        if waiting.is_empty() {
            return;
        }
        for intent in intents {
            if let Some(notify) = waiting.get(&intent) {
                notify.notify_one();
            }
        }
    }

    /// Something may have become of any of them.
    pub(super) fn wake_all(&self) {
        self.lock().values().for_each(|notify| notify.notify_one());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sequence, Arc<Notify>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Waits until something may have become of the intent since the last call.
    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiters.lock().remove(&self.intent);
    }
}
