//! The door in the model, with its clients: put together as `server.rs` does it, over a store in memory.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::checks;
use super::history::{Action, History, Life};
use super::registry::{Registry, TIMEOUT, Way};
use crate::oci::{Manifest, Reference, RepositoryName};
use crate::registry::{Asking, Backends, OutgoingWrite, RegistryClient, Transport};
use crate::store::{Actor, HintedReference, MemoryFile, RedbStore, Store};
use crate::sync::{
    Carrier, HintQueue, ManifestWrite, Operation, SweepKind, SweepOutcome, SweepSettings, Sweeper,
    UnknownIntents, Verifier, follow_hints, settle_unknown,
};

/// Time enough for every outcome to become known, in virtual time.
const QUIET: Duration = Duration::from_secs(120);

/// A door that runs on the current runtime, and ends with it.
struct House {
    registry: Arc<Registry>,
    store: Arc<dyn Store>,
    carrier: Carrier,
    sweeper: Arc<Sweeper>,
    hints: Arc<HintQueue>,
    /// Writes of clients under way, by repository and tag, and all there ever were.
    writes: Mutex<BTreeMap<(String, String), (usize, usize)>>,
    broken: Mutex<Option<String>>,
}

impl House {
    fn open(registry: &Arc<Registry>, memory: &MemoryFile, seed: u64) -> Arc<Self> {
        let store: Arc<dyn Store> = Arc::new(RedbStore::open_inline(memory).unwrap());
        let backends = Arc::new(Backends::new([Url::parse("http://registry").unwrap()]));
        let way: Arc<dyn Transport> = Arc::new(Way(Arc::clone(registry)));
        let client = RegistryClient::with_transport(Arc::clone(&backends), TIMEOUT, Arc::clone(&way));
        let client = Arc::new(client);
        let verifier = Arc::new(Verifier::new(Arc::clone(&store), Arc::clone(&client)));
        let unknown = Arc::new(UnknownIntents::default());
        let writes = TaskTracker::new();
        let carrier = Carrier::new(
            Arc::clone(&store),
            client,
            Arc::clone(&unknown),
            writes.clone(),
        );
        let settings = SweepSettings {
            interval: Duration::ZERO,
            deep_interval: Duration::ZERO,
            concurrency: NonZeroUsize::new(4).unwrap(),
            seed,
        };
        let is_busy = move || !writes.is_empty();
        let sweeper = Arc::new(Sweeper::new(
            Arc::clone(&store),
            backends,
            TIMEOUT,
            way,
            Asking::default(),
            settings,
            is_busy,
        ));
        let hints = Arc::new(HintQueue::new(Arc::clone(&store)));
        let stop = CancellationToken::new();
        tokio::spawn(settle_unknown(
            Arc::clone(&store),
            Arc::clone(&verifier),
            unknown,
            TIMEOUT,
            watch::Sender::new(false),
            stop.clone(),
            Duration::ZERO,
        ));
        tokio::spawn(follow_hints(Arc::clone(&hints), verifier, stop.clone()));
        let running = Arc::clone(&sweeper);
        tokio::spawn(async move { running.run(stop).await });
        Arc::new(Self {
            registry: Arc::clone(registry),
            store,
            carrier,
            sweeper,
            hints,
            writes: Mutex::default(),
            broken: Mutex::default(),
        })
    }

    async fn act(&self, action: Action) {
        match action {
            Action::Push { repository, reference, manifest, patience } => {
                let parsed = Arc::new(Manifest::parse(manifest.clone(), None).unwrap());
                let operation =
                    Operation::Put { reference: reference.clone(), tags: Vec::new(), manifest: parsed };
                let write = write(repository, Method::PUT, &reference, operation, manifest);
                self.carry(write, repository, &reference, patience).await;
            }
            Action::Delete { repository, reference, patience } => {
                let operation = Operation::Delete { reference: reference.clone() };
                let write = write(repository, Method::DELETE, &reference, operation, Bytes::new());
                self.carry(write, repository, &reference, patience).await;
            }
            Action::PushAround { repository, reference, manifest } => {
                self.registry.put(repository, &reference, &manifest);
            }
            Action::DeleteAround { repository, reference } => self.registry.delete(repository, &reference),
            Action::Forget { repository } => self.registry.forget(repository),
            Action::Hint { repository, reference } => {
                let repository = RepositoryName::parse(repository).unwrap();
                self.hints.add(vec![HintedReference { repository, reference }]).await.unwrap();
            }
            Action::Sweep { deep } => {
                self.sweeper.request(if deep { SweepKind::Deep } else { SweepKind::Shallow });
            }
        }
    }

