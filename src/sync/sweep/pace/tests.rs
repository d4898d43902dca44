//! The pace, in paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;

use super::*;
use crate::clock::LONGEST_RETRY_AFTER;

const USUAL: Duration = Duration::from_millis(10);

/// A repository.
fn app(number: u32) -> Subject {
    Subject::of(&format!("/v2/app-{number}/tags/list"))
}

fn quiet(ceiling: usize) -> Pace {
    Pace::new(ceiling, 7, || false)
}

/// Asks as many questions at once as it may, each taking so long.
async fn round(pace: &Pace, takes: Duration, reply: Reply) -> usize {
    let first = pace.turn(Question::Tags, app(0)).await;
    let mut turns = vec![first];
    while let Some(turn) = pace.turn(Question::Tags, app(0)).now_or_never() {
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
        pace.turn(Question::Tags, app(0)).await.note(Reply::Trouble(None));
        assert!(pace.turn(Question::Tags, app(1)).now_or_never().is_none());
        let begun = Instant::now();
        drop(pace.turn(Question::Tags, app(1)).await);
        assert!(begun.elapsed() > before / 2, "{:?} after {before:?}", begun.elapsed());
        before = begun.elapsed();
    }
    assert_eq!(pace.concurrency(), 1);
    assert!(!pace.is_doubtful());
    for _ in 0..6 {
        pace.turn(Question::Tags, app(0)).await.note(Reply::Trouble(None));
    }
    assert!(pace.is_doubtful());
    pace.turn(Question::Tags, app(0)).await.note(Reply::Answered);
    assert!(!pace.is_doubtful());
}

