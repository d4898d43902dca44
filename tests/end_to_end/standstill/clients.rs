//! Clients that pause, and clients that do not come back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;

use super::{House, PAUSE, SOON, begin, body, end_of, location, with_pauses};
use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::http::{error_of, http_client};
use crate::support::image::digest;
use crate::support::raw::RawRegistry;
use crate::support::registry::Registry;
use crate::support::wait::until;

/// More than fits between a registry that does not read and a client, or the other way round.
const MUCH: usize = 64 * 1024 * 1024;

/// Puts a layer of so many bytes into the registry, and says its digest.
async fn layer(registry: &Registry, length: usize) -> String {
    let client = http_client();
    let bytes = vec![7; length];
    let name = digest(&bytes);
    let begun = client.post(format!("{}/v2/a/blobs/uploads/", registry.url())).send().await.unwrap();
    let ended = client.put(end_of(&location(&begun), &name)).body(bytes).send().await.unwrap();
    assert_eq!(ended.status(), 201);
    name
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_pause_within_a_layer_for_longer_than_the_registrys_timeout() {
    let registry = Registry::start().await;
    for house in House::both(|| Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "1s")).await {
        let tries = house.clients.iter().map(async |(what, client)| {
            let pieces = [b"one".as_slice(), b"two", b"three"].map(Bytes::from_static);
            let whole = digest(&pieces.concat());
            let session = begin(client, &house.door).await;
            let patch = client.patch(&session).body(reqwest::Body::wrap_stream(with_pauses(pieces.to_vec())));
            let answer = patch.send().await.unwrap();
            assert_eq!(answer.status(), 202, "{what}");
            let answer = client.put(end_of(&location(&answer), &whole)).send().await.unwrap();
            assert_eq!(answer.status(), 201, "{what}");
            // The same in the request that ends the upload.
            let session = begin(client, &house.door).await;
            let put = client.put(end_of(&session, &whole));
            let put = put.body(reqwest::Body::wrap_stream(with_pauses(pieces.to_vec())));
            assert_eq!(put.send().await.unwrap().status(), 201, "{what}");
        });
        futures_util::future::join_all(tries).await;
        assert_eq!((house.stalls("registry").await, house.stalls("client").await), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stands_still_within_a_layer_is_408_and_the_registry_is_not_blamed() {
    let (registry, mut exchanges) = RawRegistry::start_handing_over().await;
    for house in House::both(|| Door::builder(registry.url()).set("LISTEN__CLIENT_TIMEOUT", "1s")).await {
        for (what, client) in &house.clients {
            for method in [reqwest::Method::PATCH, reqwest::Method::PUT] {
                let (pieces, body) = body();
                pieces.send(Bytes::from_static(b"some")).unwrap();
                let url = format!("{}/v2/a/blobs/uploads/1?digest={}", house.door.url(), digest(b"x"));
                let begun = Instant::now();
                let answer = client.request(method.clone(), url).body(body).send().await.unwrap();
                let took = begun.elapsed();
                let status = answer.status().as_u16();
                let (code, message) = error_of(answer).await;
                assert_eq!((status, code.as_str()), (408, "BLOB_UPLOAD_INVALID"), "{what} {method}");
                assert!(message.contains("the client"), "{what} {method}: {message}");
                assert!((Duration::from_secs(1)..SOON).contains(&took), "{what} {method}: {took:?}");
                let mut exchange = exchanges.recv().await.unwrap();
                let (_, is_clean) = tokio::time::timeout(SOON, exchange.rest()).await.unwrap();
                assert!(is_clean, "{what} {method}: the registry's connection is closed, not reset");
                drop(pieces);
            }
        }
        house.until_logged(&["408", "listen.client_timeout"]).await;
        assert_eq!((house.stalls("registry").await, house.stalls("client").await), (0, 4));
        assert!(!house.door.log().contains("does not answer"), "{}", house.door.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stands_still_within_a_manifest_is_408() {
    let registry = RawRegistry::start(async |exchange| panic!("it must not hear of {}", exchange.line)).await;
    for house in House::both(|| Door::builder(registry.url()).set("LISTEN__CLIENT_TIMEOUT", "1s")).await {
        for (what, client) in &house.clients {
            let (pieces, body) = body();
            pieces.send(Bytes::from_static(b"{")).unwrap();
            let url = format!("{}/v2/a/manifests/tag", house.door.url());
            let answer = client.put(url).body(body).send().await.unwrap();
            assert_eq!(answer.status(), 408, "{what}");
            let (code, message) = error_of(answer).await;
            assert_eq!(code, "MANIFEST_INVALID", "{what}");
            assert!(message.contains("the client"), "{what}");
        }
        assert_eq!((house.stalls("registry").await, house.stalls("client").await), (0, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_to_be_asked_for_its_body_waits_for_the_registry() {
    let registry = RawRegistry::start(async |mut exchange| {
        tokio::time::sleep(PAUSE).await;
        exchange.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(exchange.body().await, b"body");
        exchange.answer("202 Accepted", "").await;
    })
    .await;
    let settings =
        Door::builder(registry.url()).set("LISTEN__CLIENT_TIMEOUT", "1s").set("REGISTRY__TIMEOUT", "10s");
    let house = House::plain(settings).await;
    let mut connection = Connection::open(house.door.address()).await;
    let lines = "Expect: 100-continue\r\nContent-Length: 4\r\n";
    connection.request("PATCH", "/v2/a/blobs/uploads/1", lines).await;
    assert_eq!(connection.head().await.status, 100);
    connection.send("body").await;
    assert_eq!(connection.answer("PATCH").await.head.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_pause_while_it_reads_a_layer() {
    let registry = Registry::start().await;
    let name = layer(&registry, MUCH).await;
    for house in House::both(|| Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "1s")).await {
        let tries = house.clients.iter().map(async |(what, client)| {
            let url = format!("{}/v2/a/blobs/{name}", house.door.url());
            let mut pieces = client.get(url).send().await.unwrap().bytes_stream();
            let mut read = pieces.next().await.unwrap().unwrap().len();
            tokio::time::sleep(PAUSE).await;
            while let Some(piece) = pieces.next().await {
                read += piece.unwrap_or_else(|error| panic!("{what}: {error} after {read}")).len();
            }
            assert_eq!(read, MUCH, "{what}");
        });
        futures_util::future::join_all(tries).await;
        assert_eq!((house.stalls("registry").await, house.stalls("client").await), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_on_is_cut_off_and_named() {
    let registry = Registry::start().await;
    let name = layer(&registry, MUCH).await;
    let settings =
        || Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "10s").set("LISTEN__CLIENT_TIMEOUT", "1s");
    for house in House::both(settings).await {
        for (number, (what, client)) in house.clients.iter().enumerate() {
            let url = format!("{}/v2/a/blobs/{name}", house.door.url());
            let mut pieces = client.get(url).send().await.unwrap().bytes_stream();
            assert!(pieces.next().await.unwrap().is_ok(), "{what}");
            until("the client is named", SOON, async || house.stalls("client").await == number as u64 + 1)
                .await;
            let mut read = 0;
            let is_cut = loop {
                match pieces.next().await {
                    Some(Ok(piece)) => read += piece.len(),
                    Some(Err(_)) => break true,
                    None => break false,
                }
            };
            assert!(is_cut && read < MUCH, "{what}: {read} bytes");
        }
        house.until_logged(&["read nothing", "listen.client_timeout"]).await;
        assert_eq!(house.stalls("registry").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_bytes_of_an_answer_are_not_waited_for_without_end() {
    // Just more than the system holds between door and client: what is left is less than a piece.
    let registry = Registry::start().await;
    let name = layer(&registry, 8 * 1024 * 1024).await;
    let house = House::plain(Door::builder(registry.url()).set("LISTEN__CLIENT_TIMEOUT", "1s")).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(house.door.address()).await.unwrap();
    let request = format!("GET /v2/a/blobs/{name} HTTP/1.1\r\nHost: door\r\nConnection: close\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    until("the client is named", SOON, async || house.stalls("client").await == 1).await;
    let mut rest = Vec::new();
    // It may be a reset.
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.len() < 8 * 1024 * 1024);
}
