//! What images say of themselves: read from their configurations, once, and never in a client's way.

use std::time::Duration;

use serde_json::Value;

use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::sweep::sweep_through;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(60);

async fn shown(door: &Door, image: &Image) -> Value {
    door.get_json(&format!("/api/v1/manifests?repository=team/app&digest={}", image.digest)).await
}

/// How often the registry was asked for the configuration of an image by GET.
fn asked(relay: &Relay, image: &Image) -> usize {
    let end = format!("/blobs/{}", image.blobs[0].0);
    relay.seen().iter().filter(|line| line.starts_with("GET ") && line.ends_with(&end)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_and_what_is_found_is_read_once_and_tags_know_the_platform() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let mut door = Door::builder(relay.url()).start().await;
    let (pushed, found) = (Image::small(1), Image::docker(2));
    pushed.push(&door.url(), "team/app", "pushed").await;
    found.push(&registry.url(), "team/app", "found").await;
    Image::about(&pushed, 3).push(&door.url(), "team/app", "artifact").await;
    assert!(sweep_through(&door, true).await > 0);
    for (image, seed) in [(&pushed, "1"), (&found, "2")] {
        let mut manifest = Value::Null;
        until("the image is read", SOON, async || {
            manifest = shown(&door, image).await;
            manifest["image"].is_object()
        })
        .await;
        assert_eq!(manifest["image"]["platform"], "linux/amd64", "{manifest:#}");
        assert_eq!(manifest["image"]["labels"]["seed"], seed, "{manifest:#}");
    }
    let tags = door.get_json("/api/v1/tags?repository=team/app").await;
    let platforms: Vec<_> = tags["items"].as_array().unwrap().iter().map(|tag| &tag["platforms"]).collect();
    let amd64 = serde_json::json!(["linux/amd64"]);
    assert_eq!(platforms, [&serde_json::json!([]), &amd64, &amd64]);
    // It outlives the door, and nothing is asked for again.
    door.signal("TERM");
    assert!(door.wait_exit(SOON).await.success());
    door.restart().await;
    assert_eq!(pushed.put(&door.url(), "team/app", "again").await.status(), 201);
    sweep_through(&door, true).await;
    assert_eq!(shown(&door, &pushed).await["image"]["platform"], "linux/amd64");
    assert_eq!((asked(&relay, &pushed), asked(&relay, &found)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_gives_no_configuration_fails_no_push() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let image = Image::small(1);
    let (digest, _) = image.blobs[0].clone();
    relay.script(move |request| match request.method == "GET" && request.path.ends_with(&digest) {
        true => Fault::RefuseBefore(503),
        false => Fault::None,
    });
    image.push(&door.url(), "team/app", "v1").await;
    until("the configuration was asked for", SOON, async || asked(&relay, &image) > 1).await;
    let manifest = shown(&door, &image).await;
    assert_eq!((&manifest["tags"][0], &manifest["image"]), (&Value::from("v1"), &Value::Null));
    relay.script(|_| Fault::None);
    until("the image is read", SOON, async || shown(&door, &image).await["image"].is_object()).await;
}
