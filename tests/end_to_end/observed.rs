//! Writes that the door carries, and what the record makes of them.

use std::time::Duration;

use serde_json::Value;

use crate::support::door::Door;
use crate::support::http::{client_builder, delete, error_of};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::state::{assert_in_step, record, truth};
use crate::support::sweep::{events, in_short};

const SOON: Duration = Duration::from_secs(20);

fn key(repository: &str, tag: &str) -> (String, String) {
    (repository.to_owned(), tag.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn r1_a_tag_pushed_again_is_a_new_event_and_the_old_digest_stays_in_the_history() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (old, new) = (Image::small(1), Image::small(2));
    old.push(&door.url(), "team/app", "latest").await;
    new.push(&door.url(), "team/app", "latest").await;
    let events = events(&door).await;
    assert_eq!(in_short(&events), ["observed manifest_put team/app:latest"; 2]);
    assert_eq!((&events[0]["digest"], &events[0]["previous"]), (&old.digest.as_str().into(), &Value::Null));
    assert_eq!(
        (&events[1]["digest"], &events[1]["previous"]),
        (&new.digest.as_str().into(), &old.digest.as_str().into())
    );
    assert_eq!(record(&door.url()).await[&key("team/app", "latest")], new.digest);
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r2_one_image_in_two_repositories_is_removed_from_one_and_stays_in_the_other() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    for repository in ["team/app", "other"] {
        image.push(&door.url(), repository, "latest").await;
    }
    Image::small(2).push(&door.url(), "third", "latest").await;
    assert_eq!(delete(&door.url(), "team/app", &image.digest).await.status(), 202);
    let recorded = record(&door.url()).await;
    assert_eq!(
        recorded.keys().cloned().collect::<Vec<_>>(),
        [key("other", "latest"), key("third", "latest")]
    );
    assert_eq!(recorded, truth(&registry.url()).await);
    let left = door.get_json(&format!("/api/v1/manifests?repository=other&digest={}", image.digest)).await;
    assert_eq!(left["tags"], serde_json::json!(["latest"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_a_registry_that_gives_no_manifest_after_the_push_does_not_matter() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    relay.script(|request| match (request.method.as_str(), request.path.contains("/manifests/")) {
        ("GET" | "HEAD", true) => Fault::RefuseBefore(500),
        _ => Fault::None,
    });
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "latest").await;
    let seen = door.get_json(&format!("/api/v1/manifests?repository=team/app&digest={}", image.digest)).await;
    assert_eq!(
        (seen["source"].as_str(), seen["layers"].as_array().map(Vec::len)),
        (Some("observed"), Some(1))
    );
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_a_delete_by_digest_takes_both_tags_and_one_of_an_unknown_digest_changes_nothing() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (image, kept) = (Image::small(1), Image::small(2));
    for tag in ["one", "two"] {
        image.push(&door.url(), "team/app", tag).await;
    }
    kept.push(&door.url(), "team/app", "kept").await;
    let unknown = delete(&door.url(), "team/app", &Image::small(3).digest).await;
    assert_eq!(unknown.status(), 404);
    assert_eq!(error_of(unknown).await.0, "MANIFEST_UNKNOWN");
    assert_eq!(events(&door).await.len(), 3);

    assert_eq!(delete(&door.url(), "team/app", &image.digest).await.status(), 202);
    let recorded = record(&door.url()).await;
    assert_eq!(recorded.into_keys().collect::<Vec<_>>(), [key("team/app", "kept")]);
    let mut events = in_short(&events(&door).await[3..]);
    events.sort();
    assert_eq!(
        events,
        [
            "observed manifest_deleted team/app",
            "observed tag_deleted team/app:one",
            "observed tag_deleted team/app:two",
        ]
    );
    assert_in_step(&door.url(), &registry.url(), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_a_delete_that_the_registry_refuses_changes_nothing_and_the_client_hears_why() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "latest").await;
    relay.script(|request| match request.method.as_str() {
        "DELETE" => Fault::Answer {
            status: 405,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: br#"{"errors":[{"code":"UNSUPPORTED","message":"deletion is off here"}]}"#.to_vec(),
        },
        _ => Fault::None,
    });
    let refused = delete(&door.url(), "team/app", &image.digest).await;
    assert_eq!(refused.status(), 405);
    assert_eq!(error_of(refused).await, ("UNSUPPORTED".to_owned(), "deletion is off here".to_owned()));
    assert_eq!(events(&door).await.len(), 1);
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_tags_that_differ_only_by_case_are_two() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (lower, upper) = (Image::small(1), Image::small(2));
    lower.push(&door.url(), "team/app", "latest").await;
    upper.push(&door.url(), "team/app", "Latest").await;
    let recorded = record(&door.url()).await;
    assert_eq!(recorded[&key("team/app", "latest")], lower.digest);
    assert_eq!(recorded[&key("team/app", "Latest")], upper.digest);
    assert_eq!(delete(&door.url(), "team/app", &lower.digest).await.status(), 202);
    assert_eq!(record(&door.url()).await.into_keys().collect::<Vec<_>>(), [key("team/app", "Latest")]);
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r6_of_two_clients_that_push_one_tag_at_once_the_record_names_the_registrys_winner() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let images = [Image::small(1), Image::small(2)];
    for image in &images {
        image.push_blobs(&door.url(), "team/app").await;
    }
    let clients = ["one", "two"].map(|agent| client_builder().user_agent(agent).build().unwrap());
    for round in 0..20 {
        let url = door.url();
        let tag = format!("v{}", round % 2);
        let put = |place: usize| images[place].put_by(&clients[place], &url, "team/app", &tag);
        let (first, second) = tokio::join!(put(0), put(1));
        assert_eq!((first.unwrap().status().as_u16(), second.unwrap().status().as_u16()), (201, 201));
        assert_eq!(record(&door.url()).await, truth(&registry.url()).await, "round {round}");
    }
    assert!(events(&door).await.iter().all(|event| event["source"] == "observed"));
}
