//! `portreeve check`: what is as it should be, and what is not, in plain words.

mod agreement;
mod intentions;

use std::path::Path;
use std::process::{Output, Stdio};

use crate::support::binary::portreeve;
use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::sweep::sweep_through;
use crate::support::wait::until;

const TYPE: &str = "content-type";
const SOON: std::time::Duration = std::time::Duration::from_secs(30);

async fn check(registry_url: &str, store: &Path) -> (bool, String) {
    let Output { status, stdout, stderr, .. } = portreeve()
        .arg("check")
        .current_dir(store.parent().unwrap())
        .env("PORTREEVE__LISTEN__DOOR", "127.0.0.1:0")
        .env("PORTREEVE__LISTEN__ADMIN", "127.0.0.1:0")
        .env("PORTREEVE__REGISTRY__URL", registry_url)
        .env("PORTREEVE__STORE__URL", format!("redb:{}", store.display()))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(stdout).unwrap() + String::from_utf8(stderr).unwrap().as_str();
    (status.success(), said)
}

fn assert_says(said: &str, sentences: &[&str]) {
    for sentence in sentences {
        assert!(said.contains(sentence), "{sentence:?} is not in:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_can_be_swept_is_told_with_what_it_allows_and_how_the_record_stands() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    let (good, said) = check(&registry.url(), &store).await;
    assert!(good, "{said}");
    assert_says(
        &said,
        &[
            "registry/2.0",
            "deletes manifests",
            "lists its catalog: it can be swept",
            "clock is",
            "will be made at the first start",
        ],
    );
    let mut door = Door::builder(registry.url()).store(&store).start().await;
    Image::small(1).push(&door.url(), "team/app", "through").await;
    Image::small(2).push(&registry.url(), "team/app", "around").await;
    let (good, said) = check(&registry.url(), &store).await;
    assert!(good, "{said}");
    let different = "lists 2 tags in 1 repositories; the store does not know 1 of them, and knows 0 others";
    assert_says(&said, &["in use by a running door", "has not ended a sweep yet", different]);
    sweep_through(&door, false).await;
    let (good, said) = check(&registry.url(), &store).await;
    assert!(good, "{said}");
    assert_says(&said, &["in step", "agree by name: 2 tags in 1 repositories"]);
    Image::small(3).push(&registry.url(), "team/app", "around-again").await;
    door.kill().await;
    let (good, said) = check(&registry.url(), &store).await;
    assert!(good, "{said}");
    assert_says(&said, &["lists 3 tags in 1 repositories", "does not know 1 of them, and knows 0 others"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_a_catalog_or_deletion_or_within_reach_is_told_with_a_remedy() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    relay.script(|request| match (request.method.as_str(), request.path.as_str()) {
        (_, "/v2/_catalog") => Fault::Answer {
            status: 405,
            headers: vec![(TYPE.to_owned(), "application/json".to_owned())],
            body: br#"{"errors":[{"code":"UNSUPPORTED"}]}"#.to_vec(),
        },
        ("DELETE", _) => Fault::RefuseBefore(405),
        _ => Fault::None,
    });
    let (good, said) = check(&relay.url(), &store).await;
    assert!(!good, "{said}");
    assert_says(
        &said,
        &["does not list its catalog", "405", "storage.delete.enabled", "will be made at the first start"],
    );
    let mut door = Door::builder(registry.url()).store(&store).start().await;
    let (_, said) = check(&relay.url(), &store).await;
    assert_says(&said, &["Whether store and registry agree is not known"]);
    door.kill().await;
    std::fs::remove_file(&store).unwrap();
    drop((relay, registry));
    let (good, said) = check("http://127.0.0.1:9", &store).await;
    assert!(!good, "{said}");
    assert_says(&said, &["refuses connections", "registry.url"]);
    assert!(!store.exists(), "a check makes nothing");
}

/// What a relay says for a registry, as JSON.
fn json(status: u16, header: (&str, String), body: &str) -> Fault {
    let headers = vec![(TYPE.to_owned(), "application/json".to_owned()), (header.0.to_owned(), header.1)];
    Fault::Answer { status, headers, body: body.as_bytes().to_vec() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_by_more_than_clock_warn_is_told_as_such() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    relay.script(|request| match request.path.as_str() {
        "/v2/" => json(200, ("date", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()), "{}"),
        _ => Fault::None,
    });
    let (good, said) = check(&relay.url(), &store).await;
    assert!(good, "the door works all the same: {said}");
    let line = said.lines().find(|line| line.contains("clock is")).unwrap();
    assert!(line.starts_with("warn ") && line.contains("more than clock.warn"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_wants_credentials_is_told_with_the_key_that_gives_some() {
    let registry = Registry::start_with_password("door", "secret").await;
    let directory = tempfile::tempdir().unwrap();
    let (good, said) = check(&registry.url(), &directory.path().join("portreeve.redb")).await;
    assert!(!good, "{said}");
    assert_says(&said, &["wants credentials (401 Unauthorized to /v2/)", "set registry.auth"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_goes_round_in_circles_is_told_and_not_followed_for_ever() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    drop(Door::builder(registry.url()).store(&store).start().await);
    let pages = std::sync::atomic::AtomicUsize::new(0);
    relay.script(move |request| match request.path.as_str() {
        "/v2/_catalog" => {
            let page = pages.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 2;
            let link = format!("</v2/_catalog?last={page}>; rel=\"next\"");
            json(200, ("link", link), r#"{"repositories": []}"#)
        }
        _ => Fault::None,
    });
    let (good, said) = check(&relay.url(), &store).await;
    assert!(!good, "{said}");
    assert_says(&said, &["cannot be compared", "goes round in circles"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_made_is_told_before_the_door_starts() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("link.redb");
    std::os::unix::fs::symlink(directory.path().join("nowhere.redb"), &link).unwrap();
    let (good, said) = check(&registry.url(), &link).await;
    assert!(!good, "{said}");
    assert_says(&said, &["is a symbolic link to a file that is not there"]);
    let output = portreeve()
        .arg("check")
        .current_dir(directory.path())
        .env("PORTREEVE__LISTEN__DOOR", "127.0.0.1:0")
        .env("PORTREEVE__LISTEN__ADMIN", "127.0.0.1:0")
        .env("PORTREEVE__REGISTRY__URL", registry.url())
        .env("PORTREEVE__STORE__URL", format!("redb:{}/none/store.redb", directory.path().display()))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_says(
        &String::from_utf8(output.stdout).unwrap(),
        &["cannot create the store", "its directory must exist"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_taken_from_the_running_door_is_told_with_its_reason() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    let door = Door::builder(registry.url()).store(&store).start().await;
    Image::small(1).push(&door.url(), "team/app", "v1").await;
    for is_moved in [true, false] {
        if is_moved {
            std::fs::rename(&store, directory.path().join("away.redb")).unwrap();
        } else {
            std::fs::rename(directory.path().join("away.redb"), &store).unwrap();
            std::fs::OpenOptions::new().write(true).open(&store).unwrap().set_len(4096).unwrap();
        }
        until("check tells it", SOON, async || {
            let (good, said) = check(&registry.url(), &store).await;
            !good && said.contains("the store cannot be written")
        })
        .await;
    }
}
