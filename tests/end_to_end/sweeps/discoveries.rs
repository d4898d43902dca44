//! What a sweep finds at a real registry.

use serde_json::Value;

use crate::support::door::Door;
use crate::support::http::{client_builder, delete};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::scripted::Scripted;
use crate::support::state::{record, truth};
use crate::support::sweep::{events, in_short, sweep_through};

#[tokio::test(flavor = "multi_thread")]
async fn s1_an_empty_store_learns_exactly_what_the_registry_has() {
    let registry = Registry::start().await;
    let (one, two) = (Image::small(1), Image::docker(2));
    one.push(&registry.url(), "redis", "latest").await;
    two.push(&registry.url(), "team/app", "v1").await;
    two.push(&registry.url(), "team/app", "v2").await;
    let door = Door::builder(registry.url()).start().await;
    assert_eq!(record(&door.url()).await.len(), 0);
    sweep_through(&door, false).await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    assert_eq!(record(&door.url()).await.len(), 3);
    let events = events(&door).await;
    assert!(events.iter().all(|event| event["source"] == "swept"), "{events:#?}");
    let tags = door.get_json("/api/v1/tags?repository=redis").await;
    assert_eq!(
        (&tags["items"][0]["pushed_by"], tags["items"][0]["source"].as_str()),
        (&Value::Null, Some("swept"))
    );
    let manifest = door.get_json(&format!("/api/v1/manifests?repository=redis&digest={}", one.digest)).await;
    assert_eq!(manifest["layers"][0]["digest"], one.blobs[1].0.as_str());
    // Swept once, there is nothing more to find.
    assert_eq!(sweep_through(&door, false).await, 0);
    assert_eq!(sweep_through(&door, true).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_the_first_sweep_comes_by_itself() {
    let registry = Registry::start().await;
    Image::small(1).push(&registry.url(), "redis", "latest").await;
    let door = Door::builder(registry.url()).set("SYNC__INTERVAL", "1h").start().await;
    let last = crate::support::sweep::finished(&door, 1).await;
    assert_eq!((last["outcome"].as_str(), last["catalog"].as_str()), (Some("complete"), Some("listed")));
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    assert_eq!(record(&door.url()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_a_namespace_never_seen_before_is_recorded_like_any_other() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    Image::small(1).push(&door.url(), "known/app", "v1").await;
    Image::small(2).push(&registry.url(), "never/seen/before", "v1").await;
    sweep_through(&door, false).await;
    let events = events(&door).await;
    assert_eq!(
        in_short(&events),
        ["observed manifest_put known/app:v1", "swept manifest_put never/seen/before:v1"]
    );
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_what_came_and_went_behind_the_doors_back_is_found_in_one_sweep() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    for (seed, repository, tag) in [(1, "team/app", "stays"), (2, "team/app", "goes"), (3, "lost", "v1")] {
        Image::small(seed).push(&door.url(), repository, tag).await;
    }
    Image::small(4).push(&registry.url(), "team/app", "new").await;
    Image::small(5).push(&registry.url(), "added", "v1").await;
    registry.lose_tag("team/app", "goes");
    registry.lose_repository("lost");
    sweep_through(&door, false).await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    let found = in_short(&events(&door).await[3..]);
    for expected in [
        "swept manifest_put added:v1",
        "swept manifest_put team/app:new",
        "swept repository_gone lost",
        "swept tag_deleted team/app:goes",
    ] {
        assert!(found.iter().any(|event| event == expected), "{expected} is not in {found:?}");
    }
    assert!(!found.iter().any(|event| event.contains("stays")), "{found:?}");
    let repositories = door.get_json("/api/v1/repositories").await;
    let names: Vec<_> = repositories["items"].as_array().unwrap().iter().map(|item| &item["name"]).collect();
    assert_eq!(names, ["added", "team/app"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_a_listed_repository_whose_manifests_are_all_deleted_stays_known_and_holds_nothing() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "latest").await;
    assert_eq!(delete(&registry.url(), "team/app", &image.digest).await.status(), 202);
    sweep_through(&door, true).await;
    let repositories = door.get_json("/api/v1/repositories").await;
    let item = &repositories["items"][0];
    assert_eq!(
        (item["name"].as_str(), item["tags"].as_u64(), item["manifests"].as_u64()),
        (Some("team/app"), Some(0), Some(0))
    );
    assert_eq!(record(&door.url()).await.len(), 0);
    assert_eq!(sweep_through(&door, true).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_the_history_of_a_vanished_tag_stays_with_its_author() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push_blobs(&door.url(), "team/app").await;
    let client = client_builder().user_agent("the-author/1.0").build().unwrap();
    let put = image.put_by(&client, &door.url(), "team/app", "latest").await.unwrap();
    assert_eq!(put.status(), 201);
    let before = events(&door).await;
    registry.lose_tag("team/app", "latest");
    sweep_through(&door, false).await;
    let after = events(&door).await;
    assert_eq!(after[..1], before);
    assert_eq!(after[0]["actor"]["agent"], "the-author/1.0");
    assert_eq!(in_short(&after[1..]), ["swept tag_deleted team/app:latest"]);
    assert_eq!(after[1]["digest"], image.digest.as_str());
    let actor = after[1]["actor"].as_object().unwrap();
    assert!(actor.values().all(Value::is_null), "{actor:?}");
    assert_eq!(record(&door.url()).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_a_tag_moved_behind_the_doors_back_is_found_by_a_deep_sweep_and_its_old_manifest_stays() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (old, new) = (Image::small(1), Image::small(2));
    old.push(&door.url(), "team/app", "latest").await;
    new.push(&registry.url(), "team/app", "latest").await;
    assert_eq!(sweep_through(&door, false).await, 0, "a shallow sweep compares names only");
    sweep_through(&door, true).await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    let events = events(&door).await;
    assert_eq!(in_short(&events)[1..], ["swept manifest_put team/app:latest"]);
    assert_eq!(
        (&events[1]["digest"], &events[1]["previous"]),
        (&new.digest.as_str().into(), &old.digest.as_str().into())
    );
    let kept = door.get_json(&format!("/api/v1/manifests?repository=team/app&digest={}", old.digest)).await;
    assert_eq!((kept["tags"].as_array().map(Vec::len), kept["source"].as_str()), (Some(0), Some("observed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_whose_children_are_missing_is_recorded_all_the_same() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (there, missing) = (Image::small(1), Image::small(2));
    let index = Image::index(&[&there, &missing]);
    registry.hold_manifest("team/app", &there);
    registry.hold("team/app", "both", &index);
    sweep_through(&door, true).await;
    assert_eq!(record(&door.url()).await, registry.truth());
    let seen = door.get_json(&format!("/api/v1/manifests?repository=team/app&digest={}", index.digest)).await;
    assert_eq!((seen["kind"].as_str(), seen["children"].as_array().map(Vec::len)), (Some("index"), Some(2)));
    let digests: Vec<_> = events(&door).await.iter().map(|event| event["digest"].clone()).collect();
    assert!(
        digests.contains(&there.digest.as_str().into()) && !digests.contains(&missing.digest.as_str().into())
    );
    assert_eq!(sweep_through(&door, true).await, 0);
}