    /// Carries a write for a client; when that hears of a success, looks whether it is in the store.
    async fn carry(
        &self,
        write: ManifestWrite,
        repository: &str,
        reference: &Reference,
        patience: Option<Duration>,
    ) {
        let place = (repository.to_owned(), reference.to_string());
        let number = {
            let mut writes = self.writes.lock().unwrap();
            let (running, all) = writes.entry(place.clone()).or_default();
            *running += 1;
            *all += 1;
            *all
        };
        let carrying = self.carrier.carry(write);
        let answer = match patience {
            Some(patience) => match tokio::time::timeout(patience, carrying).await {
                Ok(answer) => answer,
                // The write goes on without its client, so it stays under way.
                Err(_) => return,
            },
            None => carrying.await,
        };
        let alone = {
            let mut writes = self.writes.lock().unwrap();
            let (running, all) = writes.entry(place).or_default();
            *running -= 1;
            *running == 0 && *all == number
        };
        if let (Ok(answer), Reference::Tag(tag), true) = (answer, reference, alone)
            && answer.status.is_success()
        {
            let name = RepositoryName::parse(repository).unwrap();
            let recorded = self.store.tag(&name, tag).await.unwrap().map(|record| record.digest);
            let held = self.registry.tag(repository, tag.as_str());
            // Whoever wrote around the door since makes them differ; then there is nothing to compare.
            let told = answer.digest();
            if held == told && recorded != told {
                let wrong = format!(
                    "{repository}:{tag} was acknowledged as {told:?}, and the store says {recorded:?}"
                );
                *self.broken.lock().unwrap() = Some(wrong);
            }
        }
    }

    /// Everything ends well: faults are over, and time passes.
    async fn settle(&self, door_only: bool) -> Result<(), String> {
        self.registry.fail_one_in(0);
        tokio::time::sleep(QUIET).await;
        if door_only {
            let told = checks::contents(self.store.as_ref(), &self.registry).await;
            told.map_err(|wrong| format!("before any sweep: {wrong}"))?;
        }
        for _ in 0..2 {
            let number = self.sweeper.request(SweepKind::Deep);
            let mut waited = 0;
            let last = loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                match self.sweeper.status().last.filter(|last| last.number >= number) {
                    Some(last) => break last,
                    None if waited > 10_000 => return Err("a sweep does not end".to_owned()),
                    None => waited += 1,
                }
            };
            if last.outcome != SweepOutcome::Complete {
                return Err(format!("the last sweep is not complete: {last:?}"));
            }
            if let Some(wrong) = self.broken.lock().unwrap().take() {
                return Err(wrong);
            }
            checks::in_step(self.store.as_ref(), &self.registry).await?;
        }
        checks::history(self.store.as_ref(), &self.registry).await
    }
}

fn write(
    repository: &str,
    method: Method,
    reference: &Reference,
    operation: Operation,
    body: Bytes,
) -> ManifestWrite {
    let path_and_query = format!("/v2/{repository}/manifests/{reference}");
    ManifestWrite {
        repository: RepositoryName::parse(repository).unwrap(),
        operation,
        actor: Actor::default(),
        outgoing: OutgoingWrite { method, path_and_query, headers: HeaderMap::new(), body },
    }
}

/// Lives through a history, and says what was not true of it.
pub fn live(history: &History) -> Result<(), String> {
    fastrand::seed(history.seed);
    let registry = Registry::new(history.seed, !history.door_only);
    let mut memory = MemoryFile::default();
    let lives = history.lives.len();
    for (number, life) in history.lives.iter().enumerate() {
        registry.fail_one_in(history.faults);
        let is_last = number + 1 == lives;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let house = House::open(&registry, &memory, history.seed);
            live_through(&house, life, is_last).await;
            match house.broken.lock().unwrap().take() {
                Some(wrong) => Err(wrong),
                None => Ok(()),
            }?;
            if is_last { house.settle(history.door_only).await } else { Ok(()) }
        })?;
        // What was under way is cut wherever it was, and the file is as it was.
        memory = memory.left_by_a_crash();
        drop(runtime);
        registry.lose_the_door();
    }
    Ok(())
}

/// Everything of a life begins at its time. It ends with the crash, or when everybody has their answer.
async fn live_through(house: &Arc<House>, life: &Life, to_the_end: bool) {
    let mut clients = tokio::task::JoinSet::new();
    for happening in life.happenings.clone() {
        let house = Arc::clone(house);
        clients.spawn(async move {
            tokio::time::sleep(happening.at).await;
            house.act(happening.action).await;
        });
    }
    if to_the_end {
        clients.join_all().await;
    } else {
        tokio::time::sleep(life.length).await;
        clients.detach_all();
    }
}
