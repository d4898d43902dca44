//! Three doors on one database behind a real HAProxy, by `config/haproxy.cfg`, while they are stopped and started one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::ACCEPT;
use reqwest::{Client, StatusCode};

use crate::database_failures::door;
use crate::support::engine::Engine;
use crate::support::haproxy::Proxy;
use crate::support::http::client_builder;
use crate::support::image::{Image, digest};
use crate::support::postgres::Database;
use crate::support::registry::Registry;
use crate::support::state::assert_in_step;
use crate::support::wait::until_seen;

const SOON: Duration = Duration::from_secs(60);
/// How long a door may take to end behind its lame duck.
const ENDS: Duration = Duration::from_secs(40);
/// Longer than HAProxy takes to notice, on a machine that is busy.
const LAME_DUCK: &str = "6s";
/// How often all doors are rolled. `PORTREEVE_TEST_ROLLS` may ask for more.
const ROLLS: usize = 1;

fn client() -> Client {
    client_builder().build().unwrap()
}

/// Clients that push, pull and ask without a pause, and whom no failure is hidden from.
struct Clients {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Clients {
    fn of(url: &str) -> Self {
        let (stop, done): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
        let task = |number: usize| {
            let (url, stop, done) = (url.to_owned(), Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(async move {
                let client = client();
                for round in 0.. {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    push_and_pull(&client, &url, number, round).await;
                    done.fetch_add(1, Ordering::Release);
                }
            })
        };
        let tasks = (0..3).map(task).collect();
        Self { stop, done, tasks }
    }

    /// Waits until every client has gone through the whole of it again.
    async fn until_more(&self, more: usize) {
        let wanted = self.done.load(Ordering::Acquire) + more;
        let failed = || self.tasks.iter().any(tokio::task::JoinHandle::is_finished);
        let seen = async || (self.done.load(Ordering::Acquire), failed());
        until_seen("clients go on", SOON, seen, |(done, failed)| *done >= wanted || *failed).await;
        assert!(!failed(), "a client has failed");
    }

    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::Release);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.done.load(Ordering::Acquire)
    }
}

/// A blob of several pieces, a manifest under a tag, and everything back, each with the status that it has without a proxy.
async fn push_and_pull(client: &Client, url: &str, number: usize, round: u64) {
    let seed = u64::try_from(number).unwrap() * 1_000_000 + round;
    let blob = Bytes::from(seed.to_le_bytes().repeat(20_000));
    let image = Image::small(seed);
    let repository = format!("team/app{number}");
    let begun = client.post(format!("{url}/v2/{repository}/blobs/uploads/")).send().await.unwrap();
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    let mut location = begun.headers()["location"].to_str().unwrap().to_owned();
    for piece in blob.chunks(50_000) {
        assert!(location.starts_with(url), "{location}");
        let request = client.patch(&location).body(piece.to_vec());
        let sent = request.header("content-type", "application/octet-stream").send().await.unwrap();
        assert_eq!(sent.status(), StatusCode::ACCEPTED);
        location = sent.headers()["location"].to_str().unwrap().to_owned();
    }
    let separator = if location.contains('?') { '&' } else { '?' };
    let committed =
        client.put(format!("{location}{separator}digest={}", digest(&blob))).send().await.unwrap();
    assert_eq!(committed.status(), StatusCode::CREATED);
    let pulled = client.get(format!("{url}/v2/{repository}/blobs/{}", digest(&blob))).send().await.unwrap();
    assert_eq!(pulled.status(), StatusCode::OK);
    assert!(pulled.bytes().await.unwrap() == blob);
    image.push_blobs(url, &repository).await;
    let tag = format!("t{round}");
    let put = image.put_by(client, url, &repository, &tag).await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED);
    for reference in [&tag, &image.digest] {
        let manifest = client.get(format!("{url}/v2/{repository}/manifests/{reference}"));
        let pulled = manifest.header(ACCEPT, &image.media_type).send().await.unwrap();
        assert_eq!(pulled.status(), StatusCode::OK, "{reference}");
    }
    let listed = client.get(format!("{url}/v2/{repository}/tags/list?n=10")).send().await.unwrap();
    assert_eq!(listed.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_three_doors_are_stopped_and_started_one_by_one() {
    let rolls = std::env::var("PORTREEVE_TEST_ROLLS").map_or(ROLLS, |rolls| rolls.parse().unwrap());
    let (registry, database) = (Registry::start().await, Database::create());
    let files = tempfile::tempdir().unwrap();
    let mut doors = Vec::new();
    for name in ["one", "two", "three"] {
        doors.push(
            door(&registry, &database.url(), &files, name)
                .set("SERVER__LAME_DUCK", LAME_DUCK)
                .set("PLUGINS__CLIENT_ADDRESS__TRUSTED_PROXIES", "[\"127.0.0.1/32\"]")
                .start()
                .await,
        );
    }
    let proxy = Proxy::start(&doors).await;
    let engine = Engine::start().await;
    engine.import_base("base").await;
    let name = format!("{}/team/pushed", proxy.url().strip_prefix("https://").unwrap());
    let clients = Clients::of(proxy.url());
    let begun = Instant::now();
    for roll in 0..rolls {
        for (number, door) in doors.iter_mut().enumerate() {
            clients.until_more(6).await;
            door.signal("TERM");
            // While it is leaving.
            let image = format!("{name}:{roll}-{number}");
            engine.docker.run(&["tag", "base", &image]).await;
            engine.docker.run(&["push", &image]).await;
            let status = door.wait_exit(ENDS).await;
            assert!(status.success(), "{status}\n{}", door.log());
            clients.until_more(3).await;
            door.restart().await;
        }
    }
    let done = clients.stop().await;
    eprintln!("{done} pushes and pulls while {} doors were rolled, in {:?}", rolls * 3, begun.elapsed());
    assert!(!proxy.log().contains(" 502 ") && !proxy.log().contains(" 503 "), "{}", proxy.log());
    assert_in_step(&doors[0].url(), &registry.url(), SOON).await;
}
