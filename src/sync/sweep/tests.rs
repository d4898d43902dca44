//! When sweeps run, where they go on, and what they ask, against a scripted registry and a real store. What they make of
//! the answers is shown end to end, and by the model test.

mod failing;
mod hanging;
mod requested;
mod resuming;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::*;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::registry::{Backends, RegistryKind, RegistrySettings};
use crate::store::{MemoryStore, Store, SweepKind};
use crate::sync::scripted_registry::{Answer, PAGE, ScriptedRegistry};

const DEADLINE: Duration = Duration::from_mins(1);
/// How long the registry may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A registry with the same manifest under one tag in each of so many repositories.
fn registry_with(repositories: usize) -> Arc<ScriptedRegistry> {
    let registry = ScriptedRegistry::new((0..repositories).map(|number| format!("team/r{number:03}")));
    registry.put("latest", b"{}");
    registry
}

/// What outlives a door.
struct House {
    registry: Arc<ScriptedRegistry>,
    store: Arc<dyn Store>,
    kind: RegistryKind,
}

impl House {
    fn new(registry: Arc<ScriptedRegistry>) -> Self {
        Self { registry, store: Arc::new(MemoryStore::default()), kind: RegistryKind::Registry }
    }

    fn sweeper(&self, interval: Duration, deep_interval: Duration) -> Arc<Sweeper> {
        let backends = Arc::new(Backends::new([Url::parse("http://registry").unwrap()]));
        let access = RegistrySettings { kind: self.kind, ..RegistrySettings::new(backends, TIMEOUT) };
        let transport = self.registry.transport();
        let concurrency = NonZeroUsize::new(4).unwrap();
        let settings = SweepSettings { interval, deep_interval, concurrency, seed: 7 };
        Arc::new(Sweeper::new(Recording::credulous(&self.store), &access, transport, settings, || false))
    }

    /// Lets a sweeper run until the guard is dropped.
    fn run(&self, interval: Duration, deep_interval: Duration) -> (Arc<Sweeper>, DropGuard) {
        let (sweeper, stop) = (self.sweeper(interval, deep_interval), CancellationToken::new());
        let (running, stopped) = (Arc::clone(&sweeper), stop.clone());
        tokio::spawn(async move { running.run(stopped).await });
        (sweeper, stop.drop_guard())
    }
}

/// Lets the other tasks take a step, while paused time stands still.
async fn give_way() {
    tokio::task::yield_now().await;
}

/// Waits for what the tasks bring about; paused time stands still meanwhile.
async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < DEADLINE, "it did not come about");
        give_way().await;
    }
}

/// Moves paused time on, step by step, so that everybody acts in between.
async fn pass(time: Duration) {
    const STEP: Duration = Duration::from_millis(200);
    for _ in 0..time.as_millis() / STEP.as_millis() {
        tokio::time::advance(STEP).await;
        for _ in 0..100 {
            give_way().await;
        }
    }
}

/// Asks for a sweep: its number.
async fn request(sweeper: &Sweeper, kind: SweepKind) -> u64 {
    sweeper.request(kind).await.unwrap().number
}

/// The sweep that is under way.
fn running(sweeper: &Sweeper) -> Option<RunningSweep> {
    sweeper.local_status()?.0.running
}

/// The end of this sweep, or of a later one.
fn last(sweeper: &Sweeper, number: u64) -> Option<FinishedSweep> {
    sweeper.local_status()?.1.map(|kept| kept.last).filter(|last| last.number >= number)
}

async fn ended(sweeper: &Sweeper, number: u64) -> FinishedSweep {
    until(|| last(sweeper, number)).await
}

/// The end of a sweep in paused time, which goes on whenever nothing else does.
async fn ends(sweeper: &Sweeper, number: u64) -> FinishedSweep {
    for _ in 0..1_000_000 {
        if let Some(last) = last(sweeper, number) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("sweep {number} does not end: {:#?}", sweeper.local_status());
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn the_first_sweep_begins_at_once_and_is_deep_unless_the_last_deep_one_is_recent() {
    let house = House::new(registry_with(25));
    let (sweeper, running) = house.run(HOUR, HOUR);
    let first = ended(&sweeper, 1).await;
    assert_eq!((first.kind, first.outcome, first.repositories), (SweepKind::Deep, Outcome::Complete, 25));
    assert_eq!((first.found, first.tags), (25, 25));
    assert!(until(|| sweeper.local_status()?.0.next_at).await > first.ended_at);
    drop(running);
    let (sweeper, _running) = house.run(HOUR, HOUR);
    let second = ended(&sweeper, 2).await;
    assert_eq!((second.kind, second.outcome, second.found), (SweepKind::Shallow, Outcome::Complete, 0));
    let past = sweeper.status().await.unwrap().past;
    let recent: Vec<_> = past.recent.iter().map(|sweep| (sweep.number, sweep.found)).collect();
    assert_eq!(recent, [(2, 0), (1, 25)], "those before a restart are remembered");
    assert_eq!(past.days.iter().map(|day| day.found).sum::<u64>(), 25);
}

#[tokio::test]
async fn without_intervals_nothing_is_swept_unless_somebody_asks() {
    let house = House::new(registry_with(3));
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    tokio::task::yield_now().await;
    let SweepStatus { running, last, next_at, .. } = sweeper.status().await.unwrap();
    assert_eq!((running, last, next_at), (None, None, None));
    let number = request(&sweeper, SweepKind::Shallow).await;
    assert_eq!(ended(&sweeper, number).await.kind, SweepKind::Shallow);
    let number = request(&sweeper, SweepKind::Deep).await;
    assert_eq!((number, ended(&sweeper, number).await.kind), (2, SweepKind::Deep));
    assert_eq!(sweeper.status().await.unwrap().next_at, None);
}

#[tokio::test]
async fn who_asks_while_a_sweep_runs_gets_the_next_one_and_it_is_as_deep_as_anybody_wanted() {
    let house = House::new(registry_with(3));
    house.registry.allow_lists(0);
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    assert_eq!(request(&sweeper, SweepKind::Shallow).await, 1);
    until(|| running(&sweeper)).await;
    assert_eq!(request(&sweeper, SweepKind::Deep).await, 2);
    assert_eq!(request(&sweeper, SweepKind::Shallow).await, 2);
    house.registry.allow_lists(1_000);
    assert_eq!(ended(&sweeper, 1).await.kind, SweepKind::Shallow);
    assert_eq!(ended(&sweeper, 2).await.kind, SweepKind::Deep);
}

#[tokio::test]
async fn without_a_catalog_the_known_repositories_are_swept() {
    let house = House::new(registry_with(12));
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    ended(&sweeper, request(&sweeper, SweepKind::Shallow).await).await;
    for status in [404, 405, 401] {
        house
            .registry
            .script(move |_, line| line.starts_with("/v2/_catalog").then_some(Answer::Status(status, None)));
        let last = ended(&sweeper, request(&sweeper, SweepKind::Shallow).await).await;
        assert_eq!((last.outcome, last.catalog), (Outcome::Partial, CatalogState::Disabled));
        assert_eq!((last.repositories, last.tags, last.found), (12, 12, 0));
        assert!(last.cause.unwrap().contains(&status.to_string()));
    }
    let name = RepositoryName::parse("team/r003").unwrap();
    assert!(house.store.tag(&name, &Tag::parse("latest").unwrap()).await.unwrap().is_some());
}
