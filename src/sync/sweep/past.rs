//! What is remembered of sweeps that have ended: the last ones, and what those of each day have found. It is kept with the end of
//! the last one, so that it outlives restarts and is the same at every door.

use serde::{Deserialize, Serialize};

use super::progress::{FinishedSweep, Outcome};
use crate::clock::Timestamp;
use crate::store::SweepKind;

/// So many sweeps are remembered one by one.
const RECENT: usize = 20;
/// So many days are remembered.
const DAYS: usize = 30;

/// Sweeps that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastSweeps {
    /// The last ones, the latest first.
    pub recent: Vec<PastSweep>,
    /// The last days on which any ended, the latest first.
    pub days: Vec<SweepDay>,
}

/// A sweep that has ended, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastSweep {
    /// Its number.
    pub number: u64,
    /// How thorough it was.
    pub kind: SweepKind,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Repositories that were gone through.
    pub repositories: u64,
    /// Tags that were compared.
    pub tags: u64,
    /// Corrections.
    pub found: u64,
    /// How many could not be compared.
    pub problems: u64,
}

/// What the sweeps came to that ended on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepDay {
    /// As `2026-11-27`, in UTC.
    pub day: String,
    /// How many there were.
    pub sweeps: u64,
    /// Corrections.
    pub found: u64,
    /// How many could not be compared.
    pub problems: u64,
}

impl PastSweeps {
    /// With one more.
    pub(super) fn with(mut self, finished: &FinishedSweep) -> Self {
        let FinishedSweep {
            number,
            kind,
            started_at,
            ended_at,
            outcome,
            repositories,
            tags,
            found,
            problem_count,
            ..
        } = *finished;
        let sweep = PastSweep {
            number,
            kind,
            started_at,
            ended_at,
            outcome,
            repositories,
            tags,
            found,
            problems: problem_count,
        };
        self.recent.insert(0, sweep);
        self.recent.truncate(RECENT);
        let mut day = ended_at.to_string();
        day.truncate("2026-11-27".len());
        // A clock that was set back leads to a day that was.
        let place = self.days.partition_point(|known| known.day > day);
        if self.days.get(place).is_none_or(|known| known.day != day) {
            self.days.insert(place, SweepDay { day, sweeps: 0, found: 0, problems: 0 });
        }
        if let Some(day) = self.days.get_mut(place) {
            day.sweeps = day.sweeps.saturating_add(1);
            day.found = day.found.saturating_add(found);
            day.problems = day.problems.saturating_add(problem_count);
        }
        self.days.truncate(DAYS);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::CatalogState;
    use super::super::state::{Kept, decode, encode};
    use super::*;
    use crate::store::Missing;

    fn ended(number: u64, day: u64, found: u64) -> FinishedSweep {
        let at = Timestamp::from_milliseconds(day * 24 * 60 * 60 * 1000);
        FinishedSweep {
            number,
            kind: SweepKind::Shallow,
            started_at: at,
            ended_at: at,
            outcome: Outcome::Complete,
            cause: None,
            catalog: CatalogState::Listed,
            repositories: 1,
            tags: 2,
            found,
            problems: Vec::new(),
            problem_count: 1,
            held: Missing::default(),
            unsettled: 0,
        }
    }

    #[test]
    fn the_last_sweeps_and_days_are_remembered_and_no_more() {
        let mut past = PastSweeps::default();
        for number in 0..200 {
            past = past.with(&ended(number, number / 2, number % 2));
        }
        let recent: Vec<_> = past.recent.iter().map(|sweep| sweep.number).collect();
        assert_eq!(recent, (180..200).rev().collect::<Vec<_>>());
        assert_eq!((past.days.len(), &*past.days[0].day), (30, "1970-04-10"));
        assert!(
            past.days.iter().all(|day| (day.sweeps, day.found, day.problems) == (2, 1, 2)),
            "{:?}",
            past.days
        );
        // A clock that was set back by a day, and by a year.
        past = past.with(&ended(200, 98, 7)).with(&ended(201, 0, 7));
        assert_eq!((past.days[0].found, past.days[1].found, past.days.len()), (1, 8, 30));
    }

    #[test]
    fn what_is_kept_of_the_last_sweep_is_read_with_and_without_those_before_it() {
        let last = ended(7, 1, 3);
        let past = PastSweeps::default().with(&last);
        let kept = Kept { last, past };
        let bytes = encode(&kept);
        assert_eq!(decode::<Kept>(Some(&bytes)).unwrap(), kept);
        assert_eq!(decode::<FinishedSweep>(Some(&bytes)).unwrap(), kept.last, "as an older door reads it");
        let older = decode::<Kept>(Some(&encode(&kept.last))).unwrap();
        assert_eq!(older, Kept { past: PastSweeps::default(), ..kept }, "as an older door wrote it");
    }
}
