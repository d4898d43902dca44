//! Registries that stand still where nothing excuses it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;

use super::{House, SOON};
use crate::support::door::Door;
use crate::support::http::error_of;
use crate::support::raw::RawRegistry;

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_does_not_answer_a_chunk_is_504_within_its_timeout() {
    let registry = RawRegistry::start(async |mut exchange| {
        exchange.body().await;
        std::future::pending().await
    })
    .await;
    // However short the client's own time is.
    let settings =
        || Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "2s").set("LISTEN__CLIENT_TIMEOUT", "1s");
    for house in House::both(settings).await {
        for (what, client) in &house.clients {
            let begun = Instant::now();
            let url = format!("{}/v2/a/blobs/uploads/1", house.door.url());
            let answer = client.patch(url).body("chunk").send().await.unwrap();
            let took = begun.elapsed();
            assert_eq!(answer.status(), 504, "{what}");
            assert!(error_of(answer).await.1.contains("the registry"), "{what}");
            assert!((Duration::from_secs(2)..SOON).contains(&took), "{what}: {took:?}");
        }
        house.until_logged(&["504", "registry.timeout"]).await;
        assert_eq!((house.stalls("registry").await, house.stalls("client").await), (2, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_stops_taking_a_layer_is_504_within_its_timeout() {
    // It holds the connection, and reads nothing of it.
    let (registry, exchanges) = RawRegistry::start_handing_over().await;
    let settings =
        || Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "2s").set("LISTEN__CLIENT_TIMEOUT", "1s");
    for house in House::both(settings).await {
        for (what, client) in &house.clients {
            let url = format!("{}/v2/a/blobs/uploads/1", house.door.url());
            let pieces = futures_util::stream::repeat(Bytes::from(vec![7; 65_536])).map(std::io::Result::Ok);
            let body = reqwest::Body::wrap_stream(pieces.take(2_000));
            let answer = client.patch(url).body(body).send().await;
            // By HTTP/1.1 the connection ends with much of the layer unread: the answer may be lost with it.
            if let Ok(answer) = answer {
                assert_eq!(answer.status(), 504, "{what}");
                assert!(error_of(answer).await.1.contains("the registry"), "{what}");
            } else {
                assert!(what.starts_with("HTTP/1.1"), "{what}: {answer:?}");
            }
        }
        house.until_logged(&["504", "registry.timeout"]).await;
        assert_eq!((house.stalls("registry").await, house.stalls("client").await), (2, 0));
    }
    drop(exchanges);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_stands_still_within_a_layer_is_cut_off_and_named() {
    let registry = RawRegistry::start(async |mut exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf").await;
        std::future::pending().await
    })
    .await;
    for house in House::both(|| Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "1s")).await {
        for (what, client) in &house.clients {
            let digest = crate::support::image::digest(b"x");
            let url = format!("{}/v2/a/blobs/{digest}", house.door.url());
            let answer = client.get(url).timeout(SOON).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{what}");
            let error = answer.bytes().await.unwrap_err();
            assert!(!error.is_timeout(), "{what}: {error}");
        }
        house.until_logged(&["the registry was silent", "registry.timeout"]).await;
        assert_eq!((house.stalls("registry").await, house.stalls("client").await), (2, 0));
    }
}
