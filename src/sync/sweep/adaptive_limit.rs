//! The adaptive limit of a sweep: how many questions may be under way at the registry, and when the next one may be asked.
//!
//! It begins with one, asks more as long as answers come as quickly as before, fewer when they take longer, and pauses
//! when the registry is in trouble or says how long it wants to be left alone. While clients write through the door, a
//! sweep asks one question at a time and rests as long as each took.
//!
//! What goes wrong with one repository is that repository's: it rests, and the others go on. Only failures about several
//! of them, without an answer in between, are the registry's. A question that waits for much longer than usual steps
//! aside: it holds no place any more, and no more than the ceiling of them can do so.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::troubles::{Subject, Troubles};
use crate::clock::Backoff;

/// The pauses after troubles in a row.
pub(super) const PAUSES: Backoff =
    Backoff::new(Duration::from_millis(100), Duration::from_secs(30)).with_jitter(0.5);
/// After so many questions in a row that got no answer, the registry may be down. It may as well be what was asked about
/// that is damaged, so this alone ends no sweep.
const PROBE_AFTER: u32 = 10;
/// By how much of itself the quickest time drifts up in a minute.
const DRIFT: f64 = 0.05;
/// Answers that take less than this longer are not slower.
const NOISE: Duration = Duration::from_millis(1);
/// A question that has waited for so many times the usual time, and for so long at least, holds no place any more.
const PERMIT_PATIENCE: (u32, Duration) = (8, Duration::from_millis(500));

/// What is asked for. Each kind has its own usual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// A page of the catalog.
    Catalog,
    /// A page of a repository's tags.
    Tags,
    /// A manifest, or its digest.
    Manifest,
}

/// What came of a question, as far as the limit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The registry answered, whatever it said.
    Answered,
    /// It failed on this question, and may do better on others.
    Fault,
    /// It could not answer now, and may later.
    Unavailable,
    /// It cannot be asked, or wants to be left alone; perhaps for so long.
    Trouble(Option<Duration>),
}

/// The adaptive limit of one sweep.
pub(super) struct AdaptiveLimit {
    state: Mutex<State>,
    /// Somebody may find a place.
    places: Notify,
    /// A question that stood aside has ended.
    ended: Notify,
    ceiling: usize,
    is_busy: Box<dyn Fn() -> bool + Send + Sync>,
}

struct State {
    /// How many questions may be under way.
    limit: f64,
    /// How many are, without those that stand aside.
    under_way: usize,
    /// How many stand aside.
    aside: usize,
    /// When the next question may be asked.
    rest: Option<Instant>,
    /// Troubles in a row, by which pauses grow.
    troubles: u32,
    /// Questions in a row without an answer, since somebody last looked whether the registry is there.
    unanswered: u32,
    /// What goes wrong with which repository.
    subjects: Troubles,
    usual: [Usual; 3],
    /// When the limit was last lowered.
    lowered: Option<Instant>,
    /// For jitter.
    random: fastrand::Rng,
}

/// How long answers of one kind take.
#[derive(Clone, Copy, Default)]
struct Usual {
    /// At their quickest, as of when; drifts up slowly, since a registry may become slower for good.
    quickest: Option<(Duration, Instant)>,
    /// Of late.
    late: Duration,
}

impl std::fmt::Debug for AdaptiveLimit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AdaptiveLimit").field("ceiling", &self.ceiling).finish_non_exhaustive()
    }
}

/// A place among the questions under way, or aside of them; it ends when this is dropped.
pub(super) struct Permit<'a> {
    limit: &'a AdaptiveLimit,
    question: Question,
    subject: Subject,
    asked: Instant,
    is_aside: bool,
}

/// What somebody waits for who wants to ask.
enum Wait {
    Until(Instant),
    /// The questions about this subject that stand aside.
    Subject,
    Place,
}

impl AdaptiveLimit {
    /// At most `ceiling` questions at once, and as many that stand aside; `is_busy` tells whether clients are writing
    /// through the door.
    pub(super) fn new(ceiling: usize, seed: u64, is_busy: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let state = State {
            limit: 1.0,
            under_way: 0,
            aside: 0,
            rest: None,
            troubles: 0,
            unanswered: 0,
            subjects: Troubles::default(),
            usual: [Usual::default(); 3],
            lowered: None,
            random: fastrand::Rng::with_seed(seed),
        };
        Self {
            state: Mutex::new(state),
            places: Notify::new(),
            ended: Notify::new(),
            ceiling,
            is_busy: Box::new(is_busy),
        }
    }

    /// Waits for a place. Dropping the future gives it up.
    pub(super) async fn acquire(&self, question: Question, subject: Subject) -> Permit<'_> {
        // Whether a word that there is a place has come here, which somebody else may be waiting for.
        let mut is_woken = false;
        loop {
            let (place, ended) = (self.places.notified(), self.ended.notified());
            tokio::pin!(place);
            tokio::pin!(ended);
            is_woken |= place.as_mut().enable();
            ended.as_mut().enable();
            let now = Instant::now();
            let wait = {
                let mut state = self.state();
                let rest = state.rest.max(state.subjects.rest(subject)).filter(|rest| *rest > now);
                match rest {
                    Some(rest) => Wait::Until(rest),
                    None if state.subjects.is_held_up(subject) => Wait::Subject,
                    None if state.under_way < self.current(&state) => {
                        state.under_way += 1;
                        return Permit { limit: self, question, subject, asked: now, is_aside: false };
                    }
                    None => Wait::Place,
                }
            };
            if is_woken && !matches!(wait, Wait::Place) {
                self.places.notify_one();
            }
            is_woken = false;
            match wait {
                Wait::Until(rest) => tokio::time::sleep_until(rest).await,
                Wait::Subject => ended.await,
                Wait::Place => {
                    place.await;
                    is_woken = true;
                }
            }
        }
    }

    /// Whether so much went without an answer in a row that the registry may be down.
    pub(super) fn may_be_down(&self) -> bool {
        self.state().unanswered >= PROBE_AFTER
    }

    /// The registry is there: what failed before counts no more. Pauses begin small again; one that runs, such as the
    /// registry asked for, stays.
    pub(super) fn reset_failures(&self) {
        let mut state = self.state();
        (state.troubles, state.unanswered) = (0, 0);
    }

    /// A new sweep is to find out how the registry is, and everything in it.
    pub(super) fn begin(&self) {
        self.reset_failures();
        self.state().subjects.forget();
    }

    /// How many questions may be under way now.
    pub(super) fn concurrency(&self) -> usize {
        self.current(&self.state())
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from one to the ceiling, which is small"
    )]
    fn current(&self, state: &State) -> usize {
        if (self.is_busy)() { 1 } else { state.limit as usize }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets so many in as there are places.
    fn wake(&self, state: &State) {
        for _ in state.under_way..self.current(state) {
            self.places.notify_one();
        }
    }
}

