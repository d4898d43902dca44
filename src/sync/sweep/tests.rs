//! When sweeps run, where they go on, and what they ask, against a scripted registry and a real store. What they make of
//! the answers is shown end to end, and by the model test.

mod failing;
mod hanging;
mod resuming;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::*;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::registry::{
    Backends, Causes, Received, RegistryKind, RegistrySettings, Request, Transport, TransportError,
};
use crate::store::{MemoryStore, Store};

const DEADLINE: Duration = Duration::from_secs(60);
/// How long the registry may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);
const PAGE: usize = 10;

/// What a registry answers to this method and this path with its query instead of the truth, if anything.
type Script = Box<dyn Fn(&Method, &str) -> Option<Answer> + Send + Sync>;

/// An answer that a test makes up.
enum Answer {
    /// This status and header, and no body.
    Status(u16, Option<(&'static str, String)>),
    /// A document, with a header.
    Page(serde_json::Value, Option<(&'static str, String)>),
    /// The specification's own 404.
    Absent(&'static str),
    /// The connection breaks.
    Lost,
    /// Nothing, for so long.
    Silence(Duration),
    /// The truth, but not before so long.
    Late(Duration),
    /// A mistake of the program.
    Panic,
}

impl Answer {
    fn status(status: u16) -> Option<Self> {
        Some(Self::Status(status, None))
    }
}

/// A registry with the same manifest under one tag in each of its repositories.
struct Lists {
    repositories: Vec<String>,
    /// Questions about the tags of a repository, by its name.
    asked: Mutex<BTreeMap<String, usize>>,
    /// How many lists of tags may be answered.
    allowed: Semaphore,
    catalog_status: Mutex<Option<StatusCode>>,
    catalogs: Mutex<usize>,
    script: Mutex<Script>,
}

impl std::fmt::Debug for Lists {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Lists")
    }
}

impl Lists {
    fn new(repositories: usize, allowed: usize) -> Arc<Self> {
        Arc::new(Self {
            repositories: (0..repositories).map(|number| format!("team/r{number:03}")).collect(),
            asked: Mutex::default(),
            allowed: Semaphore::new(allowed),
            catalog_status: Mutex::new(None),
            catalogs: Mutex::new(0),
            script: Mutex::new(Box::new(|_, _| None)),
        })
    }

    fn script(&self, script: impl Fn(&Method, &str) -> Option<Answer> + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    fn asked_about(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn catalog(&self, query: Option<&str>) -> (StatusCode, HeaderMap, String) {
        *self.catalogs.lock().unwrap() += 1;
        if let Some(status) = *self.catalog_status.lock().unwrap() {
            return (status, HeaderMap::new(), String::new());
        }
        let last = query.and_then(|query| query.strip_prefix("last="));
        let behind = |name: &&String| last.is_none_or(|last| name.as_str() > last);
        let names: Vec<&String> = self.repositories.iter().filter(behind).take(PAGE).collect();
        let mut headers = HeaderMap::new();
        if let Some(name) = names.last().filter(|name| **name != self.repositories.last().unwrap()) {
            let link = format!("</v2/_catalog?last={name}>; rel=\"next\"");
            headers.insert("link", HeaderValue::from_str(&link).unwrap());
        }
        (StatusCode::OK, headers, serde_json::json!({ "repositories": names }).to_string())
    }
}

fn received(status: u16, header: Option<(&'static str, String)>, body: Bytes) -> Received {
    let pair = |(name, value): (&'static str, String)| (name.parse().unwrap(), value.parse().unwrap());
    let (status, headers) = (StatusCode::from_u16(status).unwrap(), header.into_iter().map(pair).collect());
    Received { status, headers, body: Ok(body) }
}

#[async_trait]
impl Transport for Lists {
    async fn send(&self, request: Request) -> Result<Received, TransportError> {
        let url = Url::parse(&request.url).unwrap();
        let path = url.path().trim_start_matches("/v2/");
        let line = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        let scripted = (self.script.lock().unwrap())(&request.method, &line);
        match scripted {
            None => {}
            Some(Answer::Late(time)) => tokio::time::sleep(time).await,
            Some(Answer::Panic) => panic!("as it was told to"),
            Some(Answer::Lost) => return Err(TransportError::Lost(Causes::default())),
            Some(Answer::Silence(time)) => {
                tokio::time::sleep(time).await;
                return Err(TransportError::TimedOut(time));
            }
            Some(Answer::Status(status, header)) => return Ok(received(status, header, Bytes::new())),
            Some(Answer::Page(names, header)) => return Ok(received(200, header, names.to_string().into())),
            Some(Answer::Absent(code)) => {
                let errors = serde_json::json!({ "errors": [{ "code": code }] });
                return Ok(received(404, None, errors.to_string().into()));
            }
        }
        let (status, mut headers, body) = if path == "_catalog" {
            self.catalog(url.query())
        } else if let Some(name) = path.strip_suffix("/tags/list") {
            let Ok(permit) = self.allowed.acquire().await else {
                return Err(TransportError::Lost(Causes::default()));
            };
            permit.forget();
            *self.asked.lock().unwrap().entry(name.to_owned()).or_default() += 1;
            (StatusCode::OK, HeaderMap::new(), r#"{"name":"","tags":["latest"]}"#.to_owned())
        } else {
            (StatusCode::OK, HeaderMap::new(), "{}".to_owned())
        };
        let digest = Digest::sha256(body.as_bytes());
        headers.insert("docker-content-digest", HeaderValue::from_str(digest.as_str()).unwrap());
        let body = if request.method == Method::HEAD { Bytes::new() } else { body.into() };
        Ok(Received { status, headers, body: Ok(body) })
    }
}

/// What outlives a door.
struct House {
    registry: Arc<Lists>,
    store: Arc<dyn Store>,
    kind: RegistryKind,
}

impl House {
    fn new(registry: Arc<Lists>) -> Self {
        Self { registry, store: Arc::new(MemoryStore::default()), kind: RegistryKind::Registry }
    }

    fn sweeper(&self, interval: Duration, deep_interval: Duration) -> Arc<Sweeper> {
        let backends = Arc::new(Backends::new([Url::parse("http://registry").unwrap()]));
        let access = RegistrySettings { kind: self.kind, ..RegistrySettings::new(backends, TIMEOUT) };
        let transport = Arc::clone(&self.registry) as Arc<dyn Transport>;
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

async fn ended(sweeper: &Sweeper, number: u64) -> FinishedSweep {
    let begun = std::time::Instant::now();
    loop {
        let status = sweeper.status();
        if let Some(last) = status.last.clone().filter(|last| last.number >= number) {
            return last;
        }
        assert!(begun.elapsed() < DEADLINE, "sweep {number} does not end: {status:#?}");
        give_way().await;
    }
}

/// The end of a sweep in paused time, which goes on whenever nothing else does.
async fn ends(sweeper: &Sweeper, number: u64) -> FinishedSweep {
    for _ in 0..1_000_000 {
        if let Some(last) = sweeper.status().last.filter(|last| last.number >= number) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("sweep {number} does not end: {:#?}", sweeper.status());
}

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test]
async fn the_first_sweep_begins_at_once_and_is_deep_unless_the_last_deep_one_is_recent() {
    let house = House::new(Lists::new(25, 1_000));
    let (sweeper, running) = house.run(HOUR, HOUR);
    let first = ended(&sweeper, 1).await;
    assert_eq!((first.kind, first.outcome, first.repositories), (SweepKind::Deep, Outcome::Complete, 25));
    assert_eq!((first.found, first.tags), (25, 25));
    assert!(until(|| sweeper.status().next_at).await > first.ended_at);
    drop(running);
    let (sweeper, _running) = house.run(HOUR, HOUR);
    let second = ended(&sweeper, 1).await;
    assert_eq!((second.kind, second.outcome, second.found), (SweepKind::Shallow, Outcome::Complete, 0));
}

#[tokio::test]
async fn without_intervals_nothing_is_swept_unless_somebody_asks() {
    let house = House::new(Lists::new(3, 1_000));
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    tokio::task::yield_now().await;
    let SweepStatus { running, last, next_at, .. } = sweeper.status();
    assert_eq!((running, last, next_at), (None, None, None));
    let number = sweeper.request(SweepKind::Shallow);
    assert_eq!(ended(&sweeper, number).await.kind, SweepKind::Shallow);
    let number = sweeper.request(SweepKind::Deep);
    assert_eq!((number, ended(&sweeper, number).await.kind), (2, SweepKind::Deep));
    assert_eq!(sweeper.status().next_at, None);
}

#[tokio::test]
async fn who_asks_while_a_sweep_runs_gets_the_next_one_and_it_is_as_deep_as_anybody_wanted() {
    let house = House::new(Lists::new(3, 0));
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    assert_eq!(sweeper.request(SweepKind::Shallow), 1);
    until(|| sweeper.status().running).await;
    assert_eq!(sweeper.request(SweepKind::Deep), 2);
    assert_eq!(sweeper.request(SweepKind::Shallow), 2);
    house.registry.allowed.add_permits(1_000);
    assert_eq!(ended(&sweeper, 1).await.kind, SweepKind::Shallow);
    assert_eq!(ended(&sweeper, 2).await.kind, SweepKind::Deep);
}

#[tokio::test]
async fn without_a_catalog_the_known_repositories_are_swept() {
    let house = House::new(Lists::new(12, 1_000));
    let (sweeper, _running) = house.run(Duration::ZERO, Duration::ZERO);
    ended(&sweeper, sweeper.request(SweepKind::Shallow)).await;
    for status in [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::UNAUTHORIZED] {
        *house.registry.catalog_status.lock().unwrap() = Some(status);
        let last = ended(&sweeper, sweeper.request(SweepKind::Shallow)).await;
        assert_eq!((last.outcome, last.catalog), (Outcome::Partial, CatalogState::Disabled));
        assert_eq!((last.repositories, last.tags, last.found), (12, 12, 0));
        assert!(last.cause.unwrap().contains(status.as_str()));
    }
    let name = RepositoryName::parse("team/r003").unwrap();
    assert!(house.store.tag(&name, &Tag::parse("latest").unwrap()).await.unwrap().is_some());
}
