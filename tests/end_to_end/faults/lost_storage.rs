//! The registry loses its storage and gets it back: nothing of the record is lost, and it is said what is wrong.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use super::SOON;
use crate::support::binary::portreeve;
use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::{all, record, truth};
use crate::support::sweep::{events, sweep, sweep_through};
use crate::support::wait::until;

/// More than are believed to go at once.
const TAGS: usize = 70;

/// A door with so many tags, each pushed through it.
async fn filled(registry: &Registry, store: &Path) -> Door {
    let door = Door::builder(registry.url()).store(store).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "v0").await;
    for number in 1..TAGS {
        let tagged = image.put(&door.url(), "team/app", &format!("v{number}")).await;
        assert_eq!(tagged.status(), 201);
    }
    Image::small(2).push(&door.url(), "other", "latest").await;
    door
}

async fn tags(door: &Door) -> Vec<Value> {
    all(&door.url(), "/api/v1/tags?repository=team/app&n=1000").await
}

/// Runs a command beside the door: exit code, and what it said.
async fn command(registry: &Registry, store: &Path, arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = portreeve()
        .args(arguments)
        .current_dir(store.parent().unwrap())
        .env("PORTREEVE__REGISTRY__URL", registry.url())
        .env("PORTREEVE__STORE__URL", format!("redb:{}", store.display()))
        .env("PORTREEVE__LISTEN__DOOR", "127.0.0.1:0")
        .env("PORTREEVE__LISTEN__ADMIN", "127.0.0.1:0")
        .env("PORTREEVE__SYNC__SETTLING", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(stdout).unwrap() + String::from_utf8(stderr).unwrap().as_str();
    (status.code().unwrap(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_storage_is_said_and_when_it_is_back_so_is_everything_that_was_known() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    let door = filled(&registry, &store).await;
    let pulled = http_client()
        .get(format!("{}/v2/team/app/manifests/v0", door.url()))
        .header("accept", "application/vnd.oci.image.manifest.v1+json")
        .send();
    assert_eq!(pulled.await.unwrap().status(), 200);
    let before = tags(&door).await;
    assert_eq!(before.len(), TAGS);

    registry.lose_storage();
    let (code, said) = command(&registry, &store, &["sync", "--deep"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("held: the registry denies") && said.contains("team/app ("), "{said}");
    let (code, said) = command(&registry, &store, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("sync --accept-removals") && said.contains("team/app ("), "{said}");
    // What is held is served as before, and said to be missing.
    let status = door.get_json("/api/v1/status").await;
    assert_eq!(status["state"], "degraded", "{status:#}");
    let held = status["store"]["missing"]["tags"].as_u64().unwrap();
    let kept = tags(&door).await;
    assert_eq!(kept.iter().filter(|tag| tag["missing_since"].is_string()).count() as u64, held);
    assert!(held >= (TAGS as u64 + 1) - 50, "{status:#}");
    let removals = door.get_json("/api/v1/removals").await;
    assert!(removals["items"].as_array().unwrap().iter().any(|item| item["repository"] == "team/app"));
    let ready = http_client().get(format!("{}/readyz", door.admin())).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    until("the log asks", SOON, async || door.log().contains("Is the registry's storage there?")).await;
    // Another sweep changes nothing.
    let again = sweep(&door, true).await;
    assert_eq!((again["found"].as_u64(), tags(&door).await.len()), (Some(0), kept.len()), "{again:#}");

    registry.regain_storage();
    sweep_through(&door, false).await;
    sweep_through(&door, true).await;
    let mut after = tags(&door).await;
    assert_eq!(door.get_json("/api/v1/status").await["store"]["missing"], json!({"tags": 0, "manifests": 0}));
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    // The pull of before may have been counted meanwhile.
    let mut before = before;
    for tag in before.iter_mut().chain(&mut after) {
        tag["pulls"].take();
        tag["last_pull"].take();
    }
    assert_eq!(after, before, "authors, times, sources");
    let events = events(&door).await;
    let kinds = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!(kinds("tag_restored"), kinds("tag_deleted"));
    let (code, said) = command(&registry, &store, &["sync"]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_for_good_goes_when_the_operator_says_so() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    let door = filled(&registry, &store).await;
    registry.lose_storage();
    let held = sweep(&door, false).await;
    assert!(held["held"]["tags"].as_u64().unwrap() > 0, "{held:#}");
    let (code, said) = command(&registry, &store, &["sync", "--accept-removals"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    assert_eq!(record(&door.url()).await.len(), 0);
    assert_eq!(door.get_json("/api/v1/status").await["state"], "ready");
    // Who pushed it is still known.
    let history = events(&door).await;
    assert_eq!(history.iter().filter(|event| event["kind"] == "manifest_put").count(), TAGS + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_door_a_sweep_holds_and_accepts_as_well() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    filled(&registry, &store).await.kill().await;
    registry.lose_storage();
    let (code, said) = command(&registry, &store, &["sync"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("held: the registry denies"), "{said}");
    let (code, said) = command(&registry, &store, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    let (code, said) = command(&registry, &store, &["sync", "--accept-removals"]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lasting_loss_is_believed_without_anybody_when_patience_is_over() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    filled(&registry, &store).await.kill().await;
    let door = Door::builder(registry.url()).store(&store).set("SYNC__REMOVAL_PATIENCE", "1ms").start().await;
    registry.lose_storage();
    sweep(&door, false).await;
    sweep(&door, true).await;
    sweep_through(&door, true).await;
    assert_eq!(record(&door.url()).await.len(), 0);
    assert_eq!(door.get_json("/api/v1/status").await["state"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_deletes_and_one_repository_that_vanishes_are_not_held() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    let door = filled(&registry, &store).await;
    registry.lose_repository("other");
    sweep_through(&door, false).await;
    let image = Image::small(1);
    let deleted = http_client()
        .delete(format!("{}/v2/team/app/manifests/{}", door.url(), image.digest))
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.status(), 202);
    sweep_through(&door, true).await;
    assert_eq!(record(&door.url()).await.len(), 0);
    assert_eq!(door.get_json("/api/v1/status").await["store"]["missing"], json!({"tags": 0, "manifests": 0}));
}
