//! The open intents of the running process, in memory beside their rows: how far each is, is known only here. After a
//! restart the outcome of none is known, and each is asked about anew, whenever that was due before.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::staged::Staged;
use crate::oci::RepositoryName;
use crate::store::waiting::Waiters;
use crate::store::{Intent, IntentState, Sequence, metrics};

/// The open intents, as last made durable.
#[derive(Debug, Default)]
pub(super) struct OpenIntents {
    open: Mutex<Open>,
    /// Who waits for one of them to be carried.
    pub waiters: Waiters,
    /// Those whose callers left before they heard of them.
    abandoned: Mutex<Vec<Sequence>>,
}

#[derive(Debug, Default)]
struct Open {
    all: BTreeMap<Sequence, Arc<Intent>>,
    by_repository: HashMap<RepositoryName, BTreeMap<Sequence, Arc<Intent>>>,
}

impl OpenIntents {
    /// The intents that a file was found with: no door is carrying them.
    pub(super) fn found(intents: impl IntoIterator<Item = Intent>) -> Self {
        let found = Self::default();
        let mut open = found.lock();
        for intent in intents {
            let state = IntentState::unknown_since(intent.sequence);
            open.insert(Arc::new(Intent { state, ..intent }));
        }
        metrics::open_intents(open.all.len());
        drop(open);
        found
    }

    /// Takes over what a durable transaction did.
    pub(super) fn publish(&self, staged: &mut Staged) {
        let mut open = self.lock();
        for intent in std::mem::take(&mut staged.intents).into_values() {
            open.insert(intent);
        }
        for sequence in &staged.settled {
            open.remove(*sequence);
        }
        metrics::open_intents(open.all.len());
        drop(open);
        if !staged.abandoned.is_empty() {
            let mut abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
            abandoned.retain(|intent| !staged.abandoned.contains(intent));
        }
        self.waiters.wake(staged.promoted.drain(..).chain(staged.settled.iter().copied()));
    }

    /// Keeps those only for which `keep` says so.
    pub(super) fn retain(&self, keep: impl Fn(Sequence) -> bool) {
        let mut open = self.lock();
        let gone: Vec<_> = open.all.keys().copied().filter(|sequence| !keep(*sequence)).collect();
        gone.into_iter().for_each(|sequence| open.remove(sequence));
        metrics::open_intents(open.all.len());
        drop(open);
        self.waiters.wake_all();
    }

    /// The caller of this one has left before it heard of it.
    pub(super) fn abandon(&self, sequence: Sequence) {
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).push(sequence);
    }

    /// Those whose callers have left, and that are not removed yet.
    pub(super) fn abandoned(&self) -> Vec<Sequence> {
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn get(&self, sequence: Sequence) -> Option<Arc<Intent>> {
        self.lock().all.get(&sequence).cloned()
    }

    /// Those of a repository, oldest first.
    pub(super) fn of(&self, repository: &RepositoryName) -> Vec<Arc<Intent>> {
        let open = self.lock();
        open.by_repository.get(repository).map(|open| open.values().cloned().collect()).unwrap_or_default()
    }

    /// All of them, oldest first.
    pub(super) fn all(&self) -> Vec<Intent> {
        self.lock().all.values().map(|intent| Intent::clone(intent)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().all.len()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Adds an intent, or takes it for what it was.
    fn insert(&mut self, intent: Arc<Intent>) {
        let of_repository = self.by_repository.entry(intent.repository.clone()).or_default();
        of_repository.insert(intent.sequence, Arc::clone(&intent));
        self.all.insert(intent.sequence, intent);
    }

    fn remove(&mut self, sequence: Sequence) {
        let Some(intent) = self.all.remove(&sequence) else { return };
        if let Some(of_repository) = self.by_repository.get_mut(&intent.repository) {
            of_repository.remove(&sequence);
            if of_repository.is_empty() {
                self.by_repository.remove(&intent.repository);
            }
        }
    }
}
