//! The store's file is taken away, replaced or damaged: what cannot be kept is not acknowledged, and it is said why.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::{SOON, unavailable};
use crate::support::binary::blocking_portreeve;
use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::metrics::metrics;
use crate::support::registry::Registry;
use crate::support::state::{ACCEPT_ALL, assert_in_step, record};
use crate::support::wait::{PAUSE, until};

/// A door whose store is in a directory that can be moved.
struct House {
    registry: Registry,
    door: Door,
    root: TempDir,
}

impl House {
    async fn open() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        let registry = Registry::start().await;
        let socket = root.path().join("socket").display().to_string();
        let door = Door::builder(registry.url()).store(root.path().join("data/record.redb"));
        let door = door.set("SERVER__SOCKET", socket).start().await;
        Self { registry, door, root }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Waits until the door is ready, or not, with these words.
    async fn until_readiness(&self, status: u16, words: &str) {
        let mut last = String::new();
        let what = format!("/readyz {status} {words:?}");
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let answer = http_client().get(format!("{}/readyz", self.door.admin())).send().await.unwrap();
            let answered = answer.status().as_u16();
            last.clear();
            last.push_str(&answer.text().await.unwrap());
            if answered == status && last.contains(words) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{what} was expected; last: {answered} {last}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until the metrics have this line.
    async fn until_metric(&self, line: &str) {
        until(line, SOON, async || metrics(&self.door).await.lines().any(|there| there == line)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_stores_directory_is_away_writes_are_refused_and_pulls_go_on() {
    let house = House::open().await;
    let door = house.door.url();
    Image::small(1).push(&door, "team/app", "kept").await;
    Image::small(2).push_blobs(&door, "team/app").await;

    fs::rename(house.at("data"), house.at("away")).unwrap();
    // At once, before anybody can have looked.
    unavailable(Image::small(2).put(&door, "team/app", "refused").await, 503).await;
    let refused = format!("{}/v2/team/app/manifests/refused", house.registry.url());
    assert_eq!(http_client().get(refused).send().await.unwrap().status(), 404, "the registry heard of it");
    house.until_readiness(503, "not at its path any more").await;
    let status = house.door.get_json("/api/v1/status").await;
    assert_eq!((&status["state"], &status["store"]["writable"]), (&"degraded".into(), &false.into()));
    assert!(status["store"]["trouble"].as_str().unwrap().contains("not at its path"), "{status}");
    house.until_metric("portreeve_store_trouble{cause=\"gone\"} 1").await;
    let error = |line: &str| line.contains("ERROR") && line.contains("until its file is back");
    // The log is written by a thread of its own.
    until("the log says so", SOON, async || house.door.log().lines().any(error)).await;
    let pulled = http_client().get(format!("{door}/v2/team/app/manifests/kept")).header("accept", ACCEPT_ALL);
    assert_eq!(pulled.send().await.unwrap().status(), 200);
    assert_eq!(record(&door).await.len(), 1);

    fs::rename(house.at("away"), house.at("data")).unwrap();
    house.until_readiness(200, "ready").await;
    Image::small(2).push(&door, "team/app", "later").await;
    house.until_metric("portreeve_store_trouble{cause=\"gone\"} 0").await;
    assert_in_step(&door, &house.registry.url(), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_put_over_the_running_doors_store_is_noticed_and_so_are_positions_behind_it() {
    let mut house = House::open().await;
    let door = house.door.url();
    Image::small(1).push(&door, "team/app", "one").await;
    let store = house.at("data/record.redb");
    fs::copy(&store, house.at("backup")).unwrap();
    Image::small(2).push(&door, "team/app", "two").await;
    let events = house.door.get_json("/api/v1/events").await;
    let (last, epoch) = (last_sequence(&events), events["epoch"].as_str().unwrap().to_owned());
    let identity = house.door.get_json("/api/v1/status").await["store"]["identity"].clone();
    let position = format!("/api/v1/events?after={last}&epoch={epoch}");
    assert_eq!(house.door.get_json(&position).await["items"], Value::Array(Vec::new()));

    // As `cp` does it: the same file with other content.
    fs::copy(house.at("backup"), &store).unwrap();
    Image::small(3).push_blobs(&door, "team/app").await;
    unavailable(Image::small(3).put(&door, "team/app", "refused").await, 503).await;
    house.until_readiness(503, "changed by another program").await;

    house.door.restart().await;
    let status = house.door.get_json("/api/v1/status").await;
    assert_eq!(status["store"]["identity"], identity, "a backup is the same store");
    for name in ["three", "four", "five"] {
        Image::small(4).push(&door, "team/app", name).await;
        let answer = http_client().get(format!("{door}{position}")).send().await.unwrap();
        assert_eq!(answer.status(), 409);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "history_replaced", "{body}");
    }
    let events = house.door.get_json("/api/v1/events").await;
    assert!(last_sequence(&events) > last);
}

fn last_sequence(events: &Value) -> u64 {
    events["items"].as_array().unwrap().last().unwrap()["sequence"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_refused_in_one_line_by_every_command_that_opens_it() {
    let mut house = House::open().await;
    let door = house.door.url();
    for number in 0..20 {
        Image::small(number).push(&door, &format!("team/app-{number}"), "one").await;
    }
    house.door.signal("TERM");
    assert!(house.door.wait_exit(SOON * 4).await.success());
    let store = house.at("data/record.redb");
    let whole = fs::read(&store).unwrap();
    let used: Vec<usize> = (1..whole.len() / 4096)
        .filter(|page| whole[page * 4096..][..4096].iter().any(|byte| *byte != 0))
        .collect();
    let mut refused = 0;
    // How many of them are free depends on what was written last.
    for page in used.iter().step_by(used.len().div_ceil(60)) {
        if refused >= 4 * 4 {
            break;
        }
        let mut damaged = whole.clone();
        damaged[page * 4096..][..64].fill(0xa5);
        fs::write(&store, &damaged).unwrap();
        for arguments in [&["user", "list"][..], &["token", "list"], &["sync"], &["serve"]] {
            let run = blocking_portreeve()
                .args(arguments)
                .env("PORTREEVE__STORE__URL", format!("redb:{}", store.display()))
                .env("PORTREEVE__REGISTRY__URL", house.registry.url())
                .env("PORTREEVE__LISTEN__DOOR", "127.0.0.1:0")
                .env("PORTREEVE__LISTEN__ADMIN", "127.0.0.1:0")
                .current_dir(house.root.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&run.stderr);
            // A page that is free still has what once was in it; a door would start.
            if arguments[0] == "user" && run.status.success() {
                break;
            }
            refused += 1;
            assert_eq!(run.status.code(), Some(2), "page {page}, {arguments:?}: {said}");
            assert_eq!(said.lines().count(), 1, "page {page}, {arguments:?}: {said}");
            for word in [store.to_str().unwrap(), "damaged", "backup"] {
                assert!(said.contains(word), "page {page}, {arguments:?}: {said}");
            }
        }
    }
    assert!(refused >= 4 * 4, "{refused}");
}
