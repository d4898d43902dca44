//! Where sweeps are, between one and the next.

use super::checkpoint::{Checkpoint, Position};
use crate::clock::Timestamp;
use crate::store::{BegunSweep, SweepKind, SweepStart};
use crate::sync::listing::KeptMarks;

/// Where sweeps are, between one and the next.
#[derive(Default)]
pub(super) struct Place {
    pub checkpoint: Checkpoint,
    pub marks: KeptMarks,
    /// A deep sweep that failed, while a shallow one comes between.
    pub parked: Option<(Position, KeptMarks)>,
}

impl Place {
    /// Brings everything to where this sweep is to begin. Answers whether that is where the last one was: else what is kept of
    /// that one has to be forgotten.
    pub(super) fn prepare(&mut self, begun: &BegunSweep, now: Timestamp) -> bool {
        let may_go_on = |position: &Position| {
            position.can_go_on_as(begun.kind, now)
                && match begun.start {
                    SweepStart::Anew => false,
                    // What was looked at before it was asked for does not count.
                    SweepStart::Again => position.number == begun.number,
                    SweepStart::Due => true,
                }
        };
        let cut = self.checkpoint.running.take_if(|position| !may_go_on(position));
        if begun.kind == SweepKind::Shallow {
            // A shallow sweep takes nothing from the deep one that it comes before.
            if let Some(cut) = cut.filter(|cut| cut.kind == SweepKind::Deep) {
                self.parked = Some((cut, std::mem::take(&mut self.marks)));
            }
        } else if let Some((position, mut marks)) =
            self.parked.take().filter(|(position, _)| may_go_on(position))
        {
            marks.all_fresh();
            (self.checkpoint.running, self.marks) = (Some(position), marks);
            return false;
        }
        let goes_on = self.checkpoint.running.is_some();
        if !goes_on {
            self.marks = KeptMarks::default();
        }
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::sweep::progress::{CatalogEnd, Counts, Phase};

    const NOW: Timestamp = Timestamp::from_milliseconds(1_000);

    /// Where a sweep with this number was cut.
    fn cut(number: u64, kind: SweepKind) -> Place {
        let position = Position {
            number,
            kind,
            started: NOW,
            kept: NOW,
            phase: Phase::Catalog,
            page: None,
            after: None,
            counts: Counts::default(),
            catalog: CatalogEnd::default(),
        };
        let mut place = Place::default();
        place.checkpoint.running = Some(position);
        place.marks.mark("done");
        place
    }

    fn goes_on(number: u64, kind: SweepKind, start: SweepStart) -> bool {
        let mut place = cut(7, SweepKind::Deep);
        let goes_on = place.prepare(&BegunSweep { number, kind, start }, NOW);
        assert_eq!((place.checkpoint.running.is_some(), place.marks.has("done")), (goes_on, goes_on));
        goes_on
    }

    #[test]
    fn a_sweep_that_was_asked_for_takes_nothing_from_one_that_began_before() {
        use SweepKind::{Deep, Shallow};
        use SweepStart::{Again, Anew, Due};
        assert!(goes_on(8, Deep, Due));
        assert!(goes_on(7, Deep, Again));
        assert!(!goes_on(8, Deep, Again), "it was cut before it came anywhere");
        assert!(!goes_on(8, Deep, Anew));
        assert!(!goes_on(8, Shallow, Due));
    }

    #[test]
    fn a_deep_sweep_that_comes_back_behind_a_shallow_one_has_its_own_marks_and_no_others() {
        let mut place = cut(7, SweepKind::Deep);
        let begun = |number, kind| BegunSweep { number, kind, start: SweepStart::Due };
        assert!(!place.prepare(&begun(8, SweepKind::Shallow), NOW));
        place.marks.mark("shallow");
        assert!(!place.prepare(&begun(9, SweepKind::Deep), NOW), "the store keeps those of the shallow one");
        assert!(place.marks.has("done") && !place.marks.has("shallow"));
        assert_eq!(place.marks.take_fresh().len(), 1);
        assert_eq!(place.checkpoint.running.unwrap().number, 7);
    }
}
