//! The last events, kept in memory as the medium has them: what settling and guards look at is nearly always among them, and
//! to read and to parse its row costs far more. What is older is read from the medium.
//!
//! Events come here once their transaction is durable. A transaction that was said to have failed may be durable all the same,
//! so each one looks first whether the last number that the medium has given out is the one that is known here; if it is not,
//! nothing of this is believed, and it is filled anew from then on.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use crate::oci::RepositoryName;
use crate::store::{Event, Sequence};

/// How many events are kept. Tests keep few, so that they read from the medium as well.
const MOST: usize = if cfg!(test) { 24 } else { 8_192 };

/// How many bytes their rows may have.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct RecentEvents {
    /// In the order of their numbers.
    events: VecDeque<Appended>,
    bytes: usize,
    /// All events behind this number are here.
    since: Sequence,
    /// The last number that the medium has given out.
    last: Sequence,
}

/// An event that was written.
#[derive(Debug)]
pub(super) struct Appended {
    pub event: Event,
    /// The length of its row.
    pub bytes: usize,
}

impl RecentEvents {
    /// None of a medium that has given out this number last.
    pub(super) const fn behind(last: Sequence) -> Self {
        Self { events: VecDeque::new(), bytes: 0, since: last, last }
    }

    /// Whether this is about a medium that has given out this number last.
    pub(super) fn is_of(&self, last: Sequence) -> bool {
        self.last == last
    }

    /// The last number that the medium has given out, as far as is known here.
    pub(super) const fn last(&self) -> Sequence {
        self.last
    }

    /// Takes over what a durable transaction has appended. Before it the first number was the last that was given out, with it the
    /// second.
    pub(super) fn take_over(&mut self, before: Sequence, last: Sequence, appended: Vec<Appended>) {
        if !self.is_of(before) {
            *self = Self::behind(before);
        }
        self.last = last;
        self.bytes += appended.iter().map(|appended| appended.bytes).sum::<usize>();
        self.events.extend(appended);
        while self.events.len() > MOST || self.bytes > MOST_BYTES {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(oldest.bytes);
            self.since = oldest.event.sequence;
        }
    }

    /// Shows the events of a repository behind `since`, oldest first, until `look` breaks. Answers nothing if not all of them
    /// are here.
    pub(super) fn look(
        &self,
        repository: &RepositoryName,
        since: Sequence,
        look: impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Option<ControlFlow<()>> {
        if since < self.since {
            return None;
        }
        let first = self.events.partition_point(|appended| appended.event.sequence <= since);
        Some(look_at(self.events.range(first..), repository, since, look))
    }
}

/// Shows those of a repository behind `since`, until `look` breaks.
pub(super) fn look_at<'e>(
    appended: impl IntoIterator<Item = &'e Appended>,
    repository: &RepositoryName,
    since: Sequence,
    look: impl FnMut(&Event) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let events = appended.into_iter().map(|appended| &appended.event);
    events.filter(|event| event.sequence > since && event.repository == *repository).try_for_each(look)
}
