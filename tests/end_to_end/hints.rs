//! Hints and last pulls: the scenarios N1 to N6 of what notifications have to lead to, and to what they must not.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::support::door::{Door, DoorBuilder};
use crate::support::http::{delete, http_client};
use crate::support::image::{Image, digest};
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::scripted::Scripted;
use crate::support::state::{ACCEPT_ALL, record, truth};
use crate::support::sweep::{events, in_short};
use crate::support::wait::until;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const SOON: Duration = Duration::from_secs(10);
/// Pulls are written down every ten seconds.
const FLUSHED: Duration = Duration::from_secs(20);

fn door(registry_url: &str) -> DoorBuilder {
    Door::builder(registry_url).set("NOTIFICATIONS__SECRET", TOKEN)
}

async fn send(door: &Door, envelope: &Value) -> Response {
    let url = format!("{}/api/v1/notifications", door.url());
    let request = http_client().post(url).bearer_auth(TOKEN);
    let request = request.header("content-type", "application/vnd.docker.distribution.events.v1+json");
    request.body(envelope.to_string()).send().await.unwrap()
}

/// Sends events, which have to be taken: how many were accepted, skipped and refused.
async fn notify(door: &Door, events: Value) -> [u64; 3] {
    let response = send(door, &json!({ "events": events })).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let taken: Value = response.json().await.unwrap();
    ["accepted", "skipped", "refused"].map(|name| taken[name].as_u64().unwrap())
}

fn event(action: &str, repository: &str, tag: &str, digest: &str) -> Value {
    json!({
        "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7",
        "timestamp": "2016-03-09T14:44:26.402973972-08:00",
        "action": action,
        "target": {"repository": repository, "tag": tag, "digest": digest, "length": 7},
        "request": {"host": "elsewhere.test", "method": "PUT"},
        "actor": {"name": "nobody in particular"},
    })
}

