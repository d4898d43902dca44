//! The door in the model, with its clients: put together by the builder that `server.rs` uses, over a store in memory.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::acknowledged::{Awaited, Deletion, Promised};
use super::checks::{self, Extent};
use super::faulty_transport::{FaultyTransport, TIMEOUT};
use super::history::{Action, Happening, History, Life};
use super::registry::{Outage, Registry, Temper};
use super::registry_history::Version;
use super::steps::StepsOfALife;
use crate::oci::{Digest, Manifest, Reference, RepositoryName};
use crate::registry::{Backends, OutgoingWrite, RegistrySettings, Transport};
use crate::store::{
    Actor, DoorId, Event, HintedReference, MemoryMedium, MemoryStore, Records, Store, SweepKind, SweepState,
};
use crate::sync::{
    Carrier, CatalogState, EngineSettings, HintQueue, JudgeSettings, ManifestWrite, RemovalLimit,
    SweepOutcome, SweepSettings, Sweeper, SyncEngine, Transports, UnknownIntents, WriteRequest,
};

/// Time enough for every outcome to become known, in virtual time.
const QUIET: Duration = Duration::from_secs(150);
/// Longer than any replica lags.
const SETTLING: Duration = Duration::from_secs(5);

/// All doors of a life, on the current runtime. They end with it.
struct Simulation {
    registry: Arc<Registry>,
    medium: MemoryMedium,
    /// Looks at the record beside the doors.
    observer: MemoryStore,
    doors: Vec<Arc<Door>>,
    acknowledged: Arc<Mutex<Acknowledged>>,
}

/// One door, with what it is asked for.
struct Door {
    registry: Arc<Registry>,
    observer: MemoryStore,
    carrier: Carrier,
    sweeper: Arc<Sweeper>,
    hints: Arc<HintQueue>,
    unknown: Arc<UnknownIntents>,
    steps: Arc<StepsOfALife>,
    acknowledged: Arc<Mutex<Acknowledged>>,
}

/// What was heard from the doors of a history, and outlives them.
#[derive(Default)]
struct Acknowledged {
    /// The hints that were kept, and when.
    hints: Vec<(HintedReference, Version)>,
    /// The deletions of which clients have heard.
    deletions: Vec<Deletion>,
    /// The events that there were when the last door was opened.
    events: Vec<Event>,
    /// How many writes were not acknowledged.
    refused: u64,
    /// What was not true of what was heard.
    wrong: Option<String>,
}

impl Simulation {
    fn open(
        registry: &Arc<Registry>,
        medium: &MemoryMedium,
        history: &History,
        last_step: Option<u64>,
        acknowledged: &Arc<Mutex<Acknowledged>>,
    ) -> Self {
        let open = |number| {
            let last_step = last_step.filter(|_| number == 0);
            Door::open(number, registry, medium, history, last_step, acknowledged)
        };
        Self {
            registry: Arc::clone(registry),
            medium: medium.clone(),
            doors: (0..history.doors).map(open).collect(),
            observer: MemoryStore::observing(medium),
            acknowledged: Arc::clone(acknowledged),
        }
    }
}

impl Door {
    fn open(
        number: usize,
        registry: &Arc<Registry>,
        medium: &MemoryMedium,
        history: &History,
        last_step: Option<u64>,
        acknowledged: &Arc<Mutex<Acknowledged>>,
    ) -> Arc<Self> {
        let seed = history.seed.wrapping_add(number as u64);
        let steps = StepsOfALife::new(registry, last_step, history.commit_faults, seed);
        let followed: Arc<dyn crate::store::Steps> = Arc::<StepsOfALife>::clone(&steps);
        let store: Arc<dyn Store> = Arc::new(match history.doors {
            1 => MemoryStore::open_followed(medium, followed),
            _ => MemoryStore::join(medium, DoorId(number as u64), followed),
        });
        let backends = Arc::new(Backends::new([Url::parse("http://registry").unwrap()]));
        let transport: Arc<dyn Transport> =
            Arc::new(FaultyTransport { registry: Arc::clone(registry), steps: Arc::clone(&steps) });
        let settings = EngineSettings {
            registry: RegistrySettings::new(backends, TIMEOUT),
            judge: judge_settings(history.nature.judge),
            retention_clock: None,
            sweep: SweepSettings {
                interval: history.intervals.0,
                deep_interval: history.intervals.1,
                concurrency: NonZeroUsize::new(4).unwrap(),
                seed,
            },
            last_pass: Duration::ZERO,
        };
        let transports = Transports { requests: Arc::clone(&transport), sweeps: transport };
        let engine = SyncEngine::new(Arc::clone(&store), settings, transports);
        let stop = CancellationToken::new();
        tokio::spawn(engine.take_part(stop.clone()));
        tokio::spawn(engine.settle_unknown(stop.clone()));
        tokio::spawn(engine.follow_hints(stop.clone()));
        let SyncEngine { carrier, sweeper, hints, unknown, .. } = engine;
        let running = Arc::clone(&sweeper);
        tokio::spawn(async move { running.run(stop).await });
        let (registry, acknowledged, observer) =
            (Arc::clone(registry), Arc::clone(acknowledged), MemoryStore::observing(medium));
        Arc::new(Self { registry, observer, carrier, sweeper, hints, unknown, steps, acknowledged })
    }

