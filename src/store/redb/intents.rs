//! The open intents of the running process, in memory beside their rows: who carries one is known only here. After a
//! restart nobody does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::transaction::Staged;
use crate::oci::RepositoryName;
use crate::store::{Intent, IntentState, Sequence, metrics};

/// How many writes are remembered that made no event.
const QUIET: usize = 4_096;

/// The open intents, as last made durable.
#[derive(Debug, Default)]
pub(super) struct OpenIntents {
    open: Mutex<BTreeMap<Sequence, Intent>>,
    quiet: Mutex<QuietWrites>,
}

/// Writes that were settled and changed nothing in the record, such as the deletion of what was not recorded. They leave no
/// event, but an answer that the registry gave before them is as old as if they did.
#[derive(Debug, Default)]
struct QuietWrites {
    /// By the number that was given to the settling.
    writes: VecDeque<(Sequence, Intent)>,
    /// Up to here they are forgotten.
    forgotten: Sequence,
}

impl OpenIntents {
    /// The intents that a file was found with: nobody is carrying them.
    pub fn found(intents: impl IntoIterator<Item = Intent>) -> Self {
        let unknown = |intent| Intent { state: IntentState::Unknown, ..intent };
        let map: BTreeMap<_, _> =
            intents.into_iter().map(|intent| (intent.sequence, unknown(intent))).collect();
        metrics::open_intents(map.len());
        Self { open: Mutex::new(map), quiet: Mutex::default() }
    }

    /// Takes over what a durable transaction did.
    pub fn publish(&self, staged: &mut Staged) {
        let mut intents = self.lock();
        intents.append(&mut staged.begun);
        for sequence in &staged.settled {
            intents.remove(sequence);
        }
        metrics::open_intents(intents.len());
        drop(intents);
        if !staged.quiet.is_empty() {
            let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
            quiet.writes.extend(staged.quiet.drain(..));
            while quiet.writes.len() > QUIET
                && let Some((sequence, _)) = quiet.writes.pop_front()
            {
                quiet.forgotten = sequence;
            }
        }
    }

    /// The writes of a repository that were settled behind `since` without an event; nothing if they are forgotten.
    pub fn quiet_since(&self, repository: &RepositoryName, since: Sequence) -> Option<Vec<Intent>> {
        let quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        if since < quiet.forgotten {
            return None;
        }
        let behind = quiet.writes.iter().rev().take_while(|(sequence, _)| *sequence > since);
        Some(
            behind
                .filter(|(_, intent)| intent.repository == *repository)
                .map(|(_, intent)| intent.clone())
                .collect(),
        )
    }

    /// Writes up to here may have been settled quietly without being noted: answers that are as old are refused.
    pub fn forget_quiet(&self, up_to: Sequence) {
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        quiet.forgotten = quiet.forgotten.max(up_to);
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
