//! Where sweeps are, between one and the next.

use super::checkpoint::{Checkpoint, Position};
use super::progress::SweepKind;
use super::state::Next;
use crate::clock::Timestamp;
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
    /// Brings everything to where this sweep is to begin. One that was asked for looks at everything anew; one that is due
    /// goes on where the last one of its kind was cut or has failed.
    pub(super) fn prepare(&mut self, next: &Next, now: Timestamp) {
        let may_go_on = |position: &Position| !next.is_requested && position.can_go_on_as(next.kind, now);
        let cut = self.checkpoint.running.take_if(|position| !may_go_on(position));
        if next.kind == SweepKind::Shallow {
            // A shallow sweep takes nothing from the deep one that it comes before.
            if let Some(cut) = cut.filter(|cut| cut.kind == SweepKind::Deep) {
                self.parked = Some((cut, std::mem::take(&mut self.marks)));
            }
        } else if let Some((position, mut marks)) =
            self.parked.take().filter(|(position, _)| may_go_on(position))
        {
            marks.all_fresh();
            (self.checkpoint.running, self.marks) = (Some(position), marks);
        }
    }
}
