//! Several backends of one registry: they share their storage, but no upload session.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::{append, begin, bytes, finish};
use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::{Image, digest};
use crate::support::registry::Registry;
use crate::support::relay::Relay;
use crate::support::state::{ACCEPT_ALL, assert_in_step};

const SOON: Duration = Duration::from_secs(20);

/// The backends' own sessions among the requests that a relay has seen.
fn sessions(relay: &Relay) -> BTreeSet<String> {
    let seen = relay.seen();
    let ids = seen.iter().filter_map(|line| line.split("/blobs/uploads/").nth(1));
    ids.filter(|id| !id.is_empty()).map(|id| id.split('?').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_session_stays_on_its_backend() {
    let first = Registry::start().await;
    let second = first.start_beside().await;
    let relays = [Relay::start(&first.url()).await, Relay::start(&second.url()).await];
    let door = Door::builder(format!("{},{}", relays[0].url(), relays[1].url())).start().await;
    let client = http_client();
    for seed in 0..6 {
        let blob = bytes(seed, 30_000);
        let session = begin(&client, &door, "a").await;
        let session = append(&client, &door, &session, blob.slice(..10_000)).await;
        let session = append(&client, &door, &session, blob.slice(10_000..20_000)).await;
        assert_eq!(client.get(&session).send().await.unwrap().status(), 204);
        let at = finish(&client, &door, &session, &digest(&blob), blob.slice(20_000..)).await;
        assert!(!at.contains('?'), "a blob is on every backend: {at}");
        assert_eq!(client.get(at).send().await.unwrap().bytes().await.unwrap(), blob);
        // One that is cancelled.
        let session = begin(&client, &door, "a").await;
        assert_eq!(client.delete(&session).send().await.unwrap().status(), 204);
    }
    let (left, right) = (sessions(&relays[0]), sessions(&relays[1]));
    assert!(!left.is_empty() && !right.is_empty(), "one backend got all: {left:?} {right:?}");
    assert!(left.is_disjoint(&right), "{left:?} {right:?}");
    for line in relays.iter().flat_map(Relay::seen) {
        assert!(!line.contains("_portreeve"), "the registry was shown {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_and_pushes_go_on_when_a_backend_is_gone() {
    let mut first = Registry::start().await;
    let second = first.start_beside().await;
    let door = Door::builder(format!("{},{}", first.url(), second.url())).start().await;
    let client = http_client();
    let image = Image::small(1);
    image.push(&door.url(), "a", "tag").await;
    first.stop().await;
    let urls = image.blobs.iter().map(|(digest, _)| format!("{}/v2/a/blobs/{digest}", door.url()));
    let urls: Vec<_> = urls.chain([format!("{}/v2/a/manifests/tag", door.url())]).collect();
    for round in 0..10 {
        for url in &urls {
            let response = client.get(url).header("accept", ACCEPT_ALL).send().await.unwrap();
            assert_eq!(response.status(), 200, "{url} in round {round}");
        }
    }
    for seed in 2..6 {
        Image::small(seed).push(&door.url(), "a", &format!("tag{seed}")).await;
    }
    let status = door.get_json("/api/v1/status").await;
    assert_eq!(
        (status["state"].as_str(), status["registry"]["reachable"].as_bool()),
        (Some("ready"), Some(true))
    );
    let healthy = |status: &serde_json::Value| status["registry"]["backends"][0]["healthy"].clone();
    assert_eq!(healthy(&status), false);
    first.restart().await;
    crate::support::wait::until("the backend is taken again", Duration::from_secs(20), async || {
        healthy(&door.get_json("/api/v1/status").await) == true
    })
    .await;
    assert_in_step(&door.url(), &second.url(), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_session_whose_backend_is_gone_fails_and_another_one_can_begin() {
    let mut first = Registry::start().await;
    let second = first.start_beside().await;
    let door = Door::builder(format!("{},{}", first.url(), second.url())).start().await;
    let client = http_client();
    let blob = bytes(7, 1000);
    let sessions = [begin(&client, &door, "a").await, begin(&client, &door, "a").await];
    first.stop().await;
    let mut statuses = Vec::new();
    for session in &sessions {
        let url = format!("{session}&digest={}", digest(&blob));
        statuses.push(client.put(url).body(blob.clone()).send().await.unwrap().status().as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 502], "one session on each backend");
    let session = begin(&client, &door, "a").await;
    let session = append(&client, &door, &session, blob.clone()).await;
    finish(&client, &door, &session, &digest(&blob), Bytes::new()).await;
}