    fn acknowledged(&self) -> MutexGuard<'_, Acknowledged> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn act(&self, action: Action) {
        match action {
            Action::Push { repository, reference, manifest, patience } => {
                let parsed = Arc::new(Manifest::parse(manifest.clone(), None).unwrap());
                let digest = Some(Digest::sha256(&manifest));
                let write = ManifestWrite::Put {
                    repository: RepositoryName::parse(repository).unwrap(),
                    reference: reference.clone(),
                    tags: Vec::new(),
                    manifest: parsed,
                };
                let request = request(write, Method::PUT, &reference, manifest);
                self.carry(request, repository, &reference, digest, patience).await;
            }
            Action::Delete { repository, reference, patience } => {
                let write = ManifestWrite::Delete {
                    repository: RepositoryName::parse(repository).unwrap(),
                    reference: reference.clone(),
                };
                let request = request(write, Method::DELETE, &reference, Bytes::new());
                self.carry(request, repository, &reference, None, patience).await;
            }
            Action::PushAround { repository, reference, manifest } => {
                self.registry.put(repository, &reference, &manifest);
            }
            Action::DeleteAround { repository, reference } => self.registry.delete(repository, &reference),
            Action::Forget { repository } => self.registry.forget(repository),
            Action::Hint { repository, reference } => {
                let repository = RepositoryName::parse(repository).unwrap();
                let hint = HintedReference { repository, reference };
                let version = self.registry.history().now();
                if self.hints.add(vec![hint.clone()]).await.is_ok() {
                    self.acknowledged().hints.push((hint, version));
                }
            }
            Action::Sweep { deep } => {
                // Where the store fails, it is not asked for, or it is and nobody knows.
                let _ = self.sweeper.request(if deep { SweepKind::Deep } else { SweepKind::Shallow }).await;
            }
            Action::Outage { outage, length } => {
                self.registry.go_down(Instant::now() + length, outage);
            }
            Action::LoseStorage { length } => {
                self.registry.lose_storage();
                tokio::time::sleep(length).await;
                self.registry.regain_storage();
            }
            Action::Restart { length } => {
                self.registry.go_down(Instant::now() + length, Outage::Deaf);
                self.registry.lose_connections();
            }
            Action::Freeze { length } => {
                self.steps.freeze(length);
                // The history does not end before the door has gone on.
                tokio::time::sleep(length.unwrap_or_default()).await;
            }
        }
    }

    /// Carries a write for a client; when that hears of a success, looks whether it is in the store.
    async fn carry(
        &self,
        request: WriteRequest,
        repository: &str,
        reference: &Reference,
        digest: Option<Digest>,
        patience: Option<Duration>,
    ) {
        let store = &self.observer;
        let awaited = Awaited::begin(store, &self.registry, repository, reference, digest).await;
        let carrying = self.carrier.carry(request);
        let answer = match patience {
            Some(patience) => match tokio::time::timeout(patience, carrying).await {
                Ok(answer) => answer,
                Err(_) => return,
            },
            None => carrying.await,
        };
        if !answer.as_ref().is_ok_and(|answer| answer.status.is_success()) {
            self.acknowledged().refused += 1;
        } else {
            match awaited.succeeded(store, &self.registry).await {
                Ok(Promised { deletion, undecided, version }) => {
                    let mut acknowledged = self.acknowledged();
                    acknowledged.deletions.extend(deletion);
                    acknowledged.hints.extend(undecided.into_iter().map(|about| (about, version)));
                }
                Err(wrong) => self.acknowledged().wrong = Some(wrong),
            }
        }
    }
}

