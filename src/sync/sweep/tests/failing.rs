//! What ends a sweep, and what does not.

use tokio::time::Instant;

use super::*;

/// Lists these tags in a repository, and answers questions about its manifests with a status.
pub(super) fn damaged(
    repository: &'static str,
    tags: usize,
    status: u16,
) -> impl Fn(&Method, &str) -> Option<Answer> {
    move |_, line| {
        let rest = line.strip_prefix(&format!("/v2/{repository}/"))?;
        if rest.starts_with("tags/list") {
            let tags: Vec<String> = (0..tags).map(|number| format!("v{number}")).collect();
            return Some(Answer::Document(serde_json::json!({ "name": repository, "tags": tags }), None));
        }
        Some(Answer::status(status))
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_whose_manifests_answer_500_does_not_end_the_sweep_of_the_others() {
    let house = House::new(registry_with(30));
    house.registry.script(damaged("team/r005", 100, 500));
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    // The damaged one is found, and nothing in it.
    for (number, found) in [(1, 30), (2, 0)] {
        assert_eq!(request(&sweeper, SweepKind::Deep).await, number);
        let last = ends(&sweeper, number).await;
        assert_eq!((last.outcome, last.repositories, last.found), (Outcome::Partial, 30, found), "{last:?}");
        assert_eq!(last.problem_count, 100);
        assert!(last.problems.iter().all(|problem| problem.repository.as_deref() == Some("team/r005")));
    }
}

#[tokio::test(start_paused = true)]
async fn tags_that_answer_502_503_or_504_do_not_end_the_sweep_of_the_others() {
    for status in [502, 503, 504] {
        let house = House::new(registry_with(30));
        house.registry.script(damaged("team/r005", 4, status));
        let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
        let last = ends(&sweeper, request(&sweeper, SweepKind::Deep).await).await;
        assert_eq!((last.outcome, last.repositories, last.found), (Outcome::Partial, 30, 30), "{last:?}");
        assert_eq!(last.problem_count, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_gives_no_answer_for_long_is_given_up_and_the_others_are_swept() {
    let house = House::new(registry_with(30));
    house.registry.script(damaged("team/r005", 5_000, 503));
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    let begun = Instant::now();
    let last = ends(&sweeper, request(&sweeper, SweepKind::Deep).await).await;
    assert_eq!((last.outcome, last.repositories, last.found), (Outcome::Partial, 30, 29), "{last:?}");
    assert!(last.problem_count < 200, "{last:?}");
    assert!(begun.elapsed() < Duration::from_mins(10), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_goes_down_ends_the_sweep_soon_and_the_next_one_is_whole_when_it_is_back() {
    let lost: fn() -> Answer = || Answer::Lost;
    let answers =
        [lost, || Answer::Status(503, None), || Answer::Status(500, None), || Answer::Silence(TIMEOUT)];
    for answer in answers {
        let house = House::new(registry_with(30));
        let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
        house.registry.script(move |_, line| (line != "/v2/_catalog?n=1000").then(answer));
        let begun = Instant::now();
        let last = ends(&sweeper, request(&sweeper, SweepKind::Deep).await).await;
        assert_eq!((last.outcome, last.found), (Outcome::Failed, 0), "{last:?}");
        assert!(last.cause.as_ref().unwrap().contains("the registry is down"), "{last:?}");
        assert!(begun.elapsed() < Duration::from_mins(2), "{:?}: {last:?}", begun.elapsed());
        house.registry.behave();
        let last = ends(&sweeper, request(&sweeper, SweepKind::Deep).await).await;
        assert_eq!((last.outcome, last.repositories), (Outcome::Complete, 30), "{last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_fails_is_tried_again_soon_and_then_less_and_less_often() {
    let house = House::new(registry_with(3));
    house.registry.script(|_, _| Some(Answer::Lost));
    let (sweeper, _running) = house.run(HOUR, Duration::ZERO);
    let begun = Instant::now();
    let last = ends(&sweeper, 5).await;
    // 5, 10, 20 and 40 seconds, a tenth less at most, and what the questions themselves waited.
    assert!((67..90).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!((last.outcome, last.catalog, last.found), (Outcome::Failed, CatalogState::Failed, 0));
    assert!(last.cause.unwrap().contains("cannot be reached"));
    house.registry.behave();
    let last = ends(&sweeper, request(&sweeper, SweepKind::Shallow).await).await;
    assert_eq!(last.outcome, Outcome::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_catalog_that_fails_does_not_keep_the_known_repositories_from_being_swept_and_is_read_again_soon() {
    for answer in [
        || Answer::Status(500, None),
        || Answer::Status(501, None),
        || Answer::Status(400, None),
        || Answer::Silence(TIMEOUT),
    ] {
        let house = House::new(registry_with(12));
        let (sweeper, _running) = house.run(HOUR, Duration::ZERO);
        assert_eq!(ends(&sweeper, 1).await.repositories, 12);
        house.registry.script(move |_, line| line.starts_with("/v2/_catalog").then(answer));
        let last = ends(&sweeper, request(&sweeper, SweepKind::Deep).await).await;
        assert_eq!((last.outcome, last.catalog), (Outcome::Partial, CatalogState::Failed), "{last:?}");
        assert_eq!((last.repositories, last.tags, last.found), (12, 12, 0), "{last:?}");
        assert!(last.cause.unwrap().contains("list the catalog"));
        house.registry.behave();
        let begun = Instant::now();
        let next = ends(&sweeper, last.number + 1).await;
        assert_eq!((next.kind, next.outcome), (SweepKind::Shallow, Outcome::Complete));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_of_which_nothing_is_left_stays_known_while_the_catalog_cannot_be_read() {
    let house = House::new(registry_with(3));
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    ends(&sweeper, request(&sweeper, SweepKind::Deep).await).await;
    house.registry.script(move |_, line| match line {
        line if line.starts_with("/v2/_catalog") => Some(Answer::status(500)),
        line => line.starts_with("/v2/team/r001/").then_some(Answer::Absent("NAME_UNKNOWN")),
    });
    let last = ends(&sweeper, request(&sweeper, SweepKind::Deep).await).await;
    assert_eq!(last.catalog, CatalogState::Failed);
    let name = RepositoryName::parse("team/r001").unwrap();
    let held = house.store.repository(&name).await.unwrap().unwrap();
    assert_eq!((held.tags, held.manifests), (0, 0), "each was denied");
}

#[tokio::test(start_paused = true)]
async fn listings_that_go_round_in_circles_end() {
    let to = |path: &str, number: usize| Some(("link", format!("<{path}?last={number}>; rel=\"next\"")));
    let page = |line: &str| line.split_once("last=").map_or(0, |(_, last)| last.parse::<usize>().unwrap());
    // Three pages that lead from one to the next and back again, and one that leads on for ever.
    for pages in [3, usize::MAX] {
        let house = House::new(registry_with(3));
        house.registry.script(move |_, line| {
            let next = (page(line) + 1) % pages;
            let (path, names) = match line.split_once('?')?.0 {
                "/v2/team/r001/tags/list" => {
                    ("/v2/team/r001/tags/list", serde_json::json!({ "tags": ["latest"] }))
                }
                "/v2/_catalog" => {
                    ("/v2/_catalog", serde_json::json!({ "repositories": ["team/r001", "team/r002"] }))
                }
                _ => return None,
            };
            Some(Answer::Document(names, to(path, next)))
        });
        let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
        let last = ends(&sweeper, request(&sweeper, SweepKind::Shallow).await).await;
        assert_eq!((last.outcome, last.catalog), (Outcome::Partial, CatalogState::Failed), "{last:?}");
        assert!(last.cause.unwrap().contains("in circles"));
        assert!(last.problems[0].message.contains("in circles"), "{:?}", last.problems);
        assert_eq!(last.repositories, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_names_a_digest_for_a_tag_and_denies_it_is_a_problem_and_not_in_step() {
    let house = House::new(registry_with(3));
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    ends(&sweeper, request(&sweeper, SweepKind::Deep).await).await;
    let denied = Digest::sha256(b"denied");
    house.registry.script(move |_, line| {
        let reference = line.strip_prefix("/v2/team/r001/manifests/")?;
        if reference.starts_with("sha256:") {
            return Some(Answer::Absent("MANIFEST_UNKNOWN"));
        }
        Some(Answer::Status(200, Some(("docker-content-digest", denied.to_string()))))
    });
    let last = ends(&sweeper, request(&sweeper, SweepKind::Deep).await).await;
    assert_eq!((last.outcome, last.found), (Outcome::Partial, 0), "{last:?}");
    assert!(last.problems[0].message.contains("makes no sense"), "{:?}", last.problems);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_panics_has_failed_and_is_tried_again() {
    let house = House::new(registry_with(30));
    house.registry.script(|_, line| line.contains("r005/tags").then_some(Answer::Panic));
    let (sweeper, _running) = house.run(HOUR, HOUR);
    let last = ends(&sweeper, 1).await;
    assert_eq!(last.outcome, Outcome::Failed);
    assert!(last.cause.unwrap().contains("panicked"));
    assert_eq!(running(&sweeper), None);
    house.registry.behave();
    let last = ends(&sweeper, 2).await;
    assert_eq!((last.outcome, last.repositories), (Outcome::Complete, 30));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_asks_to_be_left_alone_until_a_date_is() {
    let house = House::new(registry_with(3));
    let until = std::time::SystemTime::from(crate::clock::Timestamp::now().later_by(Duration::from_secs(90)));
    let asked = Mutex::new(false);
    house.registry.script(move |_, _| {
        let first = !std::mem::replace(&mut *asked.lock().unwrap(), true);
        first.then(|| Answer::Status(503, Some(("retry-after", httpdate::fmt_http_date(until)))))
    });
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    let begun = Instant::now();
    let last = ends(&sweeper, request(&sweeper, SweepKind::Shallow).await).await;
    assert_eq!(last.outcome, Outcome::Complete);
    // What the date is rounded by, and what the machine took.
    assert!((80..91).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_list_of_very_many_tags_on_one_page_is_compared_part_by_part() {
    const TAGS: usize = 2_500;
    let house = House::new(registry_with(1));
    house.registry.references().clear();
    for number in 0..TAGS {
        house.registry.put(&format!("v{number}"), b"{}");
    }
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    for (number, found) in [(1, TAGS as u64), (2, 0)] {
        assert_eq!(request(&sweeper, SweepKind::Deep).await, number);
        let last = ends(&sweeper, number).await;
        assert_eq!(
            (last.outcome, last.tags, last.found),
            (Outcome::Complete, TAGS as u64, found),
            "{last:?}"
        );
    }
}
