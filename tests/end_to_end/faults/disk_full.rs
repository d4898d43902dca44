//! The disk with the store is full: writes are refused before the registry hears of them, pulls go on, and writes work
//! again when there is room.

use super::{SOON, unavailable};
use crate::support::disk::Disk;
use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::Relay;
use crate::support::state::{assert_in_step, record};
use crate::support::wait::until;

struct House {
    door: Door,
    disk: Disk,
    registry: Registry,
    relay: Relay,
}

impl House {
    async fn open() -> Self {
        let disk = Disk::mount("16m");
        let registry = Registry::start().await;
        let relay = Relay::start(&registry.url()).await;
        let door = Door::builder(relay.url()).set("REGISTRY__TIMEOUT", "5s");
        let door = door.store(disk.path().join("record.redb")).start().await;
        Self { door, disk, registry, relay }
    }

    /// Whether the registry was sent this tag.
    fn heard_of(&self, tag: &str) -> bool {
        self.relay.seen().iter().any(|line| *line == format!("PUT /v2/team/app/manifests/{tag}"))
    }

    async fn readiness(&self) -> (u16, String) {
        let response = http_client().get(format!("{}/readyz", self.door.url())).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Puts manifests until the store has taken what it had room for
    /// and refuses before the registry hears of it. What it had room to announce
    /// and not to record is refused as well, and asked about later.
    async fn put_until_full(&self) {
        for number in 0..500 {
            let (tag, image) = (format!("fill-{number}"), Image::heavy(number, 48 * 1024));
            let response = image.put(&self.door.url(), "team/app", &tag).await;
            if response.status() == 201 {
                continue;
            }
            unavailable(response, 503).await;
            if !self.heard_of(&tag) {
                return;
            }
        }
        panic!("the store was never full");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_before_the_registry_hears_of_them_and_heals_without_a_restart() {
    let house = House::open().await;
    let door = house.door.url();
    let image = Image::small(1);
    image.push(&door, "team/app", "latest").await;
    Image::heavy(0, 0).push_blobs(&door, "team/app").await;

    house.disk.fill();
    house.put_until_full().await;
    let before = record(&door).await;
    for number in 0..5 {
        let tag = format!("refused-{number}");
        let message = unavailable(Image::heavy(number, 1024).put(&door, "team/app", &tag).await, 503).await;
        assert!(message.contains("record"), "{message}");
        assert!(!house.heard_of(&tag));
    }
    assert_eq!(house.readiness().await.0, 503);
    assert!(house.readiness().await.1.contains("the store"), "{:?}", house.readiness().await);
    assert_eq!(house.door.get_json("/api/v1/status").await["store"]["writable"], false);

    // Pulls and blob pushes go on.
    let client = http_client();
    let pulled =
        client.get(format!("{door}/v2/team/app/manifests/latest")).header("accept", &image.media_type);
    assert_eq!(pulled.send().await.unwrap().bytes().await.unwrap(), image.manifest);
    let (digest, bytes) = &image.blobs[1];
    let pulled = client.get(format!("{door}/v2/team/app/blobs/{digest}")).send().await.unwrap();
    assert_eq!(pulled.bytes().await.unwrap(), bytes);
    let last = Image::small(2);
    last.push_blobs(&door, "team/app").await;
    assert_eq!(record(&door).await, before);

    house.disk.clear();
    until("a push succeeds again", SOON, async || last.put(&door, "team/app", "last").await.status() == 201)
        .await;
    until("ready again", SOON, async || house.readiness().await.0 == 200).await;
    assert_in_step(&door, &house.registry.url(), SOON).await;
    // One whose outcome could not be recorded is asked about until it cannot change any more.
    until("no open intents", 3 * SOON, async || {
        house.door.get_json("/api/v1/status").await["open_intents"] == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_under_many_pushes_at_once_loses_none_that_was_acknowledged() {
    let mut house = House::open().await;
    let door = house.door.url();
    Image::heavy(0, 0).push_blobs(&door, "team/app").await;
    house.disk.fill();
    let workers: Vec<_> = (0..8_u64)
        .map(|worker| {
            let door = door.clone();
            tokio::spawn(async move {
                let client = http_client();
                let mut acknowledged = Vec::new();
                for number in 0..60 {
                    let (tag, image) =
                        (format!("fill-{worker}-{number}"), Image::heavy(worker * 1000 + number, 32 * 1024));
                    let response = image.put_by(&client, &door, "team/app", &tag).await.unwrap();
                    match response.status().as_u16() {
                        201 => acknowledged.push((tag, image.digest)),
                        503 => {}
                        other => panic!("{other} to {tag}"),
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for worker in workers {
        acknowledged.extend(worker.await.unwrap());
    }
    assert!(acknowledged.len() < 480, "the disk was never full");
    let has_all = |record: &crate::support::state::State| {
        let key = |tag: &String| ("team/app".to_owned(), tag.clone());
        acknowledged.iter().all(|(tag, digest)| record.get(&key(tag)) == Some(digest))
    };
    assert!(has_all(&record(&door).await));
    // A crash while the disk is full loses nothing either, and the door comes back as soon as there is room.
    house.door.kill().await;
    house.disk.clear();
    house.door.restart().await;
    assert!(has_all(&record(&door).await));
    assert_in_step(&door, &house.registry.url(), SOON).await;
}
