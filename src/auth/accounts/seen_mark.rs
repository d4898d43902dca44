//! The mark of the last change to users, tokens or logins that a door has heeded.

use std::sync::{Mutex, PoisonError};

/// It; none before the first one.
#[derive(Default)]
pub(super) struct SeenMark(Mutex<Option<Vec<u8>>>);

impl SeenMark {
    /// Whether this is the one that was seen last.
    pub(super) fn has_seen(&self, mark: Option<&[u8]>) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_deref() == mark
    }

    /// This one is seen.
    pub(super) fn see(&self, mark: Option<Vec<u8>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }
}
