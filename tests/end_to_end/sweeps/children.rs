//! What an index names: only manifests are asked for as manifests.

use std::time::{Duration, Instant};

use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::Relay;
use crate::support::state::{assert_in_step, record, truth};
use crate::support::sweep::{events, in_short, sweep_through};

const LAYERS: usize = 60;
const SOON: Duration = Duration::from_secs(60);

/// No layer of the cache was asked for as a manifest.
fn assert_no_layer_is_asked_for(relay: &Relay, cache: &Image) {
    let seen = relay.seen();
    let is_layer = |line: &&String| {
        cache.blobs.iter().any(|(digest, _)| line.ends_with(&format!("/manifests/{digest}")))
    };
    let asked: Vec<_> = seen.iter().filter(is_layer).collect();
    assert!(asked.is_empty(), "{asked:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_of_buildkit_whose_index_names_layers_is_swept_to_the_end_like_any_other_image() {
    let registry = Registry::start_lenient().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let image = Image::small(1);
    image.push(&registry.url(), "team/app", "v1").await;
    // Of the children, the image alone is a manifest.
    image.push(&registry.url(), "team/cache", &image.digest).await;
    let cache = Image::buildkit_cache(LAYERS, &[&image]);
    cache.push(&registry.url(), "team/cache", "buildcache").await;
    assert!(sweep_through(&door, true).await > 0);
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    let child =
        door.get_json(&format!("/api/v1/manifests?repository=team/cache&digest={}", image.digest)).await;
    assert_eq!(child["kind"], "image");
    // It is recorded now, and looked at again.
    assert_eq!(sweep_through(&door, true).await, 0);
    // What is pushed behind the door's back is found as if there were no cache.
    Image::small(2).push(&registry.url(), "team/later", "v1").await;
    assert_eq!(sweep_through(&door, true).await, 1);
    assert_no_layer_is_asked_for(&relay, &cache);
    let seen =
        door.get_json(&format!("/api/v1/manifests?repository=team/cache&digest={}", cache.digest)).await;
    assert_eq!(seen["children"].as_array().map(Vec::len), Some(LAYERS + 2), "all are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_about_a_cache_of_buildkit_asks_for_no_layer() {
    const SECRET: &str = "a-long-secret-for-tests";
    let registry = Registry::start_lenient().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).set("NOTIFICATIONS__SECRET", SECRET).start().await;
    let cache = Image::buildkit_cache(LAYERS, &[]);
    cache.push(&registry.url(), "team/cache", "buildcache").await;
    let hint = serde_json::json!({"events": [{
        "id": "1", "action": "push", "target": {"repository": "team/cache", "tag": "buildcache",
        "mediaType": cache.media_type, "digest": cache.digest},
    }]});
    let notified = crate::support::http::http_client()
        .post(format!("{}/api/v1/notifications", door.url()))
        .bearer_auth(SECRET)
        .json(&hint)
        .send()
        .await
        .unwrap();
    assert!(notified.status().is_success(), "{}", notified.status());
    assert_in_step(&door.url(), &registry.url(), SOON).await;
    assert_eq!(in_short(&events(&door).await), ["hinted manifest_put team/cache:buildcache"]);
    // A deep sweep later on, of what the hint has recorded.
    assert_eq!(sweep_through(&door, true).await, 0);
    assert_no_layer_is_asked_for(&relay, &cache);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_damaged_delays_the_record_of_no_other() {
    let registry = Registry::start_lenient().await;
    let relay = Relay::start(&registry.url()).await;
    let image = Image::small(1);
    image.push(&registry.url(), "team/damaged", "v0").await;
    for number in 1..200 {
        assert_eq!(image.put(&registry.url(), "team/damaged", &format!("v{number}")).await.status(), 201);
    }
    for number in 0..20 {
        image.push(&registry.url(), &format!("team/good-{number}"), "v1").await;
    }
    relay.script(|request| {
        let is_damaged = request.path.starts_with("/v2/team/damaged/manifests/");
        if is_damaged {
            crate::support::relay::Fault::RefuseBefore(503)
        } else {
            crate::support::relay::Fault::None
        }
    });
    let door = Door::builder(relay.url()).start().await;
    let begun = Instant::now();
    crate::support::sweep::request(&door, true).await;
    let running = crate::support::sweep::until_done(&door, 20).await;
    // With pauses that grow, the damaged one takes minutes, and all took as long before.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}: {running:#}", begun.elapsed());
    assert_eq!(record(&door.url()).await.len(), 20);
}
