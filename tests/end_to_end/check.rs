//! `portreeve check`: what is as it should be, and what is not, in plain words.

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};

const TYPE: &str = "content-type";

async fn check(registry_url: &str, store: &Path) -> (bool, String) {
    let Output { status, stdout, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_portreeve"))
        .arg("check")
        .current_dir(store.parent().unwrap())
        .env("PORTREEVE__REGISTRY__URL", registry_url)
        .env("PORTREEVE__STORE__URL", format!("redb:{}", store.display()))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
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
    let door = Door::builder(registry.url()).store(&store).start().await;
    Image::small(1).push(&door.url(), "team/app", "through").await;
    Image::small(2).push(&registry.url(), "team/app", "around").await;
    let (good, said) = check(&registry.url(), &store).await;
    assert!(good, "{said}");
    assert_says(&said, &["in use by a running door", "has not ended a sweep yet"]);
    drop(door);
    let (good, said) = check(&registry.url(), &store).await;
    assert!(good, "{said}");
    assert_says(&said, &["lists 2 tags in 1 repositories", "does not know 1 of them, and knows 0 others"]);
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
    assert_says(&said, &["does not list its catalog", "405", "storage.delete.enabled"]);
    drop((relay, registry));
    let (good, said) = check("http://127.0.0.1:9", &store).await;
    assert!(!good, "{said}");
    assert_says(&said, &["does not answer", "registry.url"]);
    assert!(!store.exists(), "a check makes nothing");
}