impl Permit<'_> {
    /// How long it may hold its place from now on.
    pub(super) fn patience(&self) -> Duration {
        self.limit.state().patience(self.question)
    }

    /// Gives up its place though there is no answer yet, unless too many have done so. Answers whether it has.
    pub(super) fn step_aside(&mut self) -> bool {
        let mut state = self.limit.state();
        if !self.is_aside && state.aside < self.limit.ceiling {
            self.is_aside = true;
            state.aside += 1;
            state.under_way -= 1;
            state.subjects.step_aside(self.subject);
            self.limit.wake(&state);
        }
        self.is_aside
    }

    /// Notes what came of the question.
    pub(super) fn note(self, reply: Reply) {
        let now = Instant::now();
        let is_busy = (self.limit.is_busy)();
        let mut state = self.limit.state();
        let mut taken = now.duration_since(self.asked);
        if self.is_aside {
            // One that hung says little of how the others fare.
            taken = taken.min(state.patience(self.question));
        }
        match reply {
            Reply::Answered => {
                (state.troubles, state.unanswered) = (0, 0);
                state.subjects.answered(self.subject);
                state.adapt(self.question, taken, now, self.limit.ceiling);
                if is_busy {
                    state.rest_until(now + taken);
                }
            }
            Reply::Fault => {
                state.unanswered = state.unanswered.saturating_add(1);
                state.subjects.failed(self.subject, now);
                if state.subjects.are_wide() {
                    state.slow_down(now + PAUSES.min);
                } else {
                    state.subjects.rest_until(self.subject, now + PAUSES.min);
                }
            }
            Reply::Unavailable => {
                state.unanswered = state.unanswered.saturating_add(1);
                let failures = state.subjects.failed(self.subject, now);
                if state.subjects.are_wide() {
                    state.troubles = state.troubles.saturating_add(1);
                    let pause = PAUSES.jittered(state.troubles, &mut state.random);
                    state.slow_down(now + pause);
                } else {
                    let pause = PAUSES.jittered(failures, &mut state.random);
                    state.subjects.rest_until(self.subject, now + pause);
                }
            }
            Reply::Trouble(wanted) => {
                state.troubles = state.troubles.saturating_add(1);
                state.unanswered = state.unanswered.saturating_add(1);
                let pause = PAUSES.at_least(wanted, state.troubles, &mut state.random);
                state.slow_down(now + pause);
            }
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.limit.state();
        if self.is_aside {
            state.aside -= 1;
            state.subjects.end_aside(self.subject);
            self.limit.ended.notify_waiters();
        } else {
            state.under_way -= 1;
        }
        self.limit.wake(&state);
    }
}

impl State {
    /// How long an answer of this kind is waited for in a place.
    fn patience(&self, question: Question) -> Duration {
        let (times, least) = PERMIT_PATIENCE;
        self.usual[question as usize].late.saturating_mul(times).max(least)
    }

    /// Raises or lowers the limit by how long an answer took.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn adapt(&mut self, question: Question, taken: Duration, now: Instant, ceiling: usize) {
        let usual = &mut self.usual[question as usize];
        // By time, not by answer: a registry that is asked much must not get used to being slow the sooner for it.
        let drifted = usual.quickest.map_or(taken, |(quickest, as_of)| {
            quickest.mul_f64(1.0 + DRIFT * now.duration_since(as_of).as_secs_f64() / 60.0)
        });
        let quickest = drifted.min(taken);
        usual.late = match usual.quickest {
            Some(_) => usual.late.mul_f64(0.8) + taken.mul_f64(0.2),
            None => taken,
        };
        usual.quickest = Some((quickest, now));
        let late = usual.late;
        if late > quickest * 4 + NOISE * 2 {
            // Once for each round of answers: those under way were asked at the old limit.
            if self.lowered.is_none_or(|lowered| now.duration_since(lowered) > late) {
                self.limit = (self.limit * 0.8).max(1.0);
                self.lowered = Some(now);
            }
        } else if late < quickest * 2 + NOISE && self.under_way as f64 + 1.0 > self.limit {
            self.limit = (self.limit + 1.0 / self.limit).min(ceiling as f64);
        }
    }

    fn rest_until(&mut self, time: Instant) {
        self.rest = self.rest.max(Some(time));
    }

    /// The registry as a whole is asked less, and nothing before this time.
    fn slow_down(&mut self, rest: Instant) {
        self.limit = (self.limit / 2.0).max(1.0);
        self.rest_until(rest);
    }
}

#[cfg(test)]
mod tests;
