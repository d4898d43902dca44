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
pub(super) const LOOKED_AT: usize = 65_536;

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

/// Whether what is learnt so comes of a write through the door.
pub(super) const fn is_of_a_write(source: Source) -> bool {
    match source {
        Source::Observed | Source::Verified => true,
        Source::Swept | Source::Hinted => false,
    }
}

/// What an event speaks of: the repository as a whole, and the tag and the manifest.
fn references(event: &Event) -> impl Iterator<Item = Option<Reference>> {
    let tag = event.tag.clone().map(Reference::Tag);
    let digest = event.digest.clone().map(Reference::Digest);
    // That a tag was deleted says nothing of its manifest.
    let digest = digest.filter(|_| tag.is_none() || event.media_type.is_some());
    std::iter::once(None).chain(tag.into_iter().chain(digest).map(Some))
}

impl RecentlyObserved {
    /// What the last events say was observed; they come newest first, and those that come of no write may be left out.
    ///
    /// # Errors
    /// When an event cannot be read.
    pub(super) fn of_last<E>(events: impl Iterator<Item = Result<Event, E>>) -> Result<Self, E> {
        let (observed, now) = (Self::default(), Timestamp::now());
        let (mut last, mut references) = (Vec::new(), 0);
        for event in events {
            let event = event?;
            // Older ones would be forgotten again at once.
            if references >= MOST || now.since(event.time) > LONGEST {
                break;
            }
            references += self::references(&event).count();
            last.push(event);
        }
        last.iter().rev().for_each(|event| observed.note(event, now.since(event.time)));
        Ok(observed)
    }

    /// Takes up an event that was recorded so long ago, if it comes of a write through the door. Ages are told by the monotonic clock, so that one
    /// that is set back or forward changes nothing.
    pub(super) fn note(&self, event: &Event, age: Duration) {
        if !is_of_a_write(event.source) {
            return;
        }
        let now = Instant::now();
        let time = now.checked_sub(age).unwrap_or(now);
        let mut observed = self.lock();
        for reference in references(event) {
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::store::sample::{deletion_of_tag, repository, tag};

    fn deleted(number: usize, time: Timestamp) -> Event {
        deletion_of_tag(number, Source::Observed, time)
    }

    /// The numbers of those of whose tags something is known.
    fn known_of_last(events: &[Event]) -> Vec<usize> {
        let mut read = 0;
        let Ok(observed) =
            RecentlyObserved::of_last(events.iter().cloned().inspect(|_| read += 1).map(Ok::<_, Infallible>));
        let tag_of = |number: usize| Reference::Tag(tag(&format!("t{number}")));
        let knows = |number: &usize| observed.last(&repository("r"), Some(&tag_of(*number))).is_some();
        let known: Vec<_> = (0..events.len()).filter(knows).collect();
        assert!(read <= known.len() + 1, "{read} were read for {}", known.len());
        known
    }

    #[test]
    fn the_last_events_are_read_as_far_as_an_hour_back() {
        let now = Timestamp::now();
        let old = Timestamp::from_milliseconds(now.as_milliseconds() - 3_700_000);
        let events = [deleted(4, now), deleted(3, now), deleted(2, old), deleted(1, old), deleted(0, old)];
        assert_eq!(known_of_last(&events), [3, 4]);
    }

    #[test]
    fn no_more_events_are_read_than_are_remembered() {
        let now = Timestamp::now();
        let events: Vec<_> = (0..MOST).rev().map(|number| deleted(number, now)).collect();
        // Each speaks of its tag and of the repository.
        assert_eq!(known_of_last(&events), (MOST / 2..MOST).collect::<Vec<_>>());
    }
}
