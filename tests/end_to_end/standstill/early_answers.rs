//! Registries that answer while the client still owes some of its request's body: with the answer the exchange is over.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;

use super::{House, SOON, body};
use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::raw::RawRegistry;

const UPLOADS: &str = "/v2/a/blobs/uploads/";
const SESSION: &str = "/v2/a/blobs/uploads/00000000-0000-0000-0000-000000000000";

/// A registry that answers before it reads a body, and then reads on, or not.
async fn hasty(answer: &'static str) -> RawRegistry {
    RawRegistry::start(move |mut exchange| async move {
        exchange.send(answer).await;
        std::future::pending().await
    })
    .await
}

const WITH_BODY: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone";
const WITH_CHUNKS: &str =
    "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n2\r\nne\r\n0\r\n\r\n";
const WITHOUT_BODY: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_an_answer_that_came_before_the_body_and_nobody_is_blamed() {
    for (answer, expected) in [(WITH_BODY, b"none".as_slice()), (WITH_CHUNKS, b"none"), (WITHOUT_BODY, b"")] {
        let registry = hasty(answer).await;
        let house = House::plain(Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "1s")).await;
        let targets =
            [("GET", "/v2/a/tags/list"), ("DELETE", SESSION), ("POST", UPLOADS), ("PATCH", SESSION)];
        let tries =
            targets.iter().flat_map(|target| ["", "Expect: 100-continue\r\n"].map(|expect| (target, expect)));
        let tries = tries.map(async |((method, target), expect)| {
            let mut connection = Connection::open(house.door.address()).await;
            connection.request(method, target, &format!("{expect}Content-Length: 1000000\r\n")).await;
            let answer = connection.answer(method).await;
            assert_eq!(answer.head.status, 404, "{method} {expect}");
            assert_eq!(answer.head.get("connection"), Some("close"), "{method} {expect}");
            assert_eq!(answer.body, expected, "{method} {expect}");
            assert_eq!(connection.rest().await, b"", "{method} {expect}");
        });
        futures_util::future::join_all(tries).await;
        house.until_logged(&["404", "PATCH"]).await;
        assert_eq!((house.stalls("registry").await, house.stalls("client").await), (0, 0));
        assert!(!house.door.log().contains("silent"), "{}", house.door.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_ends_with_an_answer_that_came_before_the_body_though_the_client_holds_on() {
    let registry = hasty(WITH_BODY).await;
    for house in House::both(|| Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "1s")).await {
        for (what, client) in &house.clients {
            let (pieces, body) = body();
            pieces.send(Bytes::from_static(b"some")).unwrap();
            let method = if what.starts_with("HTTP/2") { Method::PATCH } else { Method::POST };
            let target = if method == Method::PATCH { SESSION } else { UPLOADS };
            let url = format!("{}{target}", house.door.url());
            let answer = client.request(method.clone(), url).body(body).send().await.unwrap();
            assert_eq!(answer.status(), 404, "{what}");
            assert_eq!(answer.bytes().await.unwrap(), "none", "{what}");
            house.until_logged(&["404", method.as_str()]).await;
            drop(pieces);
        }
        assert_eq!((house.stalls("registry").await, house.stalls("client").await), (0, 0));
        assert!(!house.door.log().contains("silent"), "{}", house.door.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_stands_still_within_an_early_answer_is_the_one_that_is_named() {
    let registry = hasty("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 100\r\n\r\n0123456789").await;
    let settings =
        || Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "1s").set("LISTEN__CLIENT_TIMEOUT", "60s");
    for house in House::both(settings).await {
        for (what, client) in &house.clients {
            let (pieces, body) = body();
            pieces.send(Bytes::from_static(b"some")).unwrap();
            let begun = Instant::now();
            let url = format!("{}{SESSION}", house.door.url());
            let answer = client.patch(url).body(body).timeout(SOON).send().await.unwrap();
            assert_eq!(answer.status(), 413, "{what}");
            let error = answer.bytes().await.unwrap_err();
            assert!(!error.is_timeout(), "{what}: {error}");
            assert!(begun.elapsed() >= Duration::from_secs(1), "{what}");
            drop(pieces);
        }
        house.until_logged(&["the registry was silent", "registry.timeout"]).await;
        assert_eq!((house.stalls("registry").await, house.stalls("client").await), (2, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_is_answered_does_not_keep_the_door_from_ending() {
    let registry = hasty(WITH_BODY).await;
    let mut house = House::plain(Door::builder(registry.url())).await;
    let mut connection = Connection::open(house.door.address()).await;
    connection.request("PATCH", SESSION, "Content-Length: 1000000\r\n").await;
    assert_eq!(connection.answer("PATCH").await.head.status, 404);
    house.door.signal("TERM");
    let begun = Instant::now();
    assert_eq!(house.door.wait_exit(SOON * 2).await.code(), Some(0), "{}", house.door.log());
    assert!(begun.elapsed() < SOON, "{:?}\n{}", begun.elapsed(), house.door.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_that_came_before_the_body_arrives_whole_and_once() {
    let expected: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let sent = expected.clone();
    let registry = RawRegistry::start(move |mut exchange| {
        let body = sent.clone();
        async move {
            exchange.send(format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n", body.len())).await;
            exchange.send(body).await;
            std::future::pending().await
        }
    })
    .await;
    for house in House::both(|| Door::builder(registry.url())).await {
        for (what, client) in &house.clients {
            let (pieces, body) = body();
            pieces.send(Bytes::from_static(b"some")).unwrap();
            let url = format!("{}{SESSION}", house.door.url());
            let answer = client.patch(url).body(body).timeout(SOON).send().await.unwrap();
            let received = answer.bytes().await.unwrap();
            assert!(received == expected, "{what}: {} bytes of {}", received.len(), expected.len());
            drop(pieces);
        }
    }
}