#[tokio::test(start_paused = true)]
async fn failures_of_several_repositories_are_the_registrys_and_many_in_a_row_make_it_doubt_until_it_is_reassured()
 {
    for reply in [Reply::Fault, Reply::Unavailable] {
        let pace = quiet(8);
        rounds(&pace, 50, USUAL).await;
        for number in 1..DOUBTFUL {
            pace.turn(Question::Tags, app(number)).await.note(reply);
            let others = pace.turn(Question::Tags, app(100)).now_or_never();
            assert_eq!(others.is_some(), number < 3, "{number}: {reply:?}");
        }
        assert_eq!((pace.concurrency(), pace.is_doubtful()), (1, false));
        pace.turn(Question::Tags, app(DOUBTFUL)).await.note(reply);
        assert!(pace.is_doubtful());
        pace.reassure();
        assert!(!pace.is_doubtful());
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_fails_rests_and_delays_no_other() {
    for reply in [Reply::Fault, Reply::Unavailable] {
        let pace = quiet(8);
        rounds(&pace, 50, USUAL).await;
        for _ in 0..30 {
            pace.turn(Question::Manifest, app(1)).await.note(reply);
            assert!(pace.turn(Question::Manifest, app(1)).now_or_never().is_none(), "{reply:?}");
            assert!(pace.turn(Question::Manifest, app(2)).now_or_never().is_some(), "{reply:?}");
            assert_eq!(pace.concurrency(), 8);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_cannot_answer_now_is_asked_less_and_less_often_and_one_that_answers_with_errors_is_not()
 {
    for (reply, seconds) in [(Reply::Unavailable, 30..61), (Reply::Fault, 0..2)] {
        let pace = quiet(8);
        let begun = Instant::now();
        for _ in 0..11 {
            pace.turn(Question::Manifest, app(1)).await.note(reply);
        }
        assert!(seconds.contains(&begun.elapsed().as_secs()), "{reply:?}: {:?}", begun.elapsed());
        pace.turn(Question::Manifest, app(1)).await.note(Reply::Answered);
        assert!(pace.turn(Question::Manifest, app(1)).now_or_never().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_hangs_holds_no_place_any_more_and_no_more_than_the_ceiling_stand_aside() {
    let pace = quiet(2);
    rounds(&pace, 50, USUAL).await;
    assert_eq!(pace.turn(Question::Tags, app(0)).await.patience(), PATIENCE.1);
    let mut aside = Vec::new();
    for number in 0..2 {
        let mut turn = pace.turn(Question::Tags, app(number)).await;
        assert!(turn.step_aside());
        aside.push(turn);
    }
    let mut held: Vec<_> =
        [pace.turn(Question::Tags, app(3)).await, pace.turn(Question::Tags, app(4)).await].into();
    assert!(held.iter_mut().all(|turn| !turn.step_aside()));
    assert!(pace.turn(Question::Tags, app(5)).now_or_never().is_none(), "four are under way");
    aside.pop();
    assert!(
        pace.turn(Question::Tags, app(5)).now_or_never().is_none(),
        "an end beside the places frees none"
    );
    assert!(held[0].step_aside());
    assert!(pace.turn(Question::Tags, app(5)).now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_repository_whose_questions_hang_is_not_asked_until_one_of_them_has_ended() {
    let pace = quiet(4);
    let mut turns = Vec::new();
    for _ in 0..2 {
        let mut turn = pace.turn(Question::Manifest, app(1)).await;
        assert!(turn.step_aside());
        turns.push(turn);
    }
    let waiting = pace.turn(Question::Manifest, app(1));
    tokio::pin!(waiting);
    assert!(waiting.as_mut().now_or_never().is_none());
    assert!(pace.turn(Question::Manifest, app(2)).now_or_never().is_some());
    turns.pop();
    drop(waiting.await);
}

#[tokio::test(start_paused = true)]
async fn one_answer_that_hung_does_not_make_the_next_ones_be_waited_for_much_longer() {
    let pace = quiet(8);
    rounds(&pace, 50, USUAL).await;
    let mut turn = pace.turn(Question::Tags, app(1)).await;
    assert!(turn.step_aside());
    tokio::time::advance(Duration::from_secs(25)).await;
    turn.note(Reply::Answered);
    assert!(pace.turn(Question::Tags, app(1)).await.patience() < PATIENCE.1 * 2);
    // But a registry that is slow for all is.
    for _ in 0..30 {
        round(&pace, Duration::from_secs(2), Reply::Answered).await;
    }
    assert!(pace.turn(Question::Tags, app(1)).await.patience() > Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_place_goes_to_somebody_who_can_take_it_whoever_waits_before_them() {
    let pace = quiet(1);
    let first = pace.turn(Question::Tags, app(0)).await;
    let (resting, other) = (pace.turn(Question::Tags, app(1)), pace.turn(Question::Tags, app(2)));
    tokio::pin!(resting);
    tokio::pin!(other);
    assert!(resting.as_mut().now_or_never().is_none() && other.as_mut().now_or_never().is_none());
    pace.state().subjects.rest_until(app(1), Instant::now() + Duration::from_mins(1));
    drop(first);
    assert!(resting.as_mut().now_or_never().is_none());
    assert!(other.now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn it_leaves_the_registry_alone_as_long_as_that_asks_for() {
    let pace = quiet(8);
    let begun = Instant::now();
    pace.turn(Question::Tags, app(0)).await.note(Reply::Trouble(Some(Duration::from_secs(42))));
    drop(pace.turn(Question::Manifest, app(0)).await);
    assert_eq!(begun.elapsed().as_secs(), 42);
    pace.turn(Question::Tags, app(0)).await.note(Reply::Trouble(Some(Duration::from_secs(1_000_000))));
    drop(pace.turn(Question::Manifest, app(0)).await);
    assert_eq!(begun.elapsed().as_secs(), 42 + LONGEST_RETRY_AFTER.as_secs());
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
    let first = pace.turn(Question::Tags, app(0)).await;
    let waiting = pace.turn(Question::Tags, app(0));
    tokio::pin!(waiting);
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(first);
    drop(waiting.await);
}
