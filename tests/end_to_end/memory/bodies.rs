//! Bodies that the door reads itself.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use tokio::task::JoinSet;

use super::{SOON, address, http1_from, http2_from, unfinished};
use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::guard::Guard;
use crate::support::image::Image;
use crate::support::memory::{MIB, forget_peak, peak, resident};
use crate::support::raw::RawRegistry;
use crate::support::registry::Registry;
use crate::support::wait::until;

const FORM: &str = "application/x-www-form-urlencoded";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const NOWHERE: &str = "http://127.0.0.1:9";

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unfinished_token_forms_takes_next_to_no_memory() {
    let door = Guard::new().door(NOWHERE).start_listening().await;
    let url = format!("{}/token", door.url());
    let before = forget_peak(&door);
    let clients: Vec<_> = (0..4).map(|_| http2_from(address(1))).collect();
    let form = Bytes::from(vec![b'a'; 1_000_000]);
    let asked = (0..400).map(|number| {
        let request = clients[number % 4].post(&url).header(CONTENT_TYPE, FORM);
        tokio::time::timeout(SOON, request.body(unfinished(form.clone())).send())
    });
    for answer in join_all(asked).await {
        let answer = answer.expect("a form that is too long is not waited for").unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    let grown = peak(&door).saturating_sub(before) / MIB;
    assert!(grown < 64, "{grown} MiB more for forms that nobody may send");
}

/// Nobody's bytes are kept for an answer that is known without them.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_not_waited_for_when_its_head_decides() {
    let open = Door::builder(NOWHERE).start_listening().await;
    let notified = Door::builder(NOWHERE)
        .set("NOTIFICATIONS__SECRET", "0123456789abcdef0123456789abcdef")
        .start_listening()
        .await;
    let guarded = Guard::new().door(NOWHERE).start_listening().await;
    let wrong = "Authorization: Bearer wrong\r\n";
    let long = "Content-Length: 1000000\r\n";
    let form = format!("Content-Type: {FORM}\r\n");
    for (door, path, lines, status) in [
        (&notified, "/api/v1/notifications", format!("{wrong}Content-Length: 1000\r\n"), 401),
        (&notified, "/api/v1/notifications", "Transfer-Encoding: chunked\r\n".to_owned(), 401),
        (&open, "/api/v1/notifications", "Content-Length: 1000\r\n".to_owned(), 404),
        (&open, "/token", format!("{form}Content-Length: 1000\r\n"), 404),
        (&guarded, "/token", "Content-Type: text/plain\r\nContent-Length: 1000\r\n".to_owned(), 400),
        (&guarded, "/token", format!("{form}{long}"), 413),
        (&open, "/api/v1/sync", long.to_owned(), 413),
        (&open, "/nowhere", long.to_owned(), 404),
    ] {
        let mut connection = Connection::open(door.address()).await;
        connection.request("POST", path, &lines).await;
        let head = connection.head().await;
        assert_eq!(head.status, status, "{path} {lines:?}");
        // Nor is it asked for.
        let mut connection = Connection::open(door.address()).await;
        connection.request("POST", path, &format!("{lines}Expect: 100-continue\r\n")).await;
        assert_eq!(connection.head().await.status, status, "{path} {lines:?}, waiting to be asked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_and_sent_is_answered_as_before() {
    let guard = Guard::new();
    let door = guard.door(NOWHERE).start_listening().await;
    let mut connection = Connection::open(door.address()).await;
    let form = b"grant_type=password&service=portreeve&username=alice&password=pass-of-alice";
    for round in 0..3 {
        let lines = format!("Content-Type: {FORM}\r\n");
        let answer = connection.ask("POST", "/token", &lines, form).await;
        assert_eq!(answer.head.status, 200, "round {round}: {}", String::from_utf8_lossy(&answer.body));
        let lines = format!("{lines}Expect: 100-continue\r\nContent-Length: {}\r\n", form.len());
        connection.request("POST", "/token", &lines).await;
        assert_eq!(connection.head().await.status, 100);
        connection.send(form).await;
        assert_eq!(connection.answer("POST").await.head.status, 200);
        // A body that nobody asked for does not poison the connection.
        assert_eq!(connection.ask("POST", "/healthz", "", &[b'x'; 100_000]).await.head.status, 405);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_manifests_stay_within_their_budget_and_leave_room_for_others() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).set("LIMITS__BODY_MEMORY", "32MiB").start().await;
    let image = Image::small(1);
    image.push(&door.url(), "a", "before").await;
    let before = forget_peak(&door);
    let manifest = Bytes::from(vec![b' '; 3_000_000]);
    let mut flood = JoinSet::new();
    for number in 0..100 {
        // One address over HTTP/2, and one over HTTP/1.1 in chunks.
        let client = if number % 2 == 0 { http2_from(address(1)) } else { http1_from(address(2)) };
        let url = format!("{}/v2/a/manifests/tag{number}", door.url());
        let request = client.put(url).header(CONTENT_TYPE, INDEX).body(unfinished(manifest.clone()));
        flood.spawn(async move {
            let answer = request.send().await.unwrap();
            (answer.status(), answer.headers().contains_key(RETRY_AFTER))
        });
    }
    // Each of the two has room for some; all the others are refused.
    for _ in 0..80 {
        let answer = tokio::time::timeout(SOON, flood.join_next()).await.expect("too many are refused");
        assert_eq!(answer.unwrap().unwrap(), (StatusCode::SERVICE_UNAVAILABLE, true));
    }
    // Somebody else is served meanwhile.
    let other = http1_from(address(3));
    let url = format!("{}/v2/a/manifests/meanwhile", door.url());
    let answer = other.put(url).header(CONTENT_TYPE, &image.media_type).body(image.manifest.clone()).send();
    assert_eq!(answer.await.unwrap().status(), StatusCode::CREATED);
    let grown = peak(&door).saturating_sub(before) / MIB;
    assert!(grown < 32 + 64, "{grown} MiB more, with a budget of 32");
    // When the flood is gone, so is what it held.
    flood.shutdown().await;
    let again = http1_from(address(1));
    until("the flood's room is free again", SOON, async || {
        let url = format!("{}/v2/a/manifests/after", door.url());
        let mut long = image.manifest.to_vec();
        long.resize(4_000_000, b' ');
        let answer = again.put(url).header(CONTENT_TYPE, &image.media_type).body(long).send().await.unwrap();
        answer.status() == StatusCode::CREATED
    })
    .await;
}

/// A megabyte of a manifest can be ten in memory once it is understood.
#[tokio::test(flavor = "multi_thread")]
async fn what_manifests_become_when_they_are_read_counts_too() {
    // It takes each write and never answers.
    let registry = RawRegistry::start(async |mut exchange| {
        exchange.rest().await;
    })
    .await;
    let door = Door::builder(registry.url()).set("LIMITS__BODY_MEMORY", "32MiB").start().await;
    let annotations: Vec<_> = (0..90_000).map(|number| format!("\"{number:x}\":\"\"")).collect();
    let manifest = Bytes::from(format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[],\"annotations\":{{{}}}}}",
        annotations.join(",")
    ));
    let before = forget_peak(&door);
    let mut flood = JoinSet::new();
    for number in 0..40 {
        let url = format!("{}/v2/a/manifests/tag{number}", door.url());
        let client = http1_from(address(number % 8 + 1));
        let request = client.put(url).header(CONTENT_TYPE, INDEX).body(manifest.clone());
        flood.spawn(async move { request.send().await.unwrap().status() });
    }
    for _ in 0..36 {
        let answer = tokio::time::timeout(SOON, flood.join_next()).await.expect("too many are refused");
        assert_eq!(answer.unwrap().unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    }
    let grown = peak(&door).saturating_sub(before) / MIB;
    assert!(grown < 32 + 96, "{grown} MiB more, with a budget of 32");
}

/// Uploads are streamed: of what a registry does not take, no more is held than HTTP/2 lets a client send ahead.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_a_registry_does_not_take_are_held_at_their_clients() {
    let registry = RawRegistry::start(async |exchange| {
        let _kept = exchange;
        std::future::pending().await
    })
    .await;
    let door = Door::builder(registry.url()).set("LIMITS__BODY_MEMORY", "16MiB").start().await;
    let before = forget_peak(&door);
    let mut flood = JoinSet::new();
    for number in 0..100_u8 {
        let client = http2_from(address(number % 20 + 1));
        for upload in 0..4 {
            let url = format!("{}/v2/a/blobs/uploads/{number}-{upload}", door.url());
            let piece = Bytes::from(vec![7; 64_000]);
            let endless = stream::repeat(piece).map(Ok::<_, std::io::Error>);
            let request = client.patch(url).body(reqwest::Body::wrap_stream(endless));
            flood.spawn(async move { request.send().await.map(|answer| answer.status()) });
        }
    }
    // What is held grows to its bound and no further.
    let mut seen = 0;
    until("nothing more is taken", SOON, async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = resident(&door) / MIB;
        std::mem::replace(&mut seen, now) + 1 >= now
    })
    .await;
    // 400 requests under way, each with its buffers.
    let grown = peak(&door).saturating_sub(before) / MIB;
    assert!(grown < 16 + 140, "{grown} MiB more for 400 uploads on 100 connections");
    flood.shutdown().await;
}

/// A body is what came: nobody inflates it, so that a small one stays small.
#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_not_inflated() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push_blobs(&door.url(), "a").await;
    image.push_blobs(&registry.url(), "bare").await;
    let packed = std::process::Command::new("gzip")
        .args(["--stdout", "--no-name"])
        .stdin({
            let mut file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut file, &image.manifest).unwrap();
            std::io::Seek::rewind(&mut file).unwrap();
            file
        })
        .output()
        .unwrap();
    for (base, repository) in [(registry.url(), "bare"), (door.url(), "a")] {
        let request = http1_from(address(1))
            .put(format!("{base}/v2/{repository}/manifests/tag"))
            .header(CONTENT_TYPE, &image.media_type)
            .header("content-encoding", "gzip")
            .body(packed.stdout.clone());
        assert_eq!(request.send().await.unwrap().status(), StatusCode::BAD_REQUEST, "{base}");
    }
}