impl Simulation {
    fn acknowledged(&self) -> MutexGuard<'_, Acknowledged> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The doors that have not crashed.
    fn living(&self) -> impl Iterator<Item = &Arc<Door>> {
        self.doors.iter().filter(|door| !door.steps.is_dead())
    }

    /// Everything ends well: faults are over, and time passes.
    async fn settle(&self, history: &History) -> Result<(), String> {
        match self.settled(history).await {
            Ok(()) => Ok(()),
            Err(wrong) => {
                let events = checks::events(&self.observer).await;
                Err(format!("{wrong}\nthe history:\n{}", checks::in_lines(&events, &self.registry.history())))
            }
        }
    }

    async fn settled(&self, history: &History) -> Result<(), String> {
        self.registry.fail_one_in(0);
        self.doors.iter().for_each(|door| door.steps.thaw());
        tokio::time::sleep(QUIET).await;
        let (store, registry) = (&self.observer, self.registry.as_ref());
        self.requests_are_served().await?;
        let before = |wrong| format!("before any sweep was asked for: {wrong}");
        let extent = if history.nature.no_catalog.is_some() { Extent::Known } else { Extent::Listed };
        // What a door sent that stood still just then is known to nobody: the hints that it leaves are no promise.
        if history.door_only && !self.doors.iter().any(|door| door.steps.stood_still_with_a_write()) {
            checks::in_step(store, registry, Extent::Everything).await.map_err(before)?;
        }
        if !history.intervals.1.is_zero() {
            checks::in_step(store, registry, extent).await.map_err(before)?;
        }
        let asked_about = |door: &Arc<Door>| door.unknown.counts().completed;
        if history.is_without_trouble() && self.doors.iter().any(|door| asked_about(door) > 0) {
            return Err("a write had no known outcome though nothing failed".to_owned());
        }
        if history.is_without_trouble() && self.acknowledged().refused > 0 {
            return Err("a write did not succeed though nothing failed".to_owned());
        }
        let hints = std::mem::take(&mut self.acknowledged().hints);
        if store.missing().is_none() {
            checks::hinted(store, registry, &hints).await.map_err(before)?;
        }
        self.settle_what_is_held(history).await?;
        for _ in 0..2 {
            self.sweep_all().await?;
            checks::in_step(store, registry, extent).await?;
        }
        let events = checks::events(store).await;
        checks::pasts(&events)?;
        if let Some((sequence, by)) = self.medium.recorded_wrongly() {
            return Err(format!("event {sequence} was recorded by {by}"));
        }
        let acknowledged = self.acknowledged();
        checks::history(&events, &acknowledged.events, &acknowledged.deletions, registry)
    }

    /// Whatever was asked for in a life that is over, or at a door that is dead, is swept.
    async fn requests_are_served(&self) -> Result<(), String> {
        for _ in 0..1_000 {
            let queue = self.observer.sweep_queue().await;
            if !queue.map_err(|error| format!("the queue of sweeps cannot be read: {error}"))?.is_waiting() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Err("a sweep that was asked for does not end".to_owned())
    }

    /// What the judge holds is met again, or accepted.
    async fn settle_what_is_held(&self, history: &History) -> Result<(), String> {
        if !matches!(history.nature.judge, Temper::Patient | Temper::Strict) {
            return Ok(());
        }
        self.sweep_all().await?;
        if history.nature.judge == Temper::Strict {
            let events = checks::events(&self.observer).await;
            checks::brake(&events, history.deletions())?;
            let door = self.living().next().ok_or("no door lives")?;
            door.sweeper.accept_removals().await.unwrap();
        }
        self.sweep_all().await
    }

    /// Asks for a deep sweep, which has no trouble.
    async fn sweep_all(&self) -> Result<(), String> {
        // Whichever door is asked, and whichever answers: only one of them sweeps.
        let asked = self.living().next().ok_or("no door lives")?;
        let answers = self.living().last().ok_or("no door lives")?;
        let requested = asked.sweeper.request(SweepKind::Deep).await;
        let number = requested.map_err(|error| format!("a sweep cannot be asked for: {error}"))?.number;
        let mut waited = 0;
        let last = loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let status = answers.sweeper.status().await;
            let status = status.map_err(|error| format!("a door does not say how sweeps are: {error}"))?;
            match status.last.filter(|last| last.number >= number) {
                Some(last) => break last,
                None if waited > 10_000 => return Err("a sweep does not end".to_owned()),
                None => waited += 1,
            }
        };
        let is_whole = last.outcome == SweepOutcome::Complete || last.catalog == CatalogState::Disabled;
        if is_whole && last.problem_count == 0 {
            return Ok(());
        }
        Err(format!("the last sweep is not complete: {last:?}"))
    }
}

