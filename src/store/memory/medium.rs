//! What outlives a store in memory, as a file outlives the process that has it open.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::state::State;

/// See the module. Clones are the same medium.
#[derive(Clone, Default)]
pub struct MemoryMedium(Arc<Mutex<State>>);

impl fmt::Debug for MemoryMedium {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MemoryMedium")
    }
}

impl MemoryMedium {
    /// A medium of its own that holds what this one holds now: what a process that ends without warning leaves behind.
    pub fn left_by_a_crash(&self) -> Self {
        Self(Arc::new(Mutex::new(self.state().clone())))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
