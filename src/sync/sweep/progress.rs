//! What a sweep shows of itself, in the shape in which the API shows it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::store::{Missing, SweepKind};
use crate::telemetry::CounterFamily;

pub(super) static CORRECTIONS: CounterFamily = CounterFamily {
    name: "portreeve_sweep_corrections_total",
    help: "Events by which sweeps mended the record",
    labels: &[],
};
pub(super) static PROBLEMS: CounterFamily = CounterFamily {
    name: "portreeve_sweep_problems_total",
    help: "What sweeps could not compare",
    labels: &[],
};

/// The most problems that are told one by one; the others are counted.
const MAXIMUM_PROBLEMS: usize = 20;

/// Where a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Among the repositories that the catalog lists.
    Catalog,
    /// Among the known repositories that it did not list.
    Unlisted,
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was compared.
    Complete,
    /// Some of it could not be.
    Partial,
    /// It came to no end.
    Failed,
}

/// What the registry's catalog was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatalogState {
    /// It was listed to its end.
    Listed,
    /// The registry has none for this door: known repositories only were swept.
    Disabled,
    /// It could not be listed to its end.
    Failed,
    /// It was not asked for: the registry is a cache, and known repositories only are swept.
    NotRead,
}

/// What the catalog was good for in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CatalogEnd {
    pub state: CatalogState,
    /// Why it was not good for more.
    pub cause: Option<String>,
}

impl Default for CatalogEnd {
    fn default() -> Self {
        Self { state: CatalogState::Listed, cause: None }
    }
}

/// Something that could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// In which repository, as the registry spells it.
    pub repository: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// What a sweep has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Repositories that were gone through.
    pub repositories: u64,
    /// Tags that were compared.
    pub tags: u64,
    /// Corrections: events that came of it.
    pub found: u64,
    /// What could not be compared.
    pub problems: u64,
}

/// A sweep that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningSweep {
    /// Its number.
    pub number: u64,
    /// How thorough it is.
    pub kind: SweepKind,
    /// Where it is.
    pub phase: Phase,
    /// When it began, perhaps in an earlier run of the door.
    pub started_at: Timestamp,
    /// Whether it goes on where an earlier run of the door left it.
    pub resumed: bool,
    /// Repositories that are done.
    pub repositories_done: u64,
    /// About how many there are: as many as are known or listed so far.
    pub repositories_expected: Option<u64>,
    /// How many are done in a second.
    pub repositories_per_second: f64,
    /// About how long it will take from now, in seconds.
    pub seconds_left: Option<u64>,
    /// Tags that were compared.
    pub tags: u64,
    /// Corrections so far.
    pub found: u64,
    /// Problems so far.
    pub problems: u64,
}

/// A sweep that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedSweep {
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
    /// Why it is not complete.
    pub cause: Option<String>,
    /// What the catalog was good for.
    pub catalog: CatalogState,
    /// Repositories that were gone through.
    pub repositories: u64,
    /// Tags that were compared.
    pub tags: u64,
    /// Corrections.
    pub found: u64,
    /// What could not be compared, the first of them.
    pub problems: Vec<Problem>,
    /// How many could not be compared.
    pub problem_count: u64,
    /// What the registry denied and the record keeps all the same.
    pub held: Missing,
    /// References that were written just now and of which the registry says otherwise: they are asked about again.
    pub unsettled: u64,
}

/// The progress of one sweep, noted by those who do it and read by whoever asks.
pub(super) struct Progress {
    pub number: u64,
    pub kind: SweepKind,
    pub started: Timestamp,
    resumed: bool,
    begun: Instant,
    /// What an earlier run of the door had done.
    before: Counts,
    expected: Option<u64>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    counts: Counts,
    /// Repositories that the catalog has listed so far, and those that were done before.
    listed: u64,
    problems: Vec<Problem>,
    unsettled: u64,
}

