//! What goes wrong with one repository, or takes long, delays no other.

use tokio::time::Instant;

use super::failing::damaged;
use super::*;

const REPOSITORIES: u64 = 30;

/// Lets a deep sweep run until all repositories but the bad ones are done: how long that takes, in paused time.
async fn others_take(house: &House, bad: u64) -> Duration {
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    let begun = Instant::now();
    request(&sweeper, SweepKind::Deep).await;
    loop {
        let done = running(&sweeper).map(|running| running.repositories_done);
        if done == Some(REPOSITORIES - bad) {
            return begun.elapsed();
        }
        let last = last(&sweeper, 0);
        assert!(last.is_none() && begun.elapsed() < HOUR, "{last:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_whose_manifests_are_answered_with_errors_delays_no_other() {
    for status in [500, 501, 502, 503, 504] {
        let house = House::new(registry_with(30));
        house.registry.script(damaged("team/r005", 200, status));
        let taken = others_take(&house, 1).await;
        assert!(taken < Duration::from_secs(2), "{status}: {taken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_whose_manifests_are_not_answered_delays_no_other() {
    let house = House::new(registry_with(30));
    house.registry.script(|method, line| {
        damaged("team/r005", 200, 500)(method, line)
            .map(|answer| if line.contains("/tags/list") { answer } else { Answer::Silence(TIMEOUT) })
    });
    let taken = others_take(&house, 1).await;
    assert!(taken < Duration::from_secs(10), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_repository_whose_connections_break_delays_no_other() {
    let house = House::new(registry_with(30));
    house.registry.script(|method, line| {
        damaged("team/r005", 200, 500)(method, line)
            .map(|answer| if line.contains("/tags/list") { answer } else { Answer::Lost })
    });
    let taken = others_take(&house, 1).await;
    assert!(taken < Duration::from_secs(2), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn as_many_lists_of_tags_that_hang_as_there_are_places_delay_no_other() {
    let house = House::new(registry_with(30));
    house.registry.script(|_, line| {
        let hangs = (5..9).any(|number| line.starts_with(&format!("/v2/team/r{number:03}/")));
        hangs.then_some(Answer::Silence(TIMEOUT))
    });
    let taken = others_take(&house, 4).await;
    assert!(taken < Duration::from_secs(5), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn questions_that_hang_do_not_pile_up_at_the_registry() {
    let house = House::new(registry_with(30));
    let under_way = Arc::new(Mutex::new((0_usize, 0_usize)));
    let counted = Arc::clone(&under_way);
    house.registry.script(move |_, line| {
        if !line.contains("/tags/list") {
            return None;
        }
        let mut counted = counted.lock().unwrap();
        counted.0 += 1;
        counted.1 = counted.1.max(counted.0);
        Some(Answer::Silence(TIMEOUT))
    });
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    request(&sweeper, SweepKind::Shallow).await;
    // Until the first of them ends, nobody takes away from the count.
    tokio::time::sleep(TIMEOUT - Duration::from_millis(100)).await;
    let (_, most) = *under_way.lock().unwrap();
    assert!(most <= 2 * 4, "{most} at once, with a ceiling of 4");
    assert!(most > 4, "those that hang step aside");
}

#[tokio::test(start_paused = true)]
async fn a_cache_is_asked_for_no_catalog_and_about_nothing_that_is_not_recorded() {
    let mut house = House::new(registry_with(5));
    house.kind = RegistryKind::Proxy;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    house.registry.script(move |method, line| {
        noted.lock().unwrap().push(format!("{method} {line}"));
        None
    });
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    let last = ends(&sweeper, request(&sweeper, SweepKind::Deep).await).await;
    assert_eq!((last.outcome, last.catalog), (Outcome::Complete, CatalogState::NotRead), "{last:?}");
    assert!(asked.lock().unwrap().is_empty(), "{:?}", asked.lock().unwrap());
}
