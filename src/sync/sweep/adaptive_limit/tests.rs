//! The limit, in paused time.

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

fn quiet(ceiling: usize) -> AdaptiveLimit {
    AdaptiveLimit::new(ceiling, 7, || false)
}

/// Asks as many questions at once as it may, each taking so long.
async fn round(limit: &AdaptiveLimit, takes: Duration, reply: Reply) -> usize {
    let first = limit.acquire(Question::Tags, app(0)).await;
    let mut permits = vec![first];
    while let Some(permit) = limit.acquire(Question::Tags, app(0)).now_or_never() {
        permits.push(permit);
    }
    let count = permits.len();
    tokio::time::advance(takes).await;
    permits.into_iter().for_each(|permit| permit.note(reply));
    count
}

async fn rounds(limit: &AdaptiveLimit, count: usize, takes: Duration) -> usize {
    let mut last = 0;
    for _ in 0..count {
        last = round(limit, takes, Reply::Answered).await;
    }
    last
}

#[tokio::test(start_paused = true)]
async fn it_begins_with_one_question_and_asks_more_up_to_the_ceiling_while_answers_stay_quick() {
    let limit = quiet(8);
    assert_eq!(rounds(&limit, 1, USUAL).await, 1);
    assert_eq!(rounds(&limit, 50, USUAL).await, 8);
}

