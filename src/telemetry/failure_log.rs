//! When a line is written about something that is tried again and again: when it begins to fail, when it fails for another reason,
//! and when it works again.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cut;

/// How much of a reason is compared, in bytes.
const LONGEST: usize = 512;

/// The state of one thing that is tried again and again. Bounded: it keeps the last reason.
#[derive(Debug, Default)]
pub struct FailureLog(Mutex<Option<String>>);

impl FailureLog {
    /// Nothing has failed yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn reason(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that it failed. Whether that is to be said: it worked before, or failed for another reason.
    pub fn failed(&self, reason: &dyn Display) -> bool {
        let mut now = reason.to_string();
        now.truncate(cut(&now, LONGEST).len());
        let mut before = self.reason();
        let is_news = before.as_ref() != Some(&now);
        *before = Some(now);
        is_news
    }

    /// Notes that it worked. Whether that is to be said: it failed before.
    pub fn worked(&self) -> bool {
        self.reason().take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_once_for_each_reason_and_so_is_its_end() {
        let log = FailureLog::new();
        assert!(!log.worked(), "nothing had failed");
        assert!(log.failed(&"no room"));
        for _ in 0..3 {
            assert!(!log.failed(&"no room"));
        }
        assert!(log.failed(&"no file"));
        assert!(log.worked());
        assert!(!log.worked());
        assert!(log.failed(&"no file"), "it failed anew");
    }
}
