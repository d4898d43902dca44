//! When hints are looked at next, on its way into the store. What comes within a second is put down together: many that fail
//! at once cost one commit each second, and a hint that is answered costs one for its second look.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::store::{Hint, HintedReference, Hints, Lease, StoreError};

/// How long what was postponed waits for more. A door that takes over meanwhile looks again a little early.
const GATHERED: Duration = Duration::from_secs(1);

/// What is not put down yet: one for each hint at most.
#[derive(Default)]
pub(super) struct Postponed {
    hints: HashMap<HintedReference, Hint>,
    /// When it is to be put down.
    due: Option<Instant>,
}

impl Postponed {
    /// A hint is looked at later than the store says.
    pub(super) fn add(&mut self, hint: Hint, now: Instant) {
        self.due.get_or_insert(now + GATHERED);
        self.hints.insert(hint.about.clone(), hint);
    }

    /// A hint is done.
    pub(super) fn remove(&mut self, hint: &Hint) {
        self.hints.remove(&hint.about);
    }

    /// Waits until there is something to be put down.
    pub(super) async fn due(&self) {
        match self.due.filter(|_| !self.hints.is_empty()) {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Puts it down. What cannot be put down now waits for the next time.
    ///
    /// # Errors
    /// When the store fails, or the lease is lost.
    pub(super) async fn put_down(&mut self, store: &dyn Hints, lease: Lease) -> Result<(), StoreError> {
        self.due = Some(Instant::now() + GATHERED);
        if !self.hints.is_empty() {
            store.postpone_hints(lease, self.hints.values().cloned().collect()).await?;
        }
        *self = Self::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::sample::hint;
    use super::*;
    use crate::store::{Doors as _, LeaseName, MemoryStore, PageRequest, Retry, StoreTrouble};

    async fn is_due(postponed: &Postponed) -> bool {
        tokio::time::timeout(Duration::ZERO, postponed.due()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_postponed_within_a_second_is_put_down_together_and_kept_while_the_store_fails() {
        let store = Arc::new(MemoryStore::default());
        let about = |number: u32| hint(&format!("t{number}"), 0).about;
        store.add_hints((0..3).map(about).collect()).await.unwrap();
        let lease = store.acquire(LeaseName::Hints).await.unwrap().unwrap();
        let kept = async || store.hints(PageRequest { after: None, limit: 9 }).await.unwrap().items;
        let fresh = kept().await;
        let later = |hint: &Hint, attempts| {
            let retry = Retry::after(attempts, Duration::from_secs(9), crate::clock::Timestamp::now());
            Hint { retry, ..hint.clone() }
        };

        let mut postponed = Postponed::default();
        assert!(!is_due(&postponed).await);
        postponed.add(later(&fresh[0], 1), Instant::now());
        tokio::time::advance(GATHERED / 2).await;
        for (hint, attempts) in [(0, 2), (1, 1), (2, 1)] {
            postponed.add(later(&fresh[hint], attempts), Instant::now());
        }
        postponed.remove(&fresh[2]);
        assert!(!is_due(&postponed).await);
        tokio::time::advance(GATHERED / 2).await;
        assert!(is_due(&postponed).await);

        store.set_trouble(Some(StoreTrouble::Medium));
        postponed.put_down(store.as_ref(), lease).await.unwrap_err();
        assert!(!is_due(&postponed).await, "it is not tried again at once");
        tokio::time::advance(GATHERED).await;
        assert!(is_due(&postponed).await);
        store.set_trouble(None);
        postponed.put_down(store.as_ref(), lease).await.unwrap();
        let attempts: Vec<u32> = kept().await.iter().map(|hint| hint.retry.attempts).collect();
        assert_eq!(attempts, [2, 1, 0]);
        tokio::time::advance(GATHERED).await;
        assert!(!is_due(&postponed).await, "all is put down");
    }
}
