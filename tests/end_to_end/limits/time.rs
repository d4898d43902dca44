//! How long a client may take: for a head, for a body that the door reads itself, for nothing at all.

use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use super::{SOON, metric, until_metric};
use crate::support::attacker::{Attacker, PREFACE, fields, frame, get, ping, settings};
use crate::support::connection::Connection;
use crate::support::door::{Door, DoorBuilder};
use crate::support::http::http_client;
use crate::support::image::{Image, digest};
use crate::support::raw::RawRegistry;
use crate::support::registry::Registry;
use crate::support::throttle::SlowLine;
use crate::support::wait::until;

/// With a certificate of its own, which lives as long as what is answered with it.
async fn start_by_tls(settings: DoorBuilder) -> (Door, TempDir) {
    let files = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (files.path().join("certificate.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    let settings = settings
        .set("LISTEN__TLS__CERT", certificate.to_str().unwrap())
        .set("LISTEN__TLS__KEY", key.to_str().unwrap());
    (settings.start().await, files)
}

/// Waits for a head a second, and for a connection without requests so long.
fn hasty(registry: &str, idle: &str) -> DoorBuilder {
    Door::builder(registry).set("LIMITS__HEAD_TIMEOUT", "1s").set("LIMITS__IDLE_TIMEOUT", idle)
}

/// The metric of clients that did not send in time.
const CUT_OFF: &str = "portreeve_stalls_total{by=\"client\"";

async fn must_close(what: &str, mut attacker: Attacker) {
    let (is_closed, came) = attacker.is_closed_within(SOON).await;
    assert!(is_closed, "{what}: still open, after {} bytes", came.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_come_to_a_request_is_closed() {
    let registry = Registry::start().await;
    let door = hasty(&registry.url(), "1h").start().await;
    let (by_tls, _files) = start_by_tls(hasty(&registry.url(), "1h")).await;
    let plain = door.address();
    let tls = by_tls.address();
    let half_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let with_settings = [PREFACE, &settings(65_535)].concat();
    let tries: [(&str, Attacker, &[u8]); 13] = [
        ("nothing", Attacker::open(plain).await, b""),
        ("half a request line", Attacker::open(plain).await, b"GET /v2"),
        ("half a head", Attacker::open(plain).await, b"GET /v2/ HTTP/1.1\r\nHost: do"),
        ("half a preface", Attacker::open(plain).await, &PREFACE[..12]),
        ("a preface", Attacker::open(plain).await, PREFACE),
        ("settings", Attacker::open(plain).await, &with_settings),
        ("no TLS", Attacker::open(tls).await, b""),
        ("half a TLS hello", Attacker::open(tls).await, half_hello),
        ("nothing after TLS", Attacker::by_tls(tls, b"h2").await, b""),
        ("half a preface after TLS", Attacker::by_tls(tls, b"h2").await, &PREFACE[..12]),
        ("settings after TLS", Attacker::by_tls(tls, b"h2").await, &with_settings),
        ("nothing after TLS for HTTP/1.1", Attacker::by_tls(tls, b"http/1.1").await, b""),
        ("half a head after TLS", Attacker::by_tls(tls, b"http/1.1").await, b"GET /v2/ HTTP/1.1\r\n"),
    ];
    let tries = tries.map(async |(what, mut attacker, bytes)| {
        attacker.send(bytes).await;
        must_close(what, attacker).await;
    });
    futures_util::future::join_all(tries).await;
    let refused = "portreeve_connections_refused_total{cause=\"silent\"}";
    assert!(metric(&door, refused).await >= 6.0 && metric(&by_tls, refused).await >= 7.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_drips_is_cut_off_though_something_always_comes() {
    let registry = Registry::start().await;
    let door = hasty(&registry.url(), "1h").start().await;
    let (by_tls, _files) = start_by_tls(hasty(&registry.url(), "1h")).await;
    let begin = [PREFACE, &settings(65_535)].concat();
    // HEADERS without their end, and then continuations of one field each, without end.
    let head = frame(1, 0, 1, &fields("GET", "/v2/"));
    let continuation = frame(9, 0, 1, b"\0\x01a\x01b");
    let http2: [&[u8]; 3] = [&begin, &head, &continuation];
    let http1: [&[u8]; 2] = [b"GET /v2/ HTTP/1.1\r\nHost: door\r\n", b"a: b\r\n"];
    let letters: [&[u8]; 2] = [b"G", b"E"];
    let tries: [(&str, Attacker, &[&[u8]]); 7] = [
        ("HTTP/1.1", Attacker::open(door.address()).await, &http1),
        ("HTTP/1.1 by letters", Attacker::open(door.address()).await, &letters),
        ("HTTP/2", Attacker::open(door.address()).await, &http2),
        ("pings", Attacker::open(door.address()).await, &[&begin, &ping()]),
        ("HTTP/1.1 by TLS", Attacker::by_tls(by_tls.address(), b"http/1.1").await, &http1),
        ("HTTP/2 by TLS", Attacker::by_tls(by_tls.address(), b"h2").await, &http2),
        ("pings by TLS", Attacker::by_tls(by_tls.address(), b"h2").await, &[&begin, &ping()]),
    ];
    let tries = tries.map(async |(what, mut attacker, pieces)| {
        let (is_closed, _) = attacker.is_closed_while_dripping(pieces, SOON).await;
        assert!(is_closed, "{what}");
    });
    futures_util::future::join_all(tries).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_head_has_its_time_from_its_first_byte_on() {
    let registry = Registry::start().await;
    let door = hasty(&registry.url(), "1h").start().await;
    let mut attacker = Attacker::open(door.address()).await;
    attacker.send("GET /v2/ HTTP/1.1\r\nHost: door\r\n\r\n").await;
    attacker.receive().await;
    // Longer than a head may take, since none has begun.
    let (is_closed, _) = attacker.is_closed_within(Duration::from_millis(2_500)).await;
    assert!(!is_closed);
    let pieces: [&[u8]; 2] = [b"GET /v2/ HTTP/1.1\r\nHost: door\r\n", b"a: b\r\n"];
    let (is_closed, _) = attacker.is_closed_while_dripping(&pieces, SOON).await;
    assert!(is_closed);
    until_metric(&door, "portreeve_connections_refused_total{cause=\"slow_head\"}", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_requests_is_closed_after_its_time_whatever_else_is_sent() {
    let registry = Registry::start().await;
    let idle = || Door::builder(registry.url()).set("LIMITS__IDLE_TIMEOUT", "1s");
    let door = idle().start().await;
    let (by_tls, _files) = start_by_tls(idle()).await;
    let http1 = b"GET /v2/ HTTP/1.1\r\nHost: door\r\n\r\n";
    let http2 = [PREFACE, &settings(65_535), &get(1, "/v2/")].concat();
    let tries: [(&str, Attacker, &[u8], bool); 6] = [
        ("HTTP/1.1", Attacker::open(door.address()).await, http1, false),
        ("HTTP/2", Attacker::open(door.address()).await, &http2, false),
        ("HTTP/2 with pings", Attacker::open(door.address()).await, &http2, true),
        ("HTTP/1.1 by TLS", Attacker::by_tls(by_tls.address(), b"http/1.1").await, http1, false),
        ("HTTP/2 by TLS", Attacker::by_tls(by_tls.address(), b"h2").await, &http2, false),
        ("HTTP/2 by TLS with pings", Attacker::by_tls(by_tls.address(), b"h2").await, &http2, true),
    ];
    let tries = tries.map(async |(what, mut attacker, request, pings)| {
        attacker.send(request).await;
        attacker.receive().await;
        let ping = if pings { ping() } else { Vec::new() };
        let (is_closed, _) = attacker.is_closed_while_dripping(&[&ping], SOON).await;
        assert!(is_closed, "{what}");
    });
    futures_util::future::join_all(tries).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_the_door_reads_itself_must_not_drip() {
    let registry = RawRegistry::start(async |exchange| panic!("it must not hear of {}", exchange.line)).await;
    let settings_of = || hasty(&registry.url(), "1h").set("LISTEN__CLIENT_TIMEOUT", "1h");
    let door = settings_of().start().await;
    let begin = [PREFACE, &settings(65_535)].concat();
    let tries = [("PUT", "/v2/a/manifests/tag"), ("POST", "/api/v1/sync")].map(async |(method, path)| {
        let mut http1 = Attacker::open(door.address()).await;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: door\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        let (is_closed, came) =
            http1.is_closed_while_dripping(&[head.as_bytes(), b"1\r\n \r\n"], SOON).await;
        let came = String::from_utf8_lossy(&came).into_owned();
        assert!(is_closed && came.starts_with("HTTP/1.1 408 "), "{method} {path}: {is_closed} {came}");
        // A chunk whose extension has no end is no body at all.
        let mut http1 = Attacker::open(door.address()).await;
        let (is_closed, _) = http1.is_closed_while_dripping(&[head.as_bytes(), b"1;a=b", b"c"], SOON).await;
        assert!(is_closed, "{method} {path}");
        // Nor are trailers without an end.
        let mut http1 = Attacker::open(door.address()).await;
        let pieces: [&[u8]; 3] = [head.as_bytes(), b"1\r\n \r\n0\r\n", b"a: b\r\n"];
        let (is_closed, _) = http1.is_closed_while_dripping(&pieces, SOON).await;
        assert!(is_closed, "{method} {path} with trailers");
        // Nor is one that was asked for, and does not come.
        let mut http1 = Attacker::open(door.address()).await;
        let head = head.replace("Transfer-Encoding: chunked", "Content-Length: 9\r\nExpect: 100-continue");
        http1.send(&head).await;
        let (is_closed, came) = http1.is_closed_within(SOON).await;
        let came = String::from_utf8_lossy(&came).into_owned();
        assert!(is_closed && came.contains("HTTP/1.1 408 "), "{method} {path}: {is_closed} {came}");
        // HEADERS with their end, and then one byte after the other.
        let mut http2 = Attacker::open(door.address()).await;
        http2.send(&begin).await;
        http2.send(frame(1, 4, 1, &fields(method, path))).await;
        let piece = frame(0, 0, 1, b" ");
        let pieces: [&[u8]; 1] = [&piece];
        tokio::select! {
            _ = http2.is_closed_while_dripping(&pieces, SOON) => panic!("{method} {path}: nobody was cut off"),
            () = until_metric(&door, CUT_OFF, 8.0) => {}
        }
    });
    futures_util::future::join_all(tries).await;
    until_metric(&door, CUT_OFF, 8.0).await;
    until("nothing runs", SOON, async || metric(&door, "portreeve_exchanges").await == 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_read_nothing_hold_no_connections_to_the_registry() {
    let registry = Registry::start().await;
    let image = Image::small(1);
    image.push_blobs(&registry.url(), "a").await;
    let (name, _) = image.blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let settings_of = || Door::builder(registry.url()).set("LISTEN__CLIENT_TIMEOUT", "1s");
    let door = settings_of().start().await;
    let (by_tls, _files) = start_by_tls(settings_of()).await;
    let path = format!("/v2/a/blobs/{name}");
    for (what, door, mut attacker) in [
        ("HTTP/2", &door, Attacker::unreading(door.address()).await),
        ("HTTP/2 by TLS", &by_tls, Attacker::by_tls(by_tls.address(), b"h2").await),
    ] {
        attacker.send([PREFACE, &settings(0)].concat()).await;
        for number in 0..50 {
            attacker.send(get(2 * number + 1, &path)).await;
        }
        until_metric(door, "portreeve_stalls_total{by=\"client\",cause=\"not_reading\"}", 50.0).await;
        until(what, SOON, async || metric(door, "portreeve_exchanges").await == 0.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_and_never_reads_is_closed() {
    let registry = Registry::start().await;
    let settings_of = || {
        Door::builder(registry.url()).set("LISTEN__CLIENT_TIMEOUT", "1s").set("LIMITS__IDLE_TIMEOUT", "1s")
    };
    let door = settings_of().start().await;
    // Each setting has to be acknowledged, each ping to be answered; nobody reads it.
    for (what, piece) in [("settings", settings(65_535)), ("pings", ping())] {
        let mut attacker = Attacker::unreading(door.address()).await;
        attacker.send([PREFACE, &settings(65_535)].concat()).await;
        let much = piece.repeat(10_000);
        let sending = async {
            loop {
                if tokio::time::timeout(SOON, attacker.try_send(&much)).await.expect(what).is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(SOON * 2, sending).await.unwrap_or_else(|_| panic!("{what}: still open"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_that_goes_on_is_served_however_long_it_takes() {
    let registry = Registry::start().await;
    let door = hasty(&registry.url(), "1s").set("LISTEN__CLIENT_TIMEOUT", "2s").start().await;
    // Three seconds and more at this rate: longer than every limit.
    let rate = 100_000;
    let line = SlowLine::start(door.address(), rate).await;
    let layer = vec![7; 3 * rate + rate / 2];
    let name = digest(&layer);
    let client = http_client();
    let begun = client.post(format!("http://{}/v2/a/blobs/uploads/", line.address())).send().await.unwrap();
    assert_eq!(begun.status(), 202);
    let mut location = url::Url::parse(begun.headers()["location"].to_str().unwrap()).unwrap();
    location.set_port(Some(line.address().port())).unwrap();
    location.query_pairs_mut().append_pair("digest", &name);
    let ended = client.put(location).body(layer.clone()).send().await.unwrap();
    assert_eq!(ended.status(), 201);
    // And back, a piece at a time.
    let mut connection = Connection::open(door.address()).await;
    connection.request("GET", &format!("/v2/a/blobs/{name}"), "").await;
    assert_eq!(connection.head().await.status, 200);
    let mut read = Vec::new();
    let part = layer.len() as u64 / 7;
    for _ in 0..7 {
        connection.read(part, &mut read).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    connection.read(layer.len() as u64 - 7 * part, &mut read).await;
    assert!(read == layer);
    // A manifest at a rate that is slow, but not too slow.
    let manifest = Image::small(2);
    manifest.push_blobs(&door.url(), "a").await;
    let line = SlowLine::start(door.address(), 20_000).await;
    let answer = manifest.put(&format!("http://{}", line.address()), "a", "tag").await;
    assert_eq!(answer.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn framing_without_an_end_is_no_progress_of_a_layer() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).set("LISTEN__CLIENT_TIMEOUT", "1s").start().await;
    let mut connection = Connection::open(door.address()).await;
    let begun = connection.ask("POST", "/v2/a/blobs/uploads/", "", b"").await;
    let location = url::Url::parse(begun.head.get("location").unwrap()).unwrap();
    let head = format!(
        "PATCH {}?{} HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked\r\n\r\n",
        location.path(),
        location.query().unwrap_or_default()
    );
    let extension: [&[u8]; 2] = [b"1;a=b", b"c"];
    let trailers: [&[u8]; 2] = [b"1\r\n \r\n0\r\n", b"a: b\r\n"];
    for (what, pieces) in [("an extension of a chunk", extension), ("trailers", trailers)] {
        let mut attacker = Attacker::open(door.address()).await;
        let pieces = [&[head.as_bytes()], pieces.as_slice()].concat();
        let (is_closed, _) = attacker.is_closed_while_dripping(&pieces, SOON).await;
        assert!(is_closed, "{what}");
    }
    until("nothing runs", SOON, async || metric(&door, "portreeve_exchanges").await == 0.0).await;
}
