//! Which sweep is next, and what number it has. A request is served by a sweep that begins after it and is as thorough; it
//! stays until that sweep, or a later one which serves it as well, has ended. So whoever waits for a number waits for it or any
//! higher one.

use crate::clock::Timestamp;
use crate::store::{BegunSweep, RequestedSweep, SweepKind, SweepQueue, SweepStart};

/// Asks for a sweep that begins from now on. Sweeps that were not numbered before are numbered since then.
pub(in crate::store) fn request_sweep(
    queue: &mut SweepQueue,
    kind: SweepKind,
    since: Timestamp,
) -> RequestedSweep {
    queue.requested = queue.requested.max(Some(kind));
    let numbered_since = *queue.numbered_since.get_or_insert(since);
    RequestedSweep { number: queue.number + 1, numbered_since }
}

/// Begins the next sweep, asked for or due; nothing if there is none. One that was asked for and cut comes first, unless one is
/// asked for meanwhile that is as thorough and so serves for both.
pub(in crate::store) fn begin_sweep(
    queue: &mut SweepQueue,
    due: Option<SweepKind>,
    since: Timestamp,
) -> Option<BegunSweep> {
    if let Some(kind) = queue.unfinished
        && queue.requested < Some(kind)
    {
        return Some(BegunSweep { number: queue.number, kind, start: SweepStart::Again });
    }
    let kind = queue.requested.max(due)?;
    let start = if queue.requested.is_some() { SweepStart::Anew } else { SweepStart::Due };
    queue.number += 1;
    queue.unfinished = queue.requested.take().map(|_| kind);
    queue.numbered_since.get_or_insert(since);
    Some(BegunSweep { number: queue.number, kind, start })
}

/// A sweep has ended, well or not: nobody waits for it any more.
pub(in crate::store) fn end_sweep(queue: &mut SweepQueue, number: u64) {
    if queue.number == number {
        queue.unfinished = None;
    }
}

#[cfg(test)]
mod tests {
    use SweepKind::{Deep, Shallow};

    use super::*;

    const NOW: Timestamp = Timestamp::from_milliseconds(1);

    fn begun(number: u64, kind: SweepKind, start: SweepStart) -> Option<BegunSweep> {
        Some(BegunSweep { number, kind, start })
    }

    fn request(queue: &mut SweepQueue, kind: SweepKind) -> u64 {
        request_sweep(queue, kind, NOW).number
    }

    #[test]
    fn who_asks_when_a_sweep_has_just_begun_gets_the_next_one() {
        let mut queue = SweepQueue::default();
        assert_eq!(begin_sweep(&mut queue, None, NOW), None);
        assert_eq!(begin_sweep(&mut queue, Some(Shallow), NOW), begun(1, Shallow, SweepStart::Due));
        assert_eq!(request(&mut queue, Deep), 2);
        assert_eq!(request(&mut queue, Shallow), 2);
        assert_eq!(begin_sweep(&mut queue, Some(Shallow), NOW), begun(2, Deep, SweepStart::Anew));
        assert_eq!(request(&mut queue, Shallow), 3);
    }

    #[test]
    fn one_that_is_due_makes_one_that_is_asked_for_more_thorough_and_not_less() {
        for (requested, due) in [(Shallow, Deep), (Deep, Shallow)] {
            let mut queue = SweepQueue::default();
            request(&mut queue, requested);
            assert_eq!(begin_sweep(&mut queue, Some(due), NOW), begun(1, Deep, SweepStart::Anew));
            assert_eq!(queue.unfinished, Some(Deep));
        }
    }

    #[test]
    fn a_sweep_that_was_asked_for_and_cut_is_still_asked_for_until_it_ends() {
        let mut queue = SweepQueue::default();
        request(&mut queue, Deep);
        begin_sweep(&mut queue, None, NOW);
        assert!(queue.is_waiting());
        assert_eq!(request(&mut queue, Shallow), 2);
        assert_eq!(begin_sweep(&mut queue, Some(Shallow), NOW), begun(1, Deep, SweepStart::Again));
        end_sweep(&mut queue, 1);
        assert_eq!(begin_sweep(&mut queue, None, NOW), begun(2, Shallow, SweepStart::Anew));
        end_sweep(&mut queue, 1);
        assert!(queue.is_waiting(), "that was another one");
        end_sweep(&mut queue, 2);
        assert!(!queue.is_waiting());
    }

    #[test]
    fn one_that_was_cut_is_served_by_the_next_if_that_is_as_thorough() {
        for (cut, next) in [(Shallow, Shallow), (Shallow, Deep), (Deep, Deep)] {
            let mut queue = SweepQueue::default();
            request(&mut queue, cut);
            begin_sweep(&mut queue, None, NOW);
            assert_eq!(request(&mut queue, next), 2);
            assert_eq!(begin_sweep(&mut queue, None, NOW), begun(2, next, SweepStart::Anew));
            end_sweep(&mut queue, 2);
            assert!(!queue.is_waiting());
        }
    }

    #[test]
    fn a_sweep_that_nobody_asked_for_is_not_begun_again() {
        let mut queue = SweepQueue::default();
        begin_sweep(&mut queue, Some(Deep), NOW);
        assert!(!queue.is_waiting());
        assert_eq!(begin_sweep(&mut queue, None, NOW), None);
        assert_eq!(begin_sweep(&mut queue, Some(Deep), NOW), begun(2, Deep, SweepStart::Due));
    }

    #[test]
    fn sweeps_are_numbered_since_the_first_was_asked_for_or_began() {
        let later = Timestamp::from_milliseconds(2);
        let mut queue = SweepQueue::default();
        assert_eq!(request_sweep(&mut queue, Deep, NOW).numbered_since, NOW);
        assert_eq!(request_sweep(&mut queue, Deep, later).numbered_since, NOW);
        let mut queue = SweepQueue::default();
        begin_sweep(&mut queue, Some(Deep), NOW);
        begin_sweep(&mut queue, Some(Deep), later);
        assert_eq!(queue.numbered_since, Some(NOW));
    }
}
