//! HTTP/1 connections: reuse, refusals in the middle of a body, clients that wait to be asked, the shortest requests.

use std::time::{Duration, Instant};

use super::{begin, bytes};
use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::{Image, digest};
use crate::support::registry::Registry;
use crate::support::relay::Relay;
use crate::support::state::ACCEPT_ALL;
use crate::support::tool::Tool;

const MANIFEST_TYPE: &str = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";

/// Pulls the image's manifest and blobs on this connection.
async fn pull(connection: &mut Connection, repository: &str, image: &Image) {
    let accept = format!("Accept: {ACCEPT_ALL}\r\n");
    let path = format!("/v2/{repository}/manifests/{}", image.digest);
    let answer = connection.ask("GET", &path, &accept, b"").await;
    assert_eq!((answer.head.status, answer.body), (200, image.manifest.to_vec()));
    for (digest, bytes) in &image.blobs {
        let path = format!("/v2/{repository}/blobs/{digest}");
        assert_eq!(connection.ask("HEAD", &path, "", b"").await.head.status, 200);
        let answer = connection.ask("GET", &path, "", b"").await;
        assert_eq!((answer.head.status, answer.body), (200, bytes.to_vec()));
    }
}

/// The path and query of a URL.
fn path_of(url: &str) -> String {
    let (_, rest) = url.split_once("://").unwrap();
    rest[rest.find('/').unwrap()..].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_pulls_pushes_and_questions_one_after_the_other() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push_blobs(&door.url(), "a").await;
    let mut connection = Connection::open(door.address()).await;
    for round in 0..3 {
        let path = format!("/v2/a/manifests/tag{round}");
        let answer = connection.ask("PUT", &path, MANIFEST_TYPE, &image.manifest).await;
        assert_eq!(answer.head.status, 201);
        pull(&mut connection, "a", &image).await;
        assert_eq!(connection.ask("GET", "/api/v1/tags?repository=a", "", b"").await.head.status, 200);
        assert_eq!(connection.ask("GET", "/v2/nowhere/tags/list", "", b"").await.head.status, 404);
        assert_eq!(connection.ask("GET", "/nowhere", "", b"").await.head.status, 404);
        let answer = connection.ask("POST", "/v2/a/blobs/uploads/", "", b"").await;
        assert_eq!(answer.head.status, 202);
        let session = path_of(answer.head.get("location").unwrap());
        assert_eq!(connection.ask("DELETE", &session, "", b"").await.head.status, 204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_does_not_poison_its_connection() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "a", "tag").await;
    let mut connection = Connection::open(door.address()).await;
    // A body that looks like a request would be taken for one if it were left on the connection.
    let tricky = b"GET /v2/smuggled/tags/list HTTP/1.1\r\nHost: door.example\r\n\r\n".repeat(1000);
    for (method, path, status) in [
        ("PUT", "/v2/a/manifests/tag", 400),
        ("PUT", "/v2/UPPER/manifests/tag", 400),
        ("PUT", "/v2/a/manifests/sha256:abc", 400),
        ("POST", "/v2/a/tags/list", 405),
        ("PUT", "/api/v1/tags", 405),
        ("PUT", "/nowhere", 404),
    ] {
        let answer = connection.ask(method, path, MANIFEST_TYPE, &tricky).await;
        assert_eq!(answer.head.status, status, "{method} {path}");
        pull(&mut connection, "a", &image).await;
    }
    // The same in chunks.
    let lines = format!("{MANIFEST_TYPE}Transfer-Encoding: chunked\r\n");
    connection.request("PUT", "/v2/UPPER/manifests/tag", &lines).await;
    connection.send(format!("{:x}\r\n", tricky.len())).await;
    connection.send(&tricky).await;
    connection.send("\r\n0\r\n\r\n").await;
    assert_eq!(connection.answer("PUT").await.head.status, 400);
    pull(&mut connection, "a", &image).await;
    assert!(!door.whole_log().await.contains("smuggled"), "a body was taken for a request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_that_is_too_long_to_throw_away_ends_its_connection_after_the_answer() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let mut connection = Connection::open(door.address()).await;
    let body = b"GET /v2/smuggled/tags/list HTTP/1.1\r\nHost: door.example\r\n\r\n".repeat(200_000);
    let answer = connection.ask("PUT", "/v2/UPPER/manifests/tag", MANIFEST_TYPE, &body).await;
    assert_eq!((answer.head.status, answer.code().as_str()), (400, "NAME_INVALID"));
    assert_eq!(connection.rest().await, b"", "nothing but the one answer");
    assert!(!door.whole_log().await.contains("smuggled"), "a body was taken for a request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_the_registry_refuses_does_not_poison_connections() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (client, image, blob) = (http_client(), Image::small(1), bytes(1, 2_000_000));
    image.push(&door.url(), "a", "tag").await;
    for _ in 0..5 {
        let session = path_of(&begin(&client, &door, "a").await);
        let path = format!("{session}&digest={}", digest(b"another"));
        let mut connection = Connection::open(door.address()).await;
        let answer = connection.ask("PUT", &path, "Content-Type: application/octet-stream\r\n", &blob).await;
        assert_eq!((answer.head.status, answer.code().as_str()), (400, "DIGEST_INVALID"));
        // The session is unknown to the registry: it answers before it has read the body.
        let path = "/v2/a/blobs/uploads/00000000-0000-0000-0000-000000000000?_state=none";
        let mut connection = Connection::open(door.address()).await;
        let answer = connection.ask("PATCH", path, "", &blob).await;
        assert!((400..500).contains(&answer.head.status), "{}", answer.head.status);
        // The connections to the registry are whole, too.
        let mut connection = Connection::open(door.address()).await;
        pull(&mut connection, "a", &image).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (client, image) = (http_client(), Image::small(1));
    let mut connection = Connection::open(door.address()).await;
    for (digest, blob) in &image.blobs {
        let session = path_of(&begin(&client, &door, "a").await);
        let path = format!("{session}&digest={digest}");
        let lines = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", blob.len());
        connection.request("PUT", &path, &lines).await;
        assert_eq!(connection.head().await.status, 100);
        connection.send(blob).await;
        assert_eq!(connection.answer("PUT").await.head.status, 201);
    }
    let lines =
        format!("{MANIFEST_TYPE}Expect: 100-continue\r\nContent-Length: {}\r\n", image.manifest.len());
    connection.request("PUT", "/v2/a/manifests/tag", &lines).await;
    assert_eq!(connection.head().await.status, 100);
    connection.send(&image.manifest).await;
    assert_eq!(connection.answer("PUT").await.head.status, 201);
    pull(&mut connection, "a", &image).await;

    // What is refused anyway is not asked for.
    connection.request("PUT", "/v2/UPPER/manifests/tag", &lines).await;
    assert_eq!(connection.head().await.status, 400);

    // curl waits a second if it is not asked.
    let curl = Tool::new("curl", "curl");
    std::fs::write(curl.home().join("manifest"), &image.manifest).unwrap();
    let url = format!("{}/v2/a/manifests/curl", door.url());
    let arguments = [
        "--silent",
        "--show-error",
        "--expect100-timeout",
        "20",
        "--header",
        "Expect: 100-continue",
        "--header",
        MANIFEST_TYPE.trim_end(),
        "--upload-file",
        "manifest",
        "--write-out",
        "%{http_code}",
        &url,
    ];
    let started = Instant::now();
    assert_eq!(curl.run(&arguments).await, "201");
    assert!(started.elapsed() < Duration::from_secs(10), "curl was never asked for the body");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shortest_requests_are_answered_at_once() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    for request in ["GET /v2/ HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "GET /healthz HTTP/1.0\r\n\r\n"] {
        let started = Instant::now();
        let mut connection = Connection::open(door.address()).await;
        connection.send(request).await;
        let answer = connection.answer("GET").await;
        assert_eq!(answer.head.status, 200, "{request:?}");
        assert!(!answer.body.is_empty(), "{request:?}");
        assert_eq!(connection.rest().await, b"", "HTTP/1.0 ends with the answer: {request:?}");
        assert!(started.elapsed() < Duration::from_secs(8), "{request:?} took {:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_1_0_client_pulls() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "a", "tag").await;
    let mut connection = Connection::open(door.address()).await;
    connection.send(format!("GET /v2/a/manifests/tag HTTP/1.0\r\nAccept: {ACCEPT_ALL}\r\n\r\n")).await;
    let answer = connection.answer("GET").await;
    assert_eq!((answer.head.status, answer.body), (200, image.manifest.to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_chunked_body_ends_its_connection_after_the_answer() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    for body in ["0x3\r\nabc\r\n0\r\n\r\n", "3\nabc\n0\n\n", "-3\r\nabc\r\n0\r\n\r\n"] {
        let mut connection = Connection::open(door.address()).await;
        let lines = format!("{MANIFEST_TYPE}Transfer-Encoding: chunked\r\n");
        connection.request("PUT", "/v2/a/manifests/tag", &lines).await;
        connection.send(body).await;
        let answer = connection.answer("PUT").await;
        assert_eq!(answer.head.status, 400, "{body:?}");
        assert_eq!(answer.head.get("connection"), Some("close"), "{body:?}");
        assert_eq!(connection.rest().await, b"", "{body:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_for_which_the_registry_was_not_asked_is_502() {
    let registry = crate::support::raw::RawRegistry::start(async |mut exchange| {
        exchange
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: odd\r\n\r\n")
            .await;
        std::future::pending().await
    })
    .await;
    let door = Door::builder(registry.url()).start().await;
    for (method, target) in [("GET", "/v2/a/tags/list"), ("POST", "/v2/a/blobs/uploads/")] {
        for lines in ["", "Connection: upgrade\r\nUpgrade: odd\r\n"] {
            let mut connection = Connection::open(door.address()).await;
            connection.request(method, target, &format!("{lines}Content-Length: 0\r\n")).await;
            let head = connection.head().await;
            assert_eq!(head.status, 502, "{method} {lines:?}");
        }
        let http2 = crate::support::http::client_builder().http2_prior_knowledge().build().unwrap();
        let url = format!("{}{target}", door.url());
        let answer = http2.request(method.parse().unwrap(), url).send().await.unwrap();
        assert_eq!(answer.status(), 502, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_writes_all_before_it_reads_is_told_that_its_manifest_is_too_large() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    for mebibytes in [5, 20] {
        let mut connection = Connection::open(door.address()).await;
        let body = vec![b' '; mebibytes * 1024 * 1024];
        let lines = format!("{MANIFEST_TYPE}Content-Length: {}\r\n", body.len());
        connection.request("PUT", "/v2/a/manifests/tag", &lines).await;
        connection.send(&body).await;
        let answer = connection.answer("PUT").await;
        assert_eq!((answer.head.status, answer.code().as_str()), (413, "SIZE_INVALID"));
        assert_eq!(connection.rest().await, b"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_target_with_a_fragment_is_refused() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    Image::small(1).push(&door.url(), "a", "tag").await;
    for target in ["/v2/a/manifests/tag#x", "/v2/#", "/v2/a/tags/list?n=1#x", "/#/api"] {
        let mut connection = Connection::open(door.address()).await;
        let answer = connection.ask("GET", target, "", b"").await;
        assert_eq!(answer.head.status, 400, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_that_is_too_long_to_lead_back_is_502_in_words() {
    let registry = crate::support::raw::RawRegistry::start(async |mut exchange| {
        exchange.answer("202 Accepted", &format!("Location: /odd/{}\r\n", "x".repeat(9000))).await;
    })
    .await;
    let door = Door::builder(registry.url()).start().await;
    let mut connection = Connection::open(door.address()).await;
    let answer = connection.ask("POST", "/v2/a/blobs/uploads/", "", b"").await;
    assert_eq!(answer.head.status, 502);
    let said = String::from_utf8(answer.body).unwrap();
    assert!(said.contains("`Location`") && said.contains("too long"), "{said}");
}
