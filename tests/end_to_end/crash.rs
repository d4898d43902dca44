//! The door is killed at random moments under a steady stream of pushes, deletions and re-tags: after each restart the
//! record equals the registry, and nothing that was acknowledged is lost.
//!
//! `PORTREEVE_CRASH_ROUNDS` says how often it is killed (20), `PORTREEVE_SEED` repeats the choices of a run. Which
//! moment of a write a kill meets is the machine's choice all the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use serde_json::Value;
use tokio::time::Instant;

use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::random::{Random, seed};
use crate::support::registry::Registry;
use crate::support::state::{ACCEPT_ALL, State, all, all_after, assert_in_step, record};
use crate::support::wait::{PAUSE, until};

const REPOSITORIES: [&str; 3] = ["team/app", "team/app/part", "other"];
const TAGS: [&str; 4] = ["latest", "Latest", "v1", "v1.2"];
const IMAGES: u64 = 5;
const WORKERS: u64 = 5;
/// A kill comes at most so long after the stream began.
const LONGEST_RUN: u64 = 400;
/// Within which time after being ready the record has to equal the registry.
const SOON: Duration = Duration::from_secs(5);

/// A write that a client saw acknowledged.
#[derive(Debug)]
struct Acknowledged {
    /// Its `User-Agent`, which the history repeats: no two writes have the same.
    agent: String,
    /// What it wrote to: repository, and tag or digest.
    reference: (&'static str, String),
    /// The event that it has to have: kind, tag, digest.
    event: (&'static str, Option<String>, String),
    /// When it was sent and when the answer was there, on a clock that all clients share.
    sent: u64,
    answered: u64,
}

/// What all clients share.
struct Stream {
    door: String,
    images: Vec<Image>,
    clock: AtomicU64,
}

impl Stream {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Writes one thing after the other until the door is gone.
    async fn work(self: Arc<Self>, name: String, mut random: Random) -> Vec<Acknowledged> {
        let client = http_client();
        let mut acknowledged = Vec::new();
        for number in 0.. {
            let agent = format!("{name}/{number}");
            let repository = *random.one_of(&REPOSITORIES);
            let image = random.one_of(&self.images);
            let base = format!("{}/v2/{repository}/manifests", self.door);
            let tag = *random.one_of(&TAGS);
            let (request, reference, kind, tag) = match random.below(10) {
                0 | 1 => {
                    let request = client.delete(format!("{base}/{}", image.digest));
                    (request, image.digest.clone(), "manifest_deleted", None)
                }
                2 => {
                    let request = client.put(format!("{base}/{}", image.digest));
                    (request, image.digest.clone(), "manifest_put", None)
                }
                _ => (
                    client.put(format!("{base}/{tag}")),
                    tag.to_owned(),
                    "manifest_put",
                    Some(tag.to_owned()),
                ),
            };
            let request = match kind {
                "manifest_put" => {
                    request.header(CONTENT_TYPE, &image.media_type).body(image.manifest.clone())
                }
                _ => request,
            };
            let sent = self.tick();
            let Ok(response) = request.header(USER_AGENT, &agent).send().await else { break };
            match response.status().as_u16() {
                201 | 202 => acknowledged.push(Acknowledged {
                    agent,
                    reference: (repository, reference),
                    event: (kind, tag, image.digest.clone()),
                    sent,
                    answered: self.tick(),
                }),
                // A deletion of what is not there.
                404 if kind == "manifest_deleted" => {}
                // The registry stumbles over its own files when a tag is read while it is written, and on a busy machine
                // it may be late: nothing was promised then.
                500 | 503 | 504 => {}
                status => panic!("{status} to {agent}: {:?}", response.text().await),
            }
        }
        acknowledged
    }
}

/// The history as it has been read so far.
#[derive(Default)]
struct History {
    /// The events, by the agent who caused them.
    by_agent: HashMap<String, Vec<Value>>,
    last: u64,
    count: usize,
}

impl History {
    /// Reads what is new. Numbers only ever grow.
    async fn read_on(&mut self, door: &str) {
        for event in all_after(door, "/api/v1/events?n=1000", Some(self.last.to_string())).await {
            let sequence = event["sequence"].as_u64().unwrap();
            assert!(sequence > self.last, "event {sequence} comes after {}", self.last);
            self.last = sequence;
            self.count += 1;
            if let Some(agent) = event["actor"]["agent"].as_str() {
                self.by_agent.entry(agent.to_owned()).or_default().push(event);
            }
        }
    }

    /// The number of the event of this write.
    fn sequence_of(&self, write: &Acknowledged) -> Option<u64> {
        let (kind, tag, digest) = &write.event;
        self.by_agent.get(&write.agent)?.iter().find_map(|event| {
            let is_it = event["kind"] == *kind
                && event["repository"] == write.reference.0
                && event["tag"].as_str() == tag.as_deref()
                && event["digest"] == **digest;
            is_it.then(|| event["sequence"].as_u64().unwrap())
        })
    }

    /// Every acknowledged write stands in the history, and what came later on one reference stands later.
    fn assert_holds(&self, acknowledged: &[Acknowledged]) {
        let mut by_reference: BTreeMap<&(&str, String), Vec<(&Acknowledged, u64)>> = BTreeMap::new();
        for write in acknowledged {
            let sequence = self.sequence_of(write).unwrap_or_else(|| {
                panic!(
                    "acknowledged and lost: {write:?}; the history has {:?}",
                    self.by_agent.get(&write.agent)
                )
            });
            by_reference.entry(&write.reference).or_default().push((write, sequence));
        }
        for writes in by_reference.values() {
            for (earlier, first) in writes {
                for (later, second) in writes.iter().filter(|(later, _)| earlier.answered < later.sent) {
                    assert!(first < second, "{earlier:?} is event {first}, but {later:?} is event {second}");
                }
            }
        }
    }
}

/// Which manifests the registry has, tagged or not.
async fn held_manifests(registry: &str, images: &[Image]) -> BTreeSet<(String, String)> {
    let client = http_client();
    let mut held = BTreeSet::new();
    for repository in REPOSITORIES {
        for image in images {
            let url = format!("{registry}/v2/{repository}/manifests/{}", image.digest);
            let response = client.head(&url).header("accept", ACCEPT_ALL).send().await.unwrap();
            match response.status().as_u16() {
                200 => held.insert((repository.to_owned(), image.digest.clone())),
                404 => false,
                status => panic!("{status} to HEAD {url}"),
            };
        }
    }
    held
}

/// Which manifests are recorded.
async fn recorded_manifests(door: &str) -> BTreeSet<(String, String)> {
    let mut recorded = BTreeSet::new();
    for repository in REPOSITORIES {
        for manifest in all(door, &format!("/api/v1/manifests?repository={repository}&n=1000")).await {
            recorded.insert((repository.to_owned(), manifest["digest"].as_str().unwrap().to_owned()));
        }
    }
    recorded
}

async fn assert_manifests_in_step(door: &str, registry: &str, images: &[Image], within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let (recorded, held) = (recorded_manifests(door).await, held_manifests(registry, images).await);
        if recorded == held {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "after {within:?} recorded only: {:?}; held only: {:?}",
            recorded.difference(&held).collect::<Vec<_>>(),
            held.difference(&recorded).collect::<Vec<_>>()
        );
        tokio::time::sleep(PAUSE).await;
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_at_any_moment_leave_the_record_equal_to_the_registry_and_lose_nothing_acknowledged() {
    let rounds = number("PORTREEVE_CRASH_ROUNDS").unwrap_or(20);
    let seed = number("PORTREEVE_SEED").unwrap_or_else(seed);
    eprintln!("{rounds} crashes, PORTREEVE_SEED={seed}");
    let mut random = Random::new(seed);

    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url())
        .set("REGISTRY__TIMEOUT", "3s")
        .set("PLUGINS__ACCESS_LOG__ENABLED", "false")
        .start()
        .await;
    let images: Vec<Image> =
        (0..IMAGES).map(|seed| if seed == 0 { Image::docker(seed) } else { Image::small(seed) }).collect();
    for repository in REPOSITORIES {
        for image in &images {
            image.push_blobs(&registry.url(), repository).await;
        }
    }
    let stream = Arc::new(Stream { door: door.url(), images: images.clone(), clock: AtomicU64::new(0) });
    let mut history = History::default();
    let mut acknowledged = Vec::new();
    let (mut longest_start, mut longest) = (Duration::ZERO, Duration::ZERO);

    for round in 0..rounds {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let name = format!("crash/{round}/{worker}");
                tokio::spawn(Arc::clone(&stream).work(name, Random::new(random.next())))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(random.below(LONGEST_RUN))).await;
        door.kill().await;
        let first = acknowledged.len();
        for worker in workers {
            acknowledged.extend(worker.await.unwrap());
        }
        let killed = Instant::now();
        door.restart().await;
        let ready = Instant::now();
        longest_start = longest_start.max(ready - killed);
        assert_in_step(&door.url(), &registry.url(), SOON).await;
        assert_manifests_in_step(&door.url(), &registry.url(), &images, SOON).await;
        longest = longest.max(ready.elapsed());
        history.read_on(&door.url()).await;
        history.assert_holds(&acknowledged[first..]);
    }

    let open = async || door.get_json("/api/v1/status").await["open_intents"].as_u64().unwrap();
    let left_open = open().await;
    let settling = Instant::now();
    until("no open intents", SOON + SOON, async || open().await == 0).await;
    let settled = settling.elapsed();
    assert_in_step(&door.url(), &registry.url(), SOON).await;

    // The history as a whole, read anew, is the one that was read piece by piece: nothing in it was changed.
    let state: State = record(&door.url()).await;
    let mut anew = History::default();
    anew.read_on(&door.url()).await;
    assert_eq!(anew.count, history.count);
    assert_eq!(anew.by_agent, history.by_agent);
    anew.assert_holds(&acknowledged);
    eprintln!(
        "{rounds} crashes: {} writes acknowledged, {} events, {} tags, {left_open} intents open after the last and \
         none {settled:?} later; ready at most {longest_start:?} after being started, in step at most {longest:?} after that",
        acknowledged.len(),
        anew.count,
        state.len()
    );
    assert!(acknowledged.len() as u64 > rounds, "there was hardly anything to lose");
}
