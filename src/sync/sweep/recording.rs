//! What sweeps and writes record with.

use std::sync::Arc;

#[cfg(test)]
use crate::clock::Clock;
use crate::store::Store;
#[cfg(test)]
use crate::sync::JudgeSettings;
use crate::sync::membership::Membership;
use crate::sync::{HintQueue, Judge};

/// What is recorded with, and what is not believed yet left to.
#[derive(Clone)]
pub struct Recording {
    /// The record.
    pub store: Arc<dyn Store>,
    /// Decides about contradictions.
    pub judge: Arc<Judge>,
    /// Where what is not believed yet is left to be looked at again.
    pub hints: Arc<HintQueue>,
    /// This door among those that share the record.
    pub membership: Arc<Membership>,
}

#[cfg(test)]
impl Recording {
    /// One that believes everything at once.
    pub fn credulous(store: &Arc<dyn Store>) -> Self {
        Self::judged(store, JudgeSettings::CREDULOUS)
    }

    /// One that judges so.
    pub fn judged(store: &Arc<dyn Store>, settings: JudgeSettings) -> Self {
        Self {
            store: Arc::clone(store),
            judge: Arc::new(Judge::new(Arc::clone(store), settings, Clock::SYSTEM)),
            hints: Arc::new(HintQueue::new(Arc::clone(store) as _)),
            membership: Arc::new(Membership::new(Arc::clone(store) as _)),
        }
    }
}
