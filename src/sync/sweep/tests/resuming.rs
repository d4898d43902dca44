//! Sweeps that were cut or have failed, and where the next one goes on.

use super::*;
use crate::clock::Timestamp;
use crate::store::{LeaseName, SweepUpdate};

#[tokio::test(start_paused = true)]
async fn a_sweep_that_was_cut_goes_on_where_it_was_after_a_restart() {
    let house = House::new(registry_with(60));
    house.registry.allow_lists(35);
    let (sweeper, running) = house.run(HOUR, HOUR);
    until(|| (house.registry.lists().len() == 35).then_some(())).await;
    pass(Duration::from_secs(6)).await;
    // Keeping is looked at when a repository is done, for which its manifest needs a place beside lists that wait.
    house.registry.allow_lists(8);
    let begun = std::time::Instant::now();
    while house.store.kept_sweep().await.unwrap().is_none_or(|kept| kept.marks.is_empty()) {
        assert!(begun.elapsed() < DEADLINE, "no checkpoint was kept");
        tokio::task::yield_now().await;
    }
    let before = super::running(&sweeper).unwrap();
    drop(running);
    house.registry.allow_lists(1_000);
    let (sweeper, _running) = house.run(HOUR, HOUR);
    let resumed = until(|| super::running(&sweeper)).await;
    assert!(resumed.resumed, "{resumed:?}");
    let finished = ended(&sweeper, 1).await;
    assert_eq!((finished.outcome, finished.started_at), (Outcome::Complete, before.started_at));
    assert_eq!(house.registry.lists().len(), 60);
    let twice = house.registry.lists().values().filter(|count| **count > 1).count();
    // Those of the pages that were not wholly done.
    assert!(twice <= 2 * PAGE, "{twice} repositories were asked about twice");
}

/// Answers so many questions about tags, and then nothing any more.
fn dies_after(registry: &Arc<ScriptedRegistry>, lists: usize) {
    let left = Mutex::new(lists);
    registry.script(move |_, line| {
        let mut left = left.lock().unwrap();
        if *left > 0 {
            *left -= usize::from(line.contains("/tags/list"));
            return None;
        }
        Some(Answer::Lost)
    });
}

fn asked_twice(registry: &ScriptedRegistry) -> usize {
    registry.lists().values().filter(|count| **count > 1).count()
}

#[tokio::test(start_paused = true)]
async fn a_deep_sweep_that_failed_is_what_is_tried_again_and_it_goes_on_where_it_was() {
    let house = House::new(registry_with(60));
    dies_after(&house.registry, 35);
    let (sweeper, _running) = house.run(HOUR / 12, HOUR);
    let first = ends(&sweeper, 1).await;
    assert_eq!((first.kind, first.outcome), (SweepKind::Deep, Outcome::Failed), "{first:?}");
    let second = ends(&sweeper, 2).await;
    assert_eq!((second.kind, second.outcome), (SweepKind::Deep, Outcome::Failed), "{second:?}");
    house.registry.behave();
    let third = ends(&sweeper, 3).await;
    assert_eq!((third.kind, third.started_at), (SweepKind::Deep, first.started_at), "{third:?}");
    assert_eq!((third.repositories, house.registry.lists().len()), (60, 60), "{third:?}");
    assert_eq!(third.outcome, Outcome::Complete, "what went unanswered was asked again: {third:?}");
    assert!(asked_twice(&house.registry) <= 4, "those that were under way");
}