#[tokio::test(start_paused = true)]
async fn it_asks_less_when_answers_take_much_longer() {
    let limit = quiet(8);
    rounds(&limit, 50, USUAL).await;
    assert!(rounds(&limit, 20, USUAL * 10).await <= 2);
    assert_eq!(rounds(&limit, 50, USUAL).await, 8, "it recovers");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_stays_slower_is_asked_less_however_often_it_answers() {
    let limit = quiet(8);
    rounds(&limit, 50, USUAL).await;
    // Two minutes of it.
    assert!(rounds(&limit, 1_200, USUAL * 10).await <= 2);
    // Within hours it is taken to be so for good.
    assert_eq!(rounds(&limit, 72_000, USUAL * 10).await, 8);
}

#[tokio::test(start_paused = true)]
async fn trouble_halves_it_and_pauses_longer_each_time_until_the_registry_may_be_down() {
    let limit = quiet(8);
    rounds(&limit, 50, USUAL).await;
    let mut before = Duration::ZERO;
    for _ in 0..4 {
        limit.acquire(Question::Tags, app(0)).await.note(Reply::Trouble(None));
        assert!(limit.acquire(Question::Tags, app(1)).now_or_never().is_none());
        let begun = Instant::now();
        drop(limit.acquire(Question::Tags, app(1)).await);
        assert!(begun.elapsed() > before / 2, "{:?} after {before:?}", begun.elapsed());
        before = begun.elapsed();
    }
    assert_eq!(limit.concurrency(), 1);
    assert!(!limit.may_be_down());
    for _ in 0..6 {
        limit.acquire(Question::Tags, app(0)).await.note(Reply::Trouble(None));
    }
    assert!(limit.may_be_down());
    limit.acquire(Question::Tags, app(0)).await.note(Reply::Answered);
    assert!(!limit.may_be_down());
}

#[tokio::test(start_paused = true)]
async fn failures_of_several_repositories_are_the_registrys_and_many_in_a_row_make_it_doubt_until_it_is_reset()
 {
    for reply in [Reply::Fault, Reply::Unavailable] {
        let limit = quiet(8);
        rounds(&limit, 50, USUAL).await;
        for number in 1..PROBE_AFTER {
            limit.acquire(Question::Tags, app(number)).await.note(reply);
            let others = limit.acquire(Question::Tags, app(100)).now_or_never();
            assert_eq!(others.is_some(), number < 3, "{number}: {reply:?}");
        }
        assert_eq!((limit.concurrency(), limit.may_be_down()), (1, false));
        limit.acquire(Question::Tags, app(PROBE_AFTER)).await.note(reply);
        assert!(limit.may_be_down());
        limit.reset_failures();
        assert!(!limit.may_be_down());
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_fails_rests_and_delays_no_other() {
    for reply in [Reply::Fault, Reply::Unavailable] {
        let limit = quiet(8);
        rounds(&limit, 50, USUAL).await;
        for _ in 0..30 {
            limit.acquire(Question::Manifest, app(1)).await.note(reply);
            assert!(limit.acquire(Question::Manifest, app(1)).now_or_never().is_none(), "{reply:?}");
            assert!(limit.acquire(Question::Manifest, app(2)).now_or_never().is_some(), "{reply:?}");
            assert_eq!(limit.concurrency(), 8);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_cannot_answer_now_is_asked_less_and_less_often_and_one_that_answers_with_errors_is_not()
 {
    for (reply, seconds) in [(Reply::Unavailable, 30..61), (Reply::Fault, 0..2)] {
        let limit = quiet(8);
        let begun = Instant::now();
        for _ in 0..11 {
            limit.acquire(Question::Manifest, app(1)).await.note(reply);
        }
        assert!(seconds.contains(&begun.elapsed().as_secs()), "{reply:?}: {:?}", begun.elapsed());
        limit.acquire(Question::Manifest, app(1)).await.note(Reply::Answered);
        assert!(limit.acquire(Question::Manifest, app(1)).now_or_never().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_hangs_holds_no_place_any_more_and_no_more_than_the_ceiling_stand_aside() {
    let limit = quiet(2);
    rounds(&limit, 50, USUAL).await;
    assert_eq!(limit.acquire(Question::Tags, app(0)).await.patience(), PERMIT_PATIENCE.1);
    let mut aside = Vec::new();
    for number in 0..2 {
        let mut permit = limit.acquire(Question::Tags, app(number)).await;
        assert!(permit.step_aside());
        aside.push(permit);
    }
    let mut held: Vec<_> =
        [limit.acquire(Question::Tags, app(3)).await, limit.acquire(Question::Tags, app(4)).await].into();
    assert!(held.iter_mut().all(|permit| !permit.step_aside()));
    assert!(limit.acquire(Question::Tags, app(5)).now_or_never().is_none(), "four are under way");
    aside.pop();
    assert!(
        limit.acquire(Question::Tags, app(5)).now_or_never().is_none(),
        "an end beside the places frees none"
    );
    assert!(held[0].step_aside());
    assert!(limit.acquire(Question::Tags, app(5)).now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_repository_whose_questions_hang_is_not_asked_until_one_of_them_has_ended() {
    let limit = quiet(4);
    let mut permits = Vec::new();
    for _ in 0..2 {
        let mut permit = limit.acquire(Question::Manifest, app(1)).await;
        assert!(permit.step_aside());
        permits.push(permit);
    }
    let waiting = limit.acquire(Question::Manifest, app(1));
    tokio::pin!(waiting);
    assert!(waiting.as_mut().now_or_never().is_none());
    assert!(limit.acquire(Question::Manifest, app(2)).now_or_never().is_some());
    permits.pop();
    drop(waiting.await);
}

#[tokio::test(start_paused = true)]
async fn one_answer_that_hung_does_not_make_the_next_ones_be_waited_for_much_longer() {
    let limit = quiet(8);
    rounds(&limit, 50, USUAL).await;
    let mut permit = limit.acquire(Question::Tags, app(1)).await;
    assert!(permit.step_aside());
    tokio::time::advance(Duration::from_secs(25)).await;
    permit.note(Reply::Answered);
    assert!(limit.acquire(Question::Tags, app(1)).await.patience() < PERMIT_PATIENCE.1 * 2);
    // But a registry that is slow for all is.
    for _ in 0..30 {
        round(&limit, Duration::from_secs(2), Reply::Answered).await;
    }
    assert!(limit.acquire(Question::Tags, app(1)).await.patience() > Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_place_goes_to_somebody_who_can_take_it_whoever_waits_before_them() {
    let limit = quiet(1);
    let first = limit.acquire(Question::Tags, app(0)).await;
    let (resting, other) = (limit.acquire(Question::Tags, app(1)), limit.acquire(Question::Tags, app(2)));
    tokio::pin!(resting);
    tokio::pin!(other);
    assert!(resting.as_mut().now_or_never().is_none() && other.as_mut().now_or_never().is_none());
    limit.state().subjects.rest_until(app(1), Instant::now() + Duration::from_mins(1));
    drop(first);
    assert!(resting.as_mut().now_or_never().is_none());
    assert!(other.now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn it_leaves_the_registry_alone_as_long_as_that_asks_for() {
    let limit = quiet(8);
    let begun = Instant::now();
    limit.acquire(Question::Tags, app(0)).await.note(Reply::Trouble(Some(Duration::from_secs(42))));
    drop(limit.acquire(Question::Manifest, app(0)).await);
    assert_eq!(begun.elapsed().as_secs(), 42);
    limit.acquire(Question::Tags, app(0)).await.note(Reply::Trouble(Some(Duration::from_secs(1_000_000))));
    drop(limit.acquire(Question::Manifest, app(0)).await);
    assert_eq!(begun.elapsed().as_secs(), 42 + LONGEST_RETRY_AFTER.as_secs());
}

#[tokio::test(start_paused = true)]
async fn while_clients_write_it_asks_one_question_at_a_time_and_rests_between() {
    let busy = Arc::new(AtomicBool::new(false));
    let limit = AdaptiveLimit::new(8, 7, {
        let busy = Arc::clone(&busy);
        move || busy.load(Ordering::Relaxed)
    });
    rounds(&limit, 50, USUAL).await;
    busy.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    assert_eq!(rounds(&limit, 10, USUAL).await, 1);
    assert!(begun.elapsed() >= USUAL * 19);
    busy.store(false, Ordering::Relaxed);
    assert_eq!(rounds(&limit, 2, USUAL).await, 8);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_place_gets_it_when_one_is_given_up() {
    let limit = quiet(1);
    let first = limit.acquire(Question::Tags, app(0)).await;
    let waiting = limit.acquire(Question::Tags, app(0));
    tokio::pin!(waiting);
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(first);
    drop(waiting.await);
}