impl Progress {
    /// A sweep that begins, or goes on with these counts; `expected` repositories are known.
    pub(super) fn new(
        number: u64,
        kind: SweepKind,
        started: Timestamp,
        phase: Phase,
        before: Option<Counts>,
        expected: Option<u64>,
    ) -> Self {
        let counts = before.unwrap_or_default();
        Self {
            number,
            kind,
            started,
            resumed: before.is_some(),
            begun: Instant::now(),
            before: counts,
            expected,
            state: Mutex::new(State {
                phase,
                counts,
                listed: counts.repositories,
                problems: Vec::new(),
                unsettled: 0,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was done so far.
    pub(super) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// The next phase begins.
    pub(super) fn enter(&self, phase: Phase) {
        self.state().phase = phase;
    }

    /// The catalog has listed so many more.
    pub(super) fn listed(&self, count: usize) {
        self.state().listed += count as u64;
    }

    /// A repository was gone through.
    pub(super) fn repository(&self) {
        self.state().counts.repositories += 1;
    }

    /// So many tags were compared.
    pub(super) fn tags(&self, count: usize) {
        self.state().counts.tags += count as u64;
    }

    /// So many events came of it.
    pub(super) fn found(&self, events: usize) {
        self.state().counts.found += events as u64;
        CORRECTIONS.with([]).increment(events as u64);
    }

    /// A reference is to be asked about again, since it was written just now.
    pub(super) fn unsettled(&self) {
        self.state().unsettled += 1;
    }

    /// Something could not be compared.
    pub(super) fn problem(&self, repository: Option<&str>, message: String) {
        tracing::warn!(repository, problem = %message, "a sweep cannot compare something");
        PROBLEMS.with([]).increment(1);
        let mut state = self.state();
        state.counts.problems += 1;
        if state.problems.len() < MAXIMUM_PROBLEMS {
            state.problems.push(Problem { repository: repository.map(str::to_owned), message });
        }
    }

    /// How far it is.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "for people to read"
    )]
    pub(super) fn running(&self) -> RunningSweep {
        let state = self.state();
        let Counts { repositories, tags, found, problems } = state.counts;
        let here = repositories.saturating_sub(self.before.repositories) as f64;
        let rate = here / self.begun.elapsed().as_secs_f64().max(0.001);
        let expected = self.expected.unwrap_or(0).max(state.listed).max(repositories);
        let expected = (expected > 0).then_some(expected);
        let left = expected.map(|expected| (expected - repositories) as f64 / rate);
        RunningSweep {
            number: self.number,
            kind: self.kind,
            phase: state.phase,
            started_at: self.started,
            resumed: self.resumed,
            repositories_done: repositories,
            repositories_expected: expected,
            repositories_per_second: (rate * 10.0).round() / 10.0,
            seconds_left: left.filter(|left| left.is_finite()).map(|left| left.ceil() as u64),
            tags,
            found,
            problems,
        }
    }

    /// It has ended.
    pub(super) fn finished(
        &self,
        end: Result<CatalogEnd, String>,
        held: Missing,
        now: Timestamp,
    ) -> FinishedSweep {
        let state = self.state();
        let Counts { repositories, tags, found, problems } = state.counts;
        let (outcome, catalog, cause) = match end {
            Ok(CatalogEnd { state: state @ (CatalogState::Listed | CatalogState::NotRead), cause })
                if problems == 0 =>
            {
                (Outcome::Complete, state, cause)
            }
            Ok(CatalogEnd { state, cause }) => (Outcome::Partial, state, cause),
            Err(cause) => (Outcome::Failed, CatalogState::Failed, Some(cause)),
        };
        FinishedSweep {
            number: self.number,
            kind: self.kind,
            started_at: self.started,
            ended_at: now,
            outcome,
            cause,
            catalog,
            repositories,
            tags,
            found,
            problems: state.problems.clone(),
            problem_count: problems,
            held,
            unsettled: state.unsettled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: Timestamp = Timestamp::from_milliseconds(0);

    #[tokio::test(start_paused = true)]
    async fn about_how_many_there_are_is_what_is_known_or_listed_so_far_whichever_is_more() {
        let progress = Progress::new(1, SweepKind::Deep, BEGAN, Phase::Catalog, None, Some(3));
        let expected = || progress.running().repositories_expected;
        assert_eq!(expected(), Some(3));
        progress.listed(2);
        assert_eq!(expected(), Some(3));
        progress.listed(8);
        assert_eq!(expected(), Some(10));
        let nothing = Progress::new(1, SweepKind::Deep, BEGAN, Phase::Catalog, None, None);
        assert_eq!(nothing.running().repositories_expected, None);
    }

    #[tokio::test(start_paused = true)]
    async fn rate_and_time_left_are_those_of_this_run_of_the_door() {
        let before = Counts { repositories: 1_000, tags: 9, found: 8, problems: 7 };
        let progress = Progress::new(1, SweepKind::Deep, BEGAN, Phase::Catalog, Some(before), Some(1_100));
        (0..20).for_each(|_| progress.repository());
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
        let running = progress.running();
        assert!(running.resumed);
        assert_eq!((running.repositories_done, running.repositories_per_second), (1_020, 2.0));
        assert_eq!(running.seconds_left, Some(40));
        assert_eq!((running.tags, running.found, running.problems), (9, 8, 7));
    }
}
