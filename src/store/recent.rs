//! What the door's own writes did of late, observed or verified, in memory beside the events: an answer that contradicts it
//! may only be old. After a restart it
//! is read from the last events again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::oci::{Reference, RepositoryName};
use crate::store::{Event, LastWrite, Sequence, Source};

/// How many references are remembered at once. Beyond them the oldest are forgotten, and answers about them believed.
const MOST: usize = 65_536;

/// How long they are remembered: nothing is waited for longer.
const LONGEST: Duration = Duration::from_hours(1);

/// How many of the last events are looked at when a store is opened.
const LOOKED_AT: usize = 65_536;

/// A reference in a repository; none for the repository as a whole.
type About = (RepositoryName, Option<Reference>);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RecentlyObserved(Mutex<Observed>);

#[derive(Debug, Default)]
struct Observed {
    last: HashMap<About, (Instant, Sequence)>,
    /// In the order of their recording; what was observed again since has another time in `last`.
    order: VecDeque<(Instant, Sequence, About)>,
}

impl RecentlyObserved {
    /// What the last events say was observed; they come newest first.
    ///
    /// # Errors
    /// When an event cannot be read.
    pub(super) fn of_last<E>(events: impl Iterator<Item = Result<Event, E>>) -> Result<Self, E> {
        let (observed, now) = (Self::default(), Timestamp::now());
        let mut last = Vec::new();
        for event in events.take(LOOKED_AT) {
            let event = event?;
            if now.since(event.time) > LONGEST {
                break;
            }
            last.push(event);
        }
        last.iter().rev().for_each(|event| observed.note(event, now.since(event.time)));
        Ok(observed)
    }

    /// Takes up an event that was recorded so long ago, if it comes of a write through the door. Ages are told by the monotonic clock, so that one
    /// that is set back or forward changes nothing.
    pub(super) fn note(&self, event: &Event, age: Duration) {
        match event.source {
            Source::Observed | Source::Verified => {}
            Source::Swept | Source::Hinted => return,
        }
        let tag = event.tag.clone().map(Reference::Tag);
        let digest = event.digest.clone().map(Reference::Digest);
        // That a tag was deleted says nothing of its manifest.
        let digest = digest.filter(|_| tag.is_none() || event.media_type.is_some());
        let now = Instant::now();
        let time = now.checked_sub(age).unwrap_or(now);
        let mut observed = self.lock();
        for reference in [None, tag, digest]
            .into_iter()
            .enumerate()
            .filter_map(|(place, reference)| (place == 0 || reference.is_some()).then_some(reference))
        {
            let about = (event.repository.clone(), reference);
            observed.last.insert(about.clone(), (time, event.sequence));
            observed.order.push_back((time, event.sequence, about));
        }
        while let Some((time, ..)) = observed.order.front()
            && (observed.order.len() > MOST || now.duration_since(*time) > LONGEST)
            && let Some((_, sequence, about)) = observed.order.pop_front()
        {
            if observed.last.get(&about).is_some_and(|(_, last)| *last == sequence) {
                observed.last.remove(&about);
            }
        }
    }

    /// The last one about this reference, or in the repository at all.
    pub(super) fn last(
        &self,
        repository: &RepositoryName,
        reference: Option<&Reference>,
    ) -> Option<LastWrite> {
        let observed = self.lock();
        let (time, sequence) = observed.last.get(&(repository.clone(), reference.cloned()))?;
        Some(LastWrite { sequence: *sequence, age: time.elapsed() })
    }

    fn lock(&self) -> MutexGuard<'_, Observed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
