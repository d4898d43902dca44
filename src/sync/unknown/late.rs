//! Late looks at what was settled, as long as the registry may still be at the write: when they are due.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::questions::Question;
use crate::clock::Backoff;

/// The pauses between late looks at what was settled.
const LATE_PAUSES: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_hours(24));
/// How many references are looked at late, at most; the first ones to end make room.
const LATE_LOOKS: usize = 10_000;

/// What is looked at late.
#[derive(Default)]
pub(super) struct LateLooks(HashMap<Question, Late>);

/// When a reference whose write is settled is looked at next, and until when.
#[derive(Clone, Copy)]
struct Late {
    next: Instant,
    /// Late looks so far, the next one included.
    looks: u32,
    until: Instant,
}

impl LateLooks {
    /// Has these looked at until then.
    pub(super) fn add(
        &mut self,
        questions: impl IntoIterator<Item = Question>,
        now: Instant,
        until: Instant,
    ) {
        if until <= now {
            return;
        }
        for question in questions {
            if self.0.len() >= LATE_LOOKS && !self.0.contains_key(&question) {
                let first = self.0.iter().min_by_key(|(_, late)| late.until).map(|(first, _)| first.clone());
                first.map(|first| self.0.remove(&first));
            }
            self.0.insert(question, Late { next: until.min(now + LATE_PAUSES.pause(1)), looks: 1, until });
        }
    }

    /// Those that are to be looked at now. Each is planned anew, or forgotten if this is its last look.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Question> {
        let mut due = Vec::new();
        self.0.retain(|question, late| {
            if now < late.next {
                return true;
            }
            due.push(question.clone());
            late.looks = late.looks.saturating_add(1);
            late.next = late.until.min(now + LATE_PAUSES.pause(late.looks));
            now < late.until
        });
        due
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|late| late.next).min()
    }
}
