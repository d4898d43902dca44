//! Whether the record is complete: whether a sweep has once compared everything that the registry's catalog lists. From then on
//! the record is kept up, so that it answers for the registry.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a sweep has been complete. It never becomes untrue again.
#[derive(Debug, Default)]
pub struct RecordCompleteness(AtomicBool);

impl RecordCompleteness {
    /// Whether it has.
    pub fn is_complete(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// One has.
    pub fn note(&self) {
        if !self.0.swap(true, Ordering::AcqRel) {
            tracing::info!("the record is complete: a sweep has compared everything that the registry lists");
        }
    }
}