/// Waits until all hints were followed.
async fn until_followed(door: &Door) {
    until("all hints are followed", SOON, async || {
        door.get_json("/api/v1/status").await["hints"]["waiting"] == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_push_delete_pull_and_an_old_push_in_one_envelope_are_each_handled_once() {
    let registry = Registry::start().await;
    let door = door(&registry.url()).start().await;
    let (pushed, deleted, old) = (Image::small(1), Image::small(2), Image::small(3));
    deleted.push(&door.url(), "team/app", "gone").await;
    delete(&registry.url(), "team/app", &deleted.digest).await;
    pushed.push(&registry.url(), "team/app", "new").await;
    old.push(&door.url(), "team/app", "old").await;
    let before = events(&door).await.len();
    let envelope = json!([
        event("push", "team/app", "new", &pushed.digest),
        event("delete", "team/app", "", &deleted.digest),
        event("pull", "team/app", "old", &old.digest),
        event("push", "team/app", "old", &old.digest),
    ]);
    assert_eq!(notify(&door, envelope.clone()).await, [4, 0, 0]);
    until_followed(&door).await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    let mut news = in_short(&events(&door).await[before..]);
    news.sort();
    assert_eq!(
        news,
        [
            "hinted manifest_deleted team/app",
            "hinted manifest_put team/app:new",
            "hinted tag_deleted team/app:gone"
        ]
    );
    // The same once more has no effect.
    assert_eq!(notify(&door, envelope).await, [4, 0, 0]);
    until_followed(&door).await;
    assert_eq!(events(&door).await.len(), before + 3);
    // Pulls are written down now and then.
    let mut known = Value::Null;
    until("the pull is written down", FLUSHED, async || {
        known = door.get_json("/api/v1/repositories").await["items"][0].take();
        known["last_pull"].is_string()
    })
    .await;
    assert_eq!(known["last_pull"], "2016-03-09T22:44:26.402Z");
    assert_eq!(known["pulls"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn n2_every_type_of_manifest_leads_to_the_record() {
    let registry = Registry::start().await;
    let door = door(&registry.url()).start().await;
    let (oci, docker) = (Image::small(1), Image::docker(2));
    let (index, list) = (Image::index(&[&oci]), Image::docker_list(&[&docker]));
    let artifact = Image::about(&oci, 3);
    let kinds =
        [("oci", &oci), ("docker", &docker), ("index", &index), ("list", &list), ("artifact", &artifact)];
    let mut hints = Vec::new();
    for (tag, image) in kinds {
        image.push(&registry.url(), "team/app", tag).await;
        let mut hint = event("push", "team/app", tag, &image.digest);
        hint["target"]["mediaType"] = json!(image.media_type);
        hints.push(hint);
    }
    let types: Vec<_> = kinds.iter().map(|(_, image)| image.media_type.as_str()).collect();
    for real in [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ] {
        assert!(types.contains(&real), "{real} is not in {types:?}");
    }
    assert_eq!(notify(&door, Value::Array(hints)).await, [5, 0, 0]);
    until_followed(&door).await;
    let recorded = record(&door.url()).await;
    assert_eq!(recorded.len(), 5);
    assert_eq!(recorded, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn n2_a_type_that_nobody_knows_leads_to_the_record_too() {
    let registry = Scripted::start().await;
    let door = door(&registry.url()).start().await;
    let mut strange = Image::small(1);
    strange.media_type = "application/vnd.example.strange.v7+json".to_owned();
    registry.hold("team/app", "strange", &strange);
    let mut hint = event("push", "team/app", "strange", &strange.digest);
    hint["target"]["mediaType"] = json!(strange.media_type);
    assert_eq!(notify(&door, json!([hint])).await, [1, 0, 0]);
    until_followed(&door).await;
    assert_eq!(record(&door.url()).await, registry.truth());
    let tags = door.get_json("/api/v1/tags?repository=team/app").await;
    assert_eq!(tags["items"][0]["media_type"], strange.media_type);
}

#[tokio::test(flavor = "multi_thread")]
async fn n3_an_event_of_an_unknown_host_user_and_namespace_is_verified_all_the_same() {
    let registry = Registry::start().await;
    let door = door(&registry.url()).start().await;
    let image = Image::small(1);
    image.push(&registry.url(), "never/seen/before", "latest").await;
    notify(&door, json!([event("push", "never/seen/before", "latest", &image.digest)])).await;
    until_followed(&door).await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn n4_an_event_without_a_tag_is_verified_by_its_digest_and_garbage_spoils_nothing() {
    let registry = Registry::start().await;
    let door = door(&registry.url()).start().await;
    let image = Image::small(1);
    image.push_blobs(&registry.url(), "team/app").await;
    assert_eq!(image.put(&registry.url(), "team/app", &image.digest).await.status(), 201);
    let mut untyped = event("push", "team/app", "", &image.digest);
    untyped["target"]["mediaType"] = Value::Null;
    let mut blob = event("push", "team/app", "", &digest(b"layer"));
    blob["target"]["mediaType"] = json!("application/octet-stream");
    let garbage = json!({"action": 7, "target": {"repository": "../etc", "tag": ["x"]}});
    assert_eq!(notify(&door, json!([garbage, "text", untyped, blob])).await, [1, 1, 2]);
    until_followed(&door).await;
    let path = format!("/api/v1/manifests?repository=team/app&digest={}", image.digest);
    assert_eq!(door.get_json(&path).await["source"], "hinted");
    for wrong in [json!([]), json!({"events": 1}), json!(null)] {
        assert_eq!(send(&door, &wrong).await.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn n5_a_forged_event_changes_nothing() {
    let registry = Registry::start().await;
    let door = door(&registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "latest").await;
    let before = events(&door).await;
    let forged = digest(b"forged");
    notify(
        &door,
        json!([
            event("push", "team/app", "never-pushed", &forged),
            event("push", "team/app", "latest", &forged),
            event("delete", "team/app", "latest", &image.digest),
            event("push", "no/such/repository", "latest", &forged),
        ]),
    )
    .await;
    until_followed(&door).await;
    assert_eq!(events(&door).await, before);
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn n6_a_hint_that_could_not_be_followed_is_followed_after_a_crash() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let mut door = door(&relay.url()).start().await;
    let image = Image::small(1);
    image.push(&registry.url(), "team/app", "latest").await;
    relay.script(|request| match request.path.contains("/manifests/") {
        true => Fault::RefuseBefore(503),
        false => Fault::None,
    });
    notify(&door, json!([event("push", "team/app", "latest", &image.digest)])).await;
    until("the registry was asked in vain", SOON, async || {
        relay.seen().iter().any(|seen| seen.contains("/manifests/"))
    })
    .await;
    door.restart().await;
    relay.script(|_| Fault::None);
    until("it is recorded", SOON, async || record(&door.url()).await.len() == 1).await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_that_could_not_be_followed_is_followed_when_the_registry_is_back_and_holds_up_no_other() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = door(&relay.url()).set("REGISTRY__TIMEOUT", "2s").start().await;
    let (first, second) = (Image::small(1), Image::small(2));
    first.push(&registry.url(), "team/broken", "latest").await;
    second.push(&registry.url(), "team/sound", "latest").await;
    relay.script(|request| match request.path.contains("/team/broken/manifests/") {
        true => Fault::HangBefore,
        false => Fault::None,
    });
    notify(&door, json!([event("push", "team/broken", "latest", &first.digest)])).await;
    until("the registry was asked in vain", SOON, async || {
        relay.seen().iter().any(|seen| seen.contains("/team/broken/manifests/"))
    })
    .await;
    notify(&door, json!([event("push", "team/sound", "latest", &second.digest)])).await;
    until("the sound one is recorded", SOON, async || record(&door.url()).await.len() == 1).await;
    assert!(door.get_json("/api/v1/status").await["hints"]["waiting"].as_u64() > Some(0));
    relay.script(|_| Fault::None);
    // The door waits for what hangs, and pauses, before it asks again.
    until("both are recorded", SOON * 3, async || record(&door.url()).await.len() == 2).await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registrys_own_notifications_lead_to_the_record() {
    let example = include_str!("../../config/registry-notifications.yml");
    // The door has to be known to the registry, and the registry to the door.
    let relay = Relay::start("http://127.0.0.1:9").await;
    let door = door(&relay.url()).start_listening().await;
    let notifications =
        example.replace("http://127.0.0.1:5000", &door.url()).replace("put-a-long-random-one-here", TOKEN);
    assert!(notifications.contains(TOKEN) && notifications.contains(&door.url()));
    let registry = Registry::start_notifying(&notifications).await;
    relay.lead_to(&registry.url());
    let (first, second) = (Image::small(1), Image::small(2));
    first.push(&registry.url(), "team/app", "first").await;
    second.push(&registry.url(), "team/app", "second").await;
    until("both are recorded", SOON, async || record(&door.url()).await.len() == 2).await;
    delete(&registry.url(), "team/app", &first.digest).await;
    until("the deletion is recorded", SOON, async || record(&door.url()).await.len() == 1).await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_need_the_secret_and_are_off_without_one() {
    let registry = Registry::start().await;
    let closed = Door::builder(registry.url()).start().await;
    assert_eq!(send(&closed, &json!({"events": []})).await.status(), StatusCode::NOT_FOUND);
    let open = door(&registry.url()).start().await;
    assert_eq!(send(&open, &json!({"events": []})).await.status(), StatusCode::ACCEPTED);
    let url = format!("{}/api/v1/notifications", open.url());
    for request in [http_client().post(&url), http_client().post(&url).bearer_auth(&TOKEN[1..])] {
        let response = request.body(r#"{"events": []}"#).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    let long = json!({"events": ["x".repeat(1024 * 1024)]});
    assert_eq!(send(&open, &long).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!open.whole_log().await.contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_through_the_door_are_counted_and_outlive_it_and_a_head_is_none() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "latest").await;
    let url = |reference: &str| format!("{}/v2/team/app/manifests/{reference}", door.url());
    let client = http_client();
    for request in [
        client.get(url("latest")),
        client.get(url(&image.digest)),
        client.get(url("latest")),
        client.head(url("latest")),
        client.get(url("none")),
    ] {
        request.header("accept", ACCEPT_ALL).send().await.unwrap().bytes().await.unwrap();
    }
    door.signal("TERM");
    assert!(door.wait_exit(SOON).await.success());
    door.restart().await;
    let known = door.get_json("/api/v1/repositories").await["items"][0].take();
    assert_eq!(known["pulls"], 3, "{known}");
    assert!(known["last_pull"].as_str() > known["last_push"].as_str(), "{known}");
    let tag = door.get_json("/api/v1/tags?repository=team/app").await["items"][0].take();
    assert_eq!(tag["pulls"], 2, "{tag}");
    assert!(tag["last_pull"].is_string(), "{tag}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_and_an_answer_that_nothing_has_changed_show_that_a_tag_is_used_and_a_pull_by_digest_counts_for_it()
 {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    for tag in ["head", "unchanged", "pulled", "unused"] {
        image.push(&door.url(), "team/app", tag).await;
    }
    let url = |reference: &str| format!("{}/v2/team/app/manifests/{reference}", door.url());
    let client = http_client();
    let ask = async |request: reqwest::RequestBuilder| {
        let response = request.header("accept", ACCEPT_ALL).send().await.unwrap();
        let status = response.status();
        response.bytes().await.unwrap();
        status
    };
    assert_eq!(ask(client.head(url("head"))).await, 200);
    let quoted = format!("\"{}\"", image.digest);
    assert_eq!(ask(client.get(url("unchanged")).header("if-none-match", quoted)).await, 304);
    // What containerd does when it pulls a tag.
    assert_eq!(ask(client.head(url("pulled"))).await, 200);
    assert_eq!(ask(client.get(url(&image.digest))).await, 200);
    door.signal("TERM");
    assert!(door.wait_exit(SOON).await.success());
    door.restart().await;
    let tags = door.get_json("/api/v1/tags?repository=team/app").await;
    let shown: Vec<_> = tags["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| {
            let [seen, pulled] = ["last_seen", "last_pull"].map(|time| tag[time].is_string());
            (tag["tag"].as_str().unwrap(), tag["pulls"].as_u64().unwrap(), seen, pulled)
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("head", 0, true, false),
            ("pulled", 1, true, true),
            ("unchanged", 0, true, false),
            ("unused", 0, false, false),
        ]
    );
}
