//! What ends a sweep, and what does not.

use tokio::time::Instant;

use super::*;

/// Lists these tags in a repository, and answers questions about its manifests with a status.
fn damaged(repository: &'static str, tags: usize, status: u16) -> impl Fn(&Method, &str) -> Option<Answer> {
    move |_, line| {
        let rest = line.strip_prefix(&format!("/v2/{repository}/"))?;
        if rest.starts_with("tags/list") {
            let tags: Vec<String> = (0..tags).map(|number| format!("v{number}")).collect();
            return Some(Answer::Document(serde_json::json!({ "name": repository, "tags": tags })));
        }
        Answer::status(status)
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_whose_manifests_answer_500_does_not_end_the_sweep_of_the_others() {
    let house = House::unhurried(Lists::new(30, 1_000));
    house.registry.script(damaged("team/r005", 100, 500));
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    // The damaged one is found, and nothing in it.
    for (number, found) in [(1, 30), (2, 0)] {
        assert_eq!(sweeper.request(SweepKind::Deep), number);
        let last = ends(&sweeper, number).await;
        assert_eq!((last.outcome, last.repositories, last.found), (Outcome::Partial, 30, found), "{last:?}");
        assert_eq!(last.problem_count, 100);
        assert!(last.problems.iter().all(|problem| problem.repository.as_deref() == Some("team/r005")));
    }
}

#[tokio::test(start_paused = true)]
async fn tags_that_answer_502_503_or_504_do_not_end_the_sweep_of_the_others() {
    for status in [502, 503, 504] {
        let house = House::unhurried(Lists::new(30, 1_000));
        house.registry.script(damaged("team/r005", 4, status));
        let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
        let last = ends(&sweeper, sweeper.request(SweepKind::Deep)).await;
        assert_eq!((last.outcome, last.repositories, last.found), (Outcome::Partial, 30, 30), "{last:?}");
        assert_eq!(last.problem_count, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_gives_no_answer_for_long_is_given_up_and_the_others_are_swept() {
    let house = House::unhurried(Lists::new(30, 1_000));
    house.registry.script(damaged("team/r005", 5_000, 503));
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    let begun = Instant::now();
    let last = ends(&sweeper, sweeper.request(SweepKind::Deep)).await;
    assert_eq!((last.outcome, last.repositories, last.found), (Outcome::Partial, 30, 29), "{last:?}");
    assert!(last.problem_count < 200, "{last:?}");
    assert!(begun.elapsed() < Duration::from_secs(10 * 60), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_goes_down_ends_the_sweep_soon_and_the_next_one_is_whole_when_it_is_back() {
    let lost: fn() -> Answer = || Answer::Lost;
    let answers =
        [lost, || Answer::Status(503, None), || Answer::Status(500, None), || Answer::Silence(DEADLINE)];
    for answer in answers {
        let house = House::unhurried(Lists::new(30, 1_000));
        let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
        house.registry.script(move |_, line| (line != "/v2/_catalog?n=1000").then(answer));
        let begun = Instant::now();
        let last = ends(&sweeper, sweeper.request(SweepKind::Deep)).await;
        assert_eq!((last.outcome, last.found), (Outcome::Failed, 0), "{last:?}");
        assert!(last.cause.as_ref().unwrap().contains("the registry is down"), "{last:?}");
        assert!(begun.elapsed() < Duration::from_secs(2 * 60), "{:?}: {last:?}", begun.elapsed());
        house.registry.script(|_, _| None);
        let last = ends(&sweeper, sweeper.request(SweepKind::Deep)).await;
        assert_eq!((last.outcome, last.repositories), (Outcome::Complete, 30), "{last:?}");
    }
}
