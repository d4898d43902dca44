//! Sweeps that are asked for: over a restart, and at a door that does not sweep.

use super::*;
use crate::store::{DoorId, MemoryMedium, Sequence, Steps};

/// Nothing comes between.
struct AtOnce;

impl Steps for AtOnce {
    fn step(&self, _: Sequence) -> futures_util::future::BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A door among others: its sweeper, what stops that, and what stops it from showing that it lives.
fn join(
    registry: &Arc<ScriptedRegistry>,
    medium: &MemoryMedium,
    door: u64,
    interval: Duration,
) -> (Arc<Sweeper>, CancellationToken, CancellationToken) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::join(medium, DoorId(door), Arc::new(AtOnce)));
    let recording = Recording::credulous(&store);
    let (stop, dies) = (CancellationToken::new(), CancellationToken::new());
    tokio::spawn(Arc::clone(&recording.membership).run(dies.clone()));
    let backends = Arc::new(Backends::new([Url::parse("http://registry").unwrap()]));
    let access = RegistrySettings::new(backends, TIMEOUT);
    let concurrency = NonZeroUsize::new(4).unwrap();
    let settings = SweepSettings { interval, deep_interval: Duration::ZERO, concurrency, seed: door };
    let sweeper = Arc::new(Sweeper::new(recording, &access, registry.transport(), settings, || false));
    let (running, stopped) = (Arc::clone(&sweeper), stop.clone());
    tokio::spawn(async move { running.run(stopped).await });
    (sweeper, stop, dies)
}