#[tokio::test(start_paused = true)]
async fn a_shallow_sweep_that_comes_between_takes_nothing_from_a_deep_one_that_failed() {
    let house = House::new(registry_with(60));
    dies_after(&house.registry, 35);
    let (sweeper, _running) = house.run(Duration::ZERO, HOUR);
    let first = ends(&sweeper, 1).await;
    assert_eq!((first.kind, first.outcome), (SweepKind::Deep, Outcome::Failed), "{first:?}");
    house
        .registry
        .script(|_, line| line.contains("/manifests/").then_some(Answer::Late(Duration::from_secs(1))));
    let shallow = ends(&sweeper, request(&sweeper, SweepKind::Shallow).await).await;
    assert_eq!((shallow.kind, shallow.repositories), (SweepKind::Shallow, 60), "{shallow:?}");
    let begun = shallow.number;
    let deep = ends(&sweeper, begun + 1).await;
    assert_eq!((deep.kind, deep.started_at), (SweepKind::Deep, first.started_at), "{deep:?}");
    assert_eq!(deep.repositories, 60);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_was_cut_more_than_an_hour_ago_begins_anew() {
    for (minutes, goes_on) in [(59, true), (61, false)] {
        let house = House::new(registry_with(20));
        let started = Timestamp::now().shifted(-minutes * 60_000);
        let checkpoint = serde_json::json!({ "last_deep": null, "running": {
            "kind": "deep", "started": started, "kept": started, "phase": "catalog",
            "page": "v2/_catalog?last=team/r009", "after": null,
            "counts": { "repositories": 10, "tags": 10, "found": 0, "problems": 0 },
        }});
        let lease = house.store.acquire(LeaseName::Sweep).await.unwrap().unwrap();
        let update = SweepUpdate { checkpoint: checkpoint.to_string().into_bytes(), ..Default::default() };
        house.store.keep_sweep(lease, update).await.unwrap();
        let (sweeper, _running) = house.run(HOUR, HOUR);
        let last = ends(&sweeper, 1).await;
        assert_eq!((last.outcome, last.started_at == started), (Outcome::Complete, goes_on), "{last:?}");
        assert_eq!(house.registry.lists().len(), if goes_on { 10 } else { 20 });
    }
}

/// Keeps a checkpoint that was left just now.
async fn leave(house: &House, phase: &str, page: Option<&str>, catalog: serde_json::Value) {
    let now = Timestamp::now();
    let checkpoint = serde_json::json!({ "last_deep": null, "running": {
        "kind": "deep", "started": now, "kept": now, "phase": phase, "page": page, "after": null,
        "counts": { "repositories": 0, "tags": 0, "found": 0, "problems": 0 }, "catalog": catalog,
    }});
    let lease = house.store.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    let update = SweepUpdate { checkpoint: checkpoint.to_string().into_bytes(), ..Default::default() };
    house.store.keep_sweep(lease, update).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_goes_on_still_knows_what_the_catalog_was_good_for() {
    let house = House::new(registry_with(20));
    let catalog = serde_json::json!({ "state": "disabled", "cause": "the registry answered 401" });
    leave(&house, "unlisted", None, catalog).await;
    let (sweeper, _running) = house.run(HOUR, HOUR);
    let last = ends(&sweeper, 1).await;
    assert_eq!((last.outcome, last.catalog), (Outcome::Partial, CatalogState::Disabled), "{last:?}");
    assert_eq!(last.cause.as_deref(), Some("the registry answered 401"));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_the_registry_does_not_know_any_more_has_the_catalog_listed_anew() {
    for status in [400, 404, 500] {
        let house = House::new(registry_with(20));
        house.registry.script(move |_, line| line.contains("stale").then_some(Answer::status(status)));
        leave(
            &house,
            "catalog",
            Some("v2/_catalog?next=stale"),
            serde_json::json!({ "state": "listed", "cause": null }),
        )
        .await;
        let (sweeper, _running) = house.run(HOUR, HOUR);
        let last = ends(&sweeper, 1).await;
        assert_eq!((last.outcome, last.catalog), (Outcome::Complete, CatalogState::Listed), "{last:?}");
        assert_eq!((last.repositories, house.registry.lists().len()), (20, 20));
    }
}

#[tokio::test(start_paused = true)]
async fn a_listed_repository_that_gave_no_answer_is_asked_about_as_a_listed_one_when_the_sweep_goes_on() {
    const LISTED: usize = 10;
    // More than are read of the record at once, so that the sweep is cut far behind the catalog.
    let house = House::new(registry_with(600));
    let (sweeper, running) = house.run(Duration::ZERO, Duration::ZERO);
    let whole = ends(&sweeper, request(&sweeper, SweepKind::Deep).await).await;
    assert_eq!((whole.outcome, whole.repositories), (Outcome::Complete, 600));
    drop(running);
    let name = "team/r003";
    let catalog = || {
        let names: Vec<String> = (0..LISTED).map(|number| format!("team/r{number:03}")).collect();
        Answer::Document(serde_json::json!({ "repositories": names }), None)
    };
    let left = Mutex::new(550);
    house.registry.script(move |_, line| {
        let mut left = left.lock().unwrap();
        *left -= usize::from(*left > 0 && line.contains("/tags/list"));
        match line {
            _ if *left == 0 => Some(Answer::Lost),
            line if line.starts_with("/v2/_catalog") => Some(catalog()),
            line if line.starts_with("/v2/team/r003/") => Some(Answer::status(500)),
            _ => None,
        }
    });
    let (sweeper, _running) = house.run(HOUR, HOUR);
    let cut = ends(&sweeper, 2).await;
    assert_eq!((cut.outcome, cut.kind), (Outcome::Failed, SweepKind::Shallow), "{cut:?}");
    // It is there, and holds nothing any more.
    house.registry.script(move |_, line| match line {
        line if line.starts_with("/v2/_catalog") => Some(catalog()),
        line if line.starts_with("/v2/team/r003/") => Some(Answer::Absent("NAME_UNKNOWN")),
        _ => None,
    });
    let next = ends(&sweeper, 3).await;
    assert_eq!(
        (next.outcome, next.started_at, next.repositories),
        (Outcome::Complete, cut.started_at, 600),
        "{next:?}"
    );
    let held = house.store.repository(&RepositoryName::parse(name).unwrap()).await.unwrap();
    assert_eq!(held.map(|held| held.tags), Some(0), "the catalog lists it");
}
