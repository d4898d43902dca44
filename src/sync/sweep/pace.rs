//! The pace of a sweep: how many questions are under way at the registry, and when the next one may be asked.
//!
//! It begins with one, asks more as long as answers come as quickly as before, fewer when they take longer, and pauses
//! when the registry is in trouble or says how long it wants to be left alone. While clients write through the door, a
//! sweep asks one question at a time and rests as long as each took.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The first pause after trouble, and the longest; each further trouble in a row doubles it.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// The longest that a registry is left alone because it said so.
const LONGEST_REST: Duration = Duration::from_secs(10 * 60);
/// After so many questions in a row that got no answer, the registry may be down. It may as well be what was asked about
/// that is damaged, so this alone ends no sweep.
const DOUBTFUL: u32 = 10;
/// By how much of itself the quickest time drifts up in a minute.
const DRIFT: f64 = 0.05;
/// Answers that take less than this longer are not slower.
const NOISE: Duration = Duration::from_millis(1);

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

/// What came of a question, as far as the pace goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The registry answered, whatever it said.
    Answered,
    /// It failed on this question, and may do better on others.
    Fault,
    /// It could not be asked, or answered that it cannot now; perhaps with a time to be left alone for.
    Trouble(Option<Duration>),
}

/// The pace of one sweep.
pub(super) struct Pace {
    state: Mutex<State>,
    /// Somebody may find a place.
    places: Notify,
    ceiling: usize,
    is_busy: Box<dyn Fn() -> bool + Send + Sync>,
}

struct State {
    /// How many questions may be under way.
    limit: f64,
    under_way: usize,
    /// When the next question may be asked.
    rest: Option<Instant>,
    /// Troubles in a row, by which pauses grow.
    troubles: u32,
    /// Questions in a row without an answer, since somebody last looked whether the registry is there.
    unanswered: u32,
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

impl std::fmt::Debug for Pace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pace").field("ceiling", &self.ceiling).finish_non_exhaustive()
    }
}

/// A place among the questions under way; it ends when this is dropped.
pub(super) struct Turn<'a> {
    pace: &'a Pace,
    question: Question,
    asked: Instant,
}

impl Pace {
    /// At most `ceiling` questions at once; `is_busy` tells whether clients are writing through the door.
    pub fn new(ceiling: usize, seed: u64, is_busy: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let state = State {
            limit: 1.0,
            under_way: 0,
            rest: None,
            troubles: 0,
            unanswered: 0,
            usual: [Usual::default(); 3],
            lowered: None,
            random: fastrand::Rng::with_seed(seed),
        };
        Self { state: Mutex::new(state), places: Notify::new(), ceiling, is_busy: Box::new(is_busy) }
    }

    /// Waits for a place. Dropping the future gives it up.
    pub async fn turn(&self, question: Question) -> Turn<'_> {
        loop {
            let place = self.places.notified();
            tokio::pin!(place);
            place.as_mut().enable();
            let now = Instant::now();
            let rest = {
                let mut state = self.state();
                match state.rest.filter(|rest| *rest > now) {
                    Some(rest) => Some(rest),
                    None if state.under_way < self.limit(&state) => {
                        state.under_way += 1;
                        return Turn { pace: self, question, asked: now };
                    }
                    None => None,
                }
            };
            match rest {
                Some(rest) => tokio::time::sleep_until(rest).await,
                None => place.await,
            }
        }
    }

    /// Whether so much went without an answer in a row that the registry may be down.
    pub fn is_doubtful(&self) -> bool {
        self.state().unanswered >= DOUBTFUL
    }

    /// The registry is there, or a new sweep is to find out: what failed before counts no more. Pauses begin small again;
    /// one that runs, such as the registry asked for, stays.
    pub fn reassure(&self) {
        let mut state = self.state();
        (state.troubles, state.unanswered) = (0, 0);
    }

    /// How many questions may be under way now.
    pub fn concurrency(&self) -> usize {
        self.limit(&self.state())
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from one to the ceiling, which is small"
    )]
    fn limit(&self, state: &State) -> usize {
        if (self.is_busy)() { 1 } else { state.limit as usize }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets so many in as there are places.
    fn wake(&self, state: &State) {
        for _ in state.under_way..self.limit(state) {
            self.places.notify_one();
        }
    }
}

