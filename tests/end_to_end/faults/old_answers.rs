//! Answers that are older than what the door has seen, and answers that are newer than what it knows.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::support::door::Door;
use crate::support::http::{delete, http_client};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::state::{ACCEPT_ALL, all, record};
use crate::support::sweep::{events, in_short, sweep};
use crate::support::wait::until;

const LIMIT: Duration = Duration::from_secs(30);

/// What a registry says of a manifest that it does not have.
fn not_there() -> Fault {
    Fault::Answer {
        status: 404,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.to_vec(),
    }
}

async fn tags(door: &Door) -> Vec<Value> {
    all(&door.url(), "/api/v1/tags?repository=team/app").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_takes_nothing_back_while_a_push_settles() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).set("SYNC__SETTLING", "1h").start().await;
    relay.script(|request| match request.method {
        Method::GET | Method::HEAD if request.path.contains("/manifests/") => not_there(),
        _ => Fault::None,
    });
    Image::small(1).push(&door.url(), "team/app", "v1").await;
    let before = tags(&door).await;
    let swept = sweep(&door, true).await;
    assert_eq!(swept["found"], 0, "{swept:#}");
    assert_eq!(tags(&door).await, before);
    assert_eq!(in_short(&events(&door).await), ["observed manifest_put team/app:v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_says_lastingly_is_the_end() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).set("SYNC__SETTLING", "3s").start().await;
    relay.script(|request| match request.method {
        Method::GET | Method::HEAD if request.path.contains("/manifests/") => not_there(),
        _ => Fault::None,
    });
    Image::small(1).push(&door.url(), "team/app", "v1").await;
    // The sweep comes too early, and leaves a hint.
    sweep(&door, true).await;
    until("the record says what the registry says", LIMIT, async || record(&door.url()).await.is_empty())
        .await;
    let events = in_short(&events(&door).await);
    assert_eq!(events[0], "observed manifest_put team/app:v1");
    assert!(events[1..].iter().any(|event| event.ends_with("tag_deleted team/app:v1")), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_the_registry_accepts_and_still_answers_is_told_with_its_actor_and_its_tag_goes_when_it_is_denied()
 {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).set("SYNC__SETTLING", "1h").start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "v1").await;
    // A deletion that the registry accepts and has not done yet.
    relay.script(|request| match request.method {
        Method::DELETE => Fault::Answer { status: 202, headers: Vec::new(), body: Vec::new() },
        _ => Fault::None,
    });
    let deleted = delete(&door.url(), "team/app", &image.digest).await;
    assert_eq!(deleted.status(), 202);
    sweep(&door, true).await;
    let history = events(&door).await;
    assert_eq!(
        in_short(&history),
        ["observed manifest_put team/app:v1", "observed manifest_deleted team/app"],
        "the tag may have been spared, or pushed again"
    );
    assert!(history[1]["actor"]["address"].is_string(), "{history:#?}");
    assert_eq!(tags(&door).await.len(), 1);
    assert_eq!(delete(&registry.url(), "team/app", &image.digest).await.status(), 202);
    sweep(&door, true).await;
    until("the tag is gone from the record", LIMIT, async || record(&door.url()).await.is_empty()).await;
    let history = in_short(&events(&door).await);
    assert!(history[2..].iter().any(|event| event.ends_with("tag_deleted team/app:v1")), "{history:?}");
    assert!(!history[2..].iter().any(|event| event.contains("manifest_put")), "{history:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_that_a_client_gets_for_what_is_recorded_leads_to_a_look_at_the_registry() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    for method in [Method::GET, Method::HEAD] {
        Image::small(1).push(&door.url(), "team/app", "v1").await;
        registry.lose_tag("team/app", "v1");
        let asked = http_client()
            .request(method, format!("{}/v2/team/app/manifests/v1", door.url()))
            .header("accept", ACCEPT_ALL)
            .send()
            .await
            .unwrap();
        assert_eq!(asked.status(), 404);
        until("the tag is gone from the record", LIMIT, async || record(&door.url()).await.is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_a_client_gets_and_the_record_does_not_have_is_recorded() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    Image::small(1).push(&door.url(), "team/app", "moved").await;
    let newer = Image::small(2);
    newer.push(&registry.url(), "team/app", "moved").await;
    newer.push(&registry.url(), "elsewhere", "new").await;
    for (method, path) in
        [(Method::HEAD, "team/app/manifests/moved"), (Method::GET, "elsewhere/manifests/new")]
    {
        let asked = http_client()
            .request(method, format!("{}/v2/{path}", door.url()))
            .header("accept", ACCEPT_ALL)
            .send()
            .await
            .unwrap();
        assert_eq!(asked.status(), 200);
    }
    until("both are recorded", LIMIT, async || {
        let record = record(&door.url()).await;
        record.len() == 2 && record.values().all(|digest| *digest == newer.digest)
    })
    .await;
}
