//! What becomes of doors when the server of their database is lost, and of one that stands still for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use tempfile::TempDir;

use crate::support::door::{Door, DoorBuilder};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::postgres::{Database, Extras, PASSWORD, Server, USER};
use crate::support::registry::Registry;
use crate::support::state::{assert_in_step, assert_nothing_is_asked_about, record};
use crate::support::wait::{until, until_seen};

const SOON: Duration = Duration::from_secs(30);
/// Within which time doors write again once there is a database that takes writes; twice that on a busy machine.
const HEALED: Duration = Duration::from_secs(20);

fn door(registry: &Registry, store: &str, files: &TempDir, socket: &str) -> DoorBuilder {
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(files.path().join("password"), PASSWORD).unwrap();
    Door::builder(registry.url())
        .set("STORE__URL", store)
        .set("STORE__PASSWORD_FILE", path("password"))
        .set("SERVER__SOCKET", path(socket))
        .set("REGISTRY__TIMEOUT", "3s")
}

async fn put(door: &str, image: &Image, tag: &str) -> Option<StatusCode> {
    let answer = image.put_by(&http_client(), door, "team/app", tag).await;
    answer.ok().map(|answer| answer.status())
}

/// Clients that push tags to a door one after the other, until they are told to stop.
struct Pushing {
    acknowledged: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    workers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Pushing {
    fn to(door: &str, image: &Arc<Image>) -> Self {
        let (acknowledged, stop): (Arc<AtomicUsize>, Arc<AtomicBool>) = Default::default();
        let worker = |worker: usize| {
            let (door, image) = (door.to_owned(), Arc::clone(image));
            let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut tags = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    let tag = format!("t{worker}-{number}");
                    match put(&door, &image, &tag).await.map(|status| status.as_u16()) {
                        Some(201) => {
                            tags.push(tag);
                            acknowledged.fetch_add(1, Ordering::Release);
                        }
                        Some(500 | 503 | 504) => {}
                        other => panic!("{tag}: {other:?}"),
                    }
                }
                tags
            })
        };
        let workers = (0..4).map(worker).collect();
        Self { acknowledged, stop, workers }
    }

    async fn until_acknowledged(&self, more: usize) {
        let wanted = self.acknowledged.load(Ordering::Acquire) + more;
        let seen = async || self.acknowledged.load(Ordering::Acquire);
        until_seen("tags are acknowledged", HEALED, seen, |seen| *seen >= wanted).await;
    }

    /// The tags that were acknowledged.
    async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Release);
        let mut tags = Vec::new();
        for worker in self.workers {
            tags.extend(worker.await.unwrap());
        }
        tags
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_missing_when_the_primary_is_lost_and_its_standby_takes_over() {
    let access = "local replication all trust\nhost all all all scram-sha-256\n";
    let extras = Extras { access, ..Extras::default() };
    let primary = Server::listening(extras);
    let database = primary.database();
    let standby = Server::standby_of(&primary, extras);
    let attached = async || {
        primary
            .run("postgres", "SELECT application_name, sync_state FROM pg_stat_replication")
            .trim()
            .to_owned()
    };
    until_seen("the standby follows", SOON, attached, |seen| seen == "standby|async").await;
    primary.run("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'standby'");
    primary.run("postgres", "SELECT pg_reload_conf()");
    until_seen("the standby is waited for", SOON, attached, |seen| seen == "standby|sync").await;

    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let url = format!(
        "postgres://{USER}@127.0.0.1:{},127.0.0.1:{}/{}?target_session_attrs=read-write",
        primary.port(),
        standby.port(),
        database.name()
    );
    let door = door(&registry, &url, &files, "socket").start().await;
    let (_, checked) = door.check().await;
    assert!(checked.contains("can be opened") && !checked.contains("no synchronous standby"), "{checked}");
    let image = Arc::new(Image::small(1));
    image.push(&door.url(), "team/app", "before").await;
    let pushing = Pushing::to(&door.url(), &image);
    pushing.until_acknowledged(40).await;
    primary.crash();
    until("writes are refused", SOON, async || {
        put(&door.url(), &image, "meanwhile").await == Some(StatusCode::SERVICE_UNAVAILABLE)
    })
    .await;
    for (digest, _) in &image.blobs {
        let blob = format!("{}/v2/team/app/blobs/{digest}", door.url());
        assert_eq!(http_client().get(blob).send().await.unwrap().status(), StatusCode::OK);
    }
    for reference in ["before", &image.digest] {
        let manifest = format!("{}/v2/team/app/manifests/{reference}", door.url());
        let request = http_client().get(manifest).header(ACCEPT, &image.media_type);
        let pulled = request.send().await.unwrap();
        assert_eq!(pulled.status(), StatusCode::OK, "{reference}");
    }
    standby.promote();
    pushing.until_acknowledged(1).await;
    pushing.until_acknowledged(40).await;
    let acknowledged = pushing.stop().await;

    assert_nothing_is_asked_about(&door.url(), SOON).await;
    assert_in_step(&door.url(), &registry.url(), SOON).await;
    assert_recorded(&door, acknowledged).await;
    let twice = "SELECT count(*) - count(DISTINCT sequence) FROM events";
    assert_eq!(standby.run(database.name(), twice), "0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_stood_still_past_its_time_joins_again_and_record_and_registry_agree() {
    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let database = Database::create();
    let frozen = door(&registry, &database.url(), &files, "frozen").start().await;
    let other = door(&registry, &database.url(), &files, "other").start().await;
    let images: Vec<Arc<Image>> = (0..2).map(|seed| Arc::new(Image::small(seed))).collect();
    for image in &images {
        image.push_blobs(&other.url(), "team/app").await;
    }
    images[0].push(&frozen.url(), "team/app", "latest").await;
    let pushing = Pushing::to(&frozen.url(), &images[0]);
    pushing.until_acknowledged(20).await;
    frozen.signal("STOP");
    // Its clients wait; what it carried is found out by the other door.
    let dead = async || database.run("SELECT count(*) FROM doors WHERE died IS NOT NULL").trim().to_owned();
    until_seen("it is taken for dead", SOON, dead, |seen| seen == "1").await;
    assert_eq!(put(&other.url(), &images[1], "latest").await, Some(StatusCode::CREATED));
    frozen.signal("CONT");
    pushing.until_acknowledged(20).await;
    let acknowledged = pushing.stop().await;
    let alive = async || database.run("SELECT count(*) FROM doors WHERE died IS NULL").trim().to_owned();
    until_seen("it has joined again", SOON, alive, |seen| seen == "2").await;
    for door in [&other, &frozen] {
        assert_nothing_is_asked_about(&door.url(), SOON).await;
        assert_in_step(&door.url(), &registry.url(), SOON).await;
    }
    assert_recorded(&other, acknowledged).await;
}

async fn assert_recorded(door: &Door, acknowledged: Vec<String>) {
    let (all, recorded) = (acknowledged.len(), record(&door.url()).await);
    let is_lost = |tag: &String| !recorded.contains_key(&("team/app".to_owned(), tag.clone()));
    let lost: Vec<String> = acknowledged.into_iter().filter(is_lost).collect();
    assert!(lost.is_empty(), "of {all} these are lost: {lost:?}");
}