impl Turn<'_> {
    /// Notes what came of the question.
    pub fn note(self, reply: Reply) {
        let now = Instant::now();
        let taken = now.duration_since(self.asked);
        let is_busy = (self.pace.is_busy)();
        let mut state = self.pace.state();
        match reply {
            Reply::Answered => {
                (state.troubles, state.unanswered) = (0, 0);
                state.adapt(self.question, taken, now, self.pace.ceiling);
                if is_busy {
                    state.rest_until(now + taken);
                }
            }
            Reply::Fault => {
                state.unanswered = state.unanswered.saturating_add(1);
                state.limit = (state.limit / 2.0).max(1.0);
                state.rest_until(now + PAUSES.0);
            }
            Reply::Trouble(wanted) => {
                state.troubles = state.troubles.saturating_add(1);
                state.unanswered = state.unanswered.saturating_add(1);
                state.limit = (state.limit / 2.0).max(1.0);
                let pause =
                    wanted.map_or(Duration::ZERO, |wanted| wanted.min(LONGEST_REST)).max(state.pause());
                state.rest_until(now + pause);
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        state.under_way -= 1;
        self.pace.wake(&state);
    }
}

impl State {
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
            // Once for each round of answers: those under way were asked at the old pace.
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

    /// How long to pause after as many troubles: from half to the whole of a time that doubles.
    fn pause(&mut self) -> Duration {
        let doubled = PAUSES.0.saturating_mul(1 << self.troubles.saturating_sub(1).min(16)).min(PAUSES.1);
        doubled.mul_f64(0.5 + self.random.f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::FutureExt;

    use super::*;

    const USUAL: Duration = Duration::from_millis(10);

    fn quiet(ceiling: usize) -> Pace {
        Pace::new(ceiling, 7, || false)
    }

    /// Asks as many questions at once as it may, each taking so long.
    async fn round(pace: &Pace, takes: Duration, reply: Reply) -> usize {
        let first = pace.turn(Question::Tags).await;
        let mut turns = vec![first];
        while let Some(turn) = pace.turn(Question::Tags).now_or_never() {
            turns.push(turn);
        }
        let count = turns.len();
        tokio::time::advance(takes).await;
        turns.into_iter().for_each(|turn| turn.note(reply));
        count
    }

    async fn rounds(pace: &Pace, count: usize, takes: Duration) -> usize {
        let mut last = 0;
        for _ in 0..count {
            last = round(pace, takes, Reply::Answered).await;
        }
        last
    }

    #[tokio::test(start_paused = true)]
    async fn it_begins_with_one_question_and_asks_more_up_to_the_ceiling_while_answers_stay_quick() {
        let pace = quiet(8);
        assert_eq!(rounds(&pace, 1, USUAL).await, 1);
        assert_eq!(rounds(&pace, 50, USUAL).await, 8);
    }

    #[tokio::test(start_paused = true)]
    async fn it_asks_less_when_answers_take_much_longer() {
        let pace = quiet(8);
        rounds(&pace, 50, USUAL).await;
        assert!(rounds(&pace, 20, USUAL * 10).await <= 2);
        assert_eq!(rounds(&pace, 50, USUAL).await, 8, "it recovers");
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_stays_slower_is_asked_less_however_often_it_answers() {
        let pace = quiet(8);
        rounds(&pace, 50, USUAL).await;
        // Two minutes of it.
        assert!(rounds(&pace, 1_200, USUAL * 10).await <= 2);
        // Within hours it is taken to be so for good.
        assert_eq!(rounds(&pace, 72_000, USUAL * 10).await, 8);
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_halves_it_and_pauses_longer_each_time_until_the_registry_may_be_down() {
        let pace = quiet(8);
        rounds(&pace, 50, USUAL).await;
        let mut before = Duration::ZERO;
        for _ in 0..4 {
            pace.turn(Question::Tags).await.note(Reply::Trouble(None));
            assert!(pace.turn(Question::Tags).now_or_never().is_none());
            let begun = Instant::now();
            drop(pace.turn(Question::Tags).await);
            assert!(begun.elapsed() > before / 2, "{:?} after {before:?}", begun.elapsed());
            before = begun.elapsed();
        }
        assert_eq!(pace.concurrency(), 1);
        assert!(!pace.is_doubtful());
        for _ in 0..6 {
            pace.turn(Question::Tags).await.note(Reply::Trouble(None));
        }
        assert!(pace.is_doubtful());
        pace.turn(Question::Tags).await.note(Reply::Answered);
        assert!(!pace.is_doubtful());
    }

    #[tokio::test(start_paused = true)]
    async fn faults_slow_it_down_and_many_in_a_row_make_it_doubt_until_it_is_reassured() {
        let pace = quiet(8);
        rounds(&pace, 50, USUAL).await;
        for _ in 1..DOUBTFUL {
            let begun = Instant::now();
            pace.turn(Question::Tags).await.note(Reply::Fault);
            drop(pace.turn(Question::Tags).await);
            assert_eq!(begun.elapsed(), PAUSES.0);
        }
        assert_eq!((pace.concurrency(), pace.is_doubtful()), (1, false));
        pace.turn(Question::Tags).await.note(Reply::Fault);
        assert!(pace.is_doubtful());
        pace.reassure();
        assert!(!pace.is_doubtful());
    }

    #[tokio::test(start_paused = true)]
    async fn it_leaves_the_registry_alone_as_long_as_that_asks_for() {
        let pace = quiet(8);
        let begun = Instant::now();
        pace.turn(Question::Tags).await.note(Reply::Trouble(Some(Duration::from_secs(42))));
        drop(pace.turn(Question::Manifest).await);
        assert_eq!(begun.elapsed().as_secs(), 42);
        pace.turn(Question::Tags).await.note(Reply::Trouble(Some(Duration::from_secs(1_000_000))));
        drop(pace.turn(Question::Manifest).await);
        assert_eq!(begun.elapsed().as_secs(), 42 + LONGEST_REST.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn while_clients_write_it_asks_one_question_at_a_time_and_rests_between() {
        let busy = Arc::new(AtomicBool::new(false));
        let pace = Pace::new(8, 7, {
            let busy = Arc::clone(&busy);
            move || busy.load(Ordering::Relaxed)
        });
        rounds(&pace, 50, USUAL).await;
        busy.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        assert_eq!(rounds(&pace, 10, USUAL).await, 1);
        assert!(begun.elapsed() >= USUAL * 19);
        busy.store(false, Ordering::Relaxed);
        assert_eq!(rounds(&pace, 2, USUAL).await, 8);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_place_gets_it_when_one_is_given_up() {
        let pace = quiet(1);
        let first = pace.turn(Question::Tags).await;
        let waiting = pace.turn(Question::Tags);
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        drop(waiting.await);
    }
}