/// What a door says of the sweeps once it is so, in paused time.
async fn says(sweeper: &Sweeper, is_so: impl Fn(&SweepStatus) -> bool) -> SweepStatus {
    for _ in 0..10_000 {
        let status = sweeper.status().await.unwrap();
        if is_so(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it is never so: {:#?}", sweeper.status().await);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_was_asked_for_outlives_the_door_and_so_do_its_number_and_how_the_last_one_ended() {
    let house = House::new(registry_with(30));
    let (sweeper, running) = house.run(Duration::ZERO, Duration::ZERO);
    let first = ends(&sweeper, request(&sweeper, SweepKind::Shallow).await).await;
    house.registry.allow_lists(10);
    assert_eq!(request(&sweeper, SweepKind::Shallow).await, 2);
    until(|| super::running(&sweeper)).await;
    let waiting = sweeper.request(SweepKind::Deep).await.unwrap();
    assert_eq!(waiting.number, 3);
    drop(running);
    pass(Duration::from_secs(1)).await;

    let opened = house.sweeper(Duration::ZERO, Duration::ZERO);
    let before = opened.status().await.unwrap();
    assert_eq!((&before.running, &before.last), (&None, &Some(first)), "it sweeps again only once it runs");
    assert_eq!(before.numbered_since, waiting.numbered_since);
    house.registry.allow_lists(0);
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    until(|| super::running(&sweeper)).await;
    assert_eq!(sweeper.status().await.unwrap().last, before.last);
    house.registry.allow_lists(1_000);
    let last = ends(&sweeper, waiting.number).await;
    assert_eq!((last.number, last.kind, last.outcome), (3, SweepKind::Deep, Outcome::Complete));
    pass(Duration::from_secs(1)).await;
    assert!(!house.store.sweep_queue().await.unwrap().is_waiting());
    assert_eq!(request(&sweeper, SweepKind::Shallow).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_was_asked_for_and_cut_goes_on_under_its_number_though_none_is_due() {
    let house = House::new(registry_with(60));
    house.registry.allow_lists(35);
    let (sweeper, running) = house.run(Duration::ZERO, Duration::ZERO);
    assert_eq!(request(&sweeper, SweepKind::Deep).await, 1);
    until(|| (house.registry.lists().len() == 35).then_some(())).await;
    pass(Duration::from_secs(6)).await;
    house.registry.allow_lists(8);
    while house.store.kept_sweep().await.unwrap().is_none_or(|kept| kept.marks.is_empty()) {
        tokio::task::yield_now().await;
    }
    let before = super::running(&sweeper).unwrap();
    drop(running);
    pass(Duration::from_secs(1)).await;
    house.registry.allow_lists(1_000);
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    let last = ended(&sweeper, 1).await;
    assert_eq!((last.number, last.kind, last.outcome), (1, SweepKind::Deep, Outcome::Complete));
    assert_eq!(last.started_at, before.started_at);
    let twice = house.registry.lists().values().filter(|count| **count > 1).count();
    assert!(twice <= 2 * PAGE, "{twice} repositories were asked about twice");
}

#[tokio::test(start_paused = true)]
async fn any_door_takes_a_request_and_tells_how_the_sweep_is_that_another_one_runs() {
    let (registry, medium) = (registry_with(60), MemoryMedium::default());
    let (first, ..) = join(&registry, &medium, 1, HOUR);
    let due = says(&first, |status| status.next_at.is_some()).await;
    let (second, ..) = join(&registry, &medium, 2, HOUR);
    let told = says(&second, |_| true).await;
    assert_eq!(told, due, "the second one does not sweep");
    assert_eq!(told.last.map(|last| last.number), Some(1));

    registry.allow_lists(20);
    let asked = second.request(SweepKind::Deep).await.unwrap();
    assert_eq!((asked.number, asked.numbered_since), (2, told.numbered_since));
    let half = says(&second, |status| {
        status.running.as_ref().is_some_and(|running| running.repositories_done >= 15)
    })
    .await;
    let running = half.running.unwrap();
    assert_eq!((running.number, running.kind), (2, SweepKind::Deep));
    assert_eq!(half.last.map(|last| last.number), Some(1));
    registry.allow_lists(1_000);
    let ended = says(&second, |status| status.last.as_ref().is_some_and(|last| last.number >= 2)).await;
    let last = ended.last.unwrap();
    assert_eq!((last.number, last.kind, last.outcome), (2, SweepKind::Deep, Outcome::Complete));
    assert_eq!(ended.running, None);
    assert_eq!(says(&second, |status| status.next_at.is_some()).await, first.status().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_one_door_was_asked_for_is_ended_by_the_next_when_that_one_is_gone() {
    let (registry, medium) = (registry_with(60), MemoryMedium::default());
    let (first, stop, _) = join(&registry, &medium, 1, Duration::ZERO);
    says(&first, |_| first.local_status().is_some()).await;
    let (second, ..) = join(&registry, &medium, 2, Duration::ZERO);
    registry.allow_lists(20);
    assert_eq!(request(&first, SweepKind::Deep).await, 1);
    says(&second, |status| status.running.is_some()).await;
    stop.cancel();
    registry.allow_lists(1_000);
    let ended = says(&second, |status| status.last.is_some()).await;
    let last = ended.last.unwrap();
    assert_eq!((last.number, last.kind, last.outcome), (1, SweepKind::Deep, Outcome::Complete));
    assert!(second.local_status().is_some(), "it is the second one that has swept");
}

#[tokio::test(start_paused = true)]
async fn a_door_that_is_taken_for_dead_in_a_sweep_tells_how_the_other_one_ends_it_and_nothing_of_its_own() {
    let (registry, medium) = (registry_with(60), MemoryMedium::default());
    let (first, _, dies) = join(&registry, &medium, 1, Duration::ZERO);
    says(&first, |_| first.local_status().is_some()).await;
    let (second, ..) = join(&registry, &medium, 2, Duration::ZERO);
    registry.allow_lists(20);
    assert_eq!(request(&first, SweepKind::Deep).await, 1);
    let done = |status: &SweepStatus| status.running.as_ref().map(|running| running.repositories_done);
    says(&first, |status| done(status) >= Some(15)).await;
    dies.cancel();
    says(&second, |_| second.local_status().is_some_and(|(activity, _)| activity.running.is_some())).await;
    assert_eq!(
        done(&says(&first, |status| done(status).is_some()).await),
        Some(0),
        "that is the second one's"
    );
    registry.allow_lists(1_000);
    let told = says(&first, |status| status.last.is_some()).await;
    let last = told.last.clone().unwrap();
    assert_eq!((last.number, last.kind, last.outcome), (1, SweepKind::Deep, Outcome::Complete));
    pass(Duration::from_secs(2)).await;
    assert_eq!(first.status().await.unwrap(), second.status().await.unwrap());
}