/// How the door judges in this history. A removal is one of few here, so that two are the most.
fn judge_settings(temper: Temper) -> JudgeSettings {
    let removal_limit = RemovalLimit { percent: 10, always: checks::BELIEVED };
    let credulous = JudgeSettings::CREDULOUS;
    match temper {
        Temper::Credulous => credulous,
        Temper::Settling => JudgeSettings { settling: SETTLING, ..credulous },
        Temper::Patient => JudgeSettings { removal_limit, ..credulous },
        Temper::Strict => JudgeSettings {
            settling: SETTLING,
            removal_limit,
            removal_patience: Duration::from_secs(24 * 60 * 60),
        },
    }
}

fn request(write: ManifestWrite, method: Method, reference: &Reference, body: Bytes) -> WriteRequest {
    let path_and_query = format!("/v2/{}/manifests/{reference}", write.repository());
    WriteRequest {
        write,
        actor: Actor::default(),
        outgoing: OutgoingWrite {
            method,
            path_and_query,
            headers: HeaderMap::new(),
            body,
            credentials: None,
        },
    }
}

/// Lives through a history, and says what was not true of it.
pub fn live(history: &History) -> Result<(), String> {
    fastrand::seed(history.seed);
    let registry = Registry::new(history.seed, history.nature);
    let acknowledged = Arc::default();
    let mut medium = MemoryMedium::default();
    let lives = history.lives.len();
    for (number, life) in history.lives.iter().enumerate() {
        registry.fail_one_in(history.faults);
        let is_last = number + 1 == lives;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            remember(&medium, &acknowledged, &registry).await?;
            let last_step = life.last_step.filter(|_| !is_last);
            let simulation = Simulation::open(&registry, &medium, history, last_step, &acknowledged);
            live_through(&simulation, life, is_last).await;
            if let Some(wrong) = simulation.acknowledged().wrong.take() {
                return Err(wrong);
            }
            if is_last { simulation.settle(history).await } else { Ok(()) }
        })?;
        // What was under way is cut wherever it was, and the medium is as it was.
        medium = medium.left_by_a_crash();
        drop(runtime);
        registry.lose_connections();
    }
    Ok(())
}

/// Looks at what the last door has left: its history must be true, and nothing may be changed about it later.
async fn remember(
    medium: &MemoryMedium,
    acknowledged: &Mutex<Acknowledged>,
    registry: &Registry,
) -> Result<(), String> {
    let events = checks::events(&MemoryStore::observing(medium)).await;
    let mut acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
    checks::history(&events, &acknowledged.events, &acknowledged.deletions, registry)?;
    acknowledged.events = events;
    Ok(())
}

/// Everything of a life begins at its time. It ends with the crash of all doors, or when everybody has their answer.
async fn live_through(simulation: &Simulation, life: &Life, to_the_end: bool) {
    let mut clients = tokio::task::JoinSet::new();
    for Happening { at, door, action } in life.happenings.clone() {
        // One door is left in the end.
        let kills = matches!(action, Action::Freeze { length: None });
        if to_the_end && door == 0 && kills {
            continue;
        }
        let door = Arc::clone(&simulation.doors[door]);
        clients.spawn(async move {
            tokio::time::sleep(at).await;
            let steps = Arc::clone(&door.steps);
            tokio::select! {
                biased;
                () = door.act(action) => {}
                // Its clients hear of it.
                () = steps.dead() => {}
            }
        });
    }
    if to_the_end {
        clients.join_all().await;
    } else {
        tokio::select! {
            biased;
            () = simulation.doors[0].steps.last() => {}
            () = tokio::time::sleep(life.length) => {}
        }
        clients.detach_all();
    }
}
