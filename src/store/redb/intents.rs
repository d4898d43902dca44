//! The open intents of the running process, in memory beside their rows: who carries one is known only here. After a
//! restart nobody does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::transaction::Staged;
use crate::oci::RepositoryName;
use crate::store::{Intent, IntentState, Sequence, metrics};

/// The open intents, as last made durable.
#[derive(Debug, Default)]
pub(super) struct OpenIntents {
    open: Mutex<BTreeMap<Sequence, Intent>>,
}

impl OpenIntents {
    /// The intents that a file was found with: nobody is carrying them.
    pub fn found(intents: impl IntoIterator<Item = Intent>) -> Self {
        let unknown = |intent| Intent { state: IntentState::Unknown, ..intent };
        let map: BTreeMap<_, _> =
            intents.into_iter().map(|intent| (intent.sequence, unknown(intent))).collect();
        metrics::open_intents(map.len());
        Self { open: Mutex::new(map) }
    }

    /// Takes over what a durable transaction did.
    pub fn publish(&self, staged: &mut Staged) {
        let mut intents = self.lock();
        intents.append(&mut staged.begun);
        for sequence in &staged.settled {
            intents.remove(sequence);
        }
        metrics::open_intents(intents.len());
    }

    /// Nobody carries this one any more.
    pub fn doubt(&self, sequence: Sequence) {
        if let Some(intent) = self.lock().get_mut(&sequence) {
            intent.state = IntentState::Unknown;
        }
    }

    /// Keeps those only for which `keep` says so.
    pub fn retain(&self, keep: impl Fn(Sequence) -> bool) {
        let mut intents = self.lock();
        intents.retain(|sequence, _| keep(*sequence));
        metrics::open_intents(intents.len());
    }

    pub fn get(&self, sequence: Sequence) -> Option<Intent> {
        self.lock().get(&sequence).cloned()
    }

    pub fn of(&self, repository: &RepositoryName) -> Vec<Intent> {
        self.lock().values().filter(|intent| intent.repository == *repository).cloned().collect()
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<Intent> {
        self.lock().values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Sequence, Intent>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
