//! Being told to stop: what runs may end, and then the door does.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;

use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::http::{client_builder, http_client};
use crate::support::image::{Image, digest};
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::state::{assert_in_step, record, truth};
use crate::support::tool::Tool;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(20);
/// An idle door, and one whose last transfer has ended, is gone within this time.
const AT_ONCE: Duration = Duration::from_secs(4);
const CHUNK: usize = 0x10000;

/// Begins to send a blob of unknown length, and sends its first piece.
async fn begin_upload(door: &Door) -> Connection {
    let mut connection = Connection::open(door.address()).await;
    let answer = connection.ask("POST", "/v2/a/blobs/uploads/", "", b"").await;
    assert_eq!(answer.head.status, 202);
    let location = answer.head.get("location").unwrap();
    // The connection asked for `door.example`, so that is where its session is.
    let path = location.strip_prefix("http://door.example").unwrap_or_else(|| panic!("{location}"));
    connection.request("PATCH", path, "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n").await;
    // Now it is under way, at the registry.
    assert_eq!(connection.head().await.status, 100);
    send_chunk(&mut connection).await;
    connection
}

async fn send_chunk(connection: &mut Connection) {
    connection.send([format!("{CHUNK:x}\r\n").as_bytes(), &[7; CHUNK], b"\r\n"].concat()).await;
}

/// Waits until the door has begun to stop.
async fn until_stopping(door: &Door) {
    let client = http_client();
    until("the door says that it stops", SOON, async || {
        let response = client.get(format!("{}/readyz", door.admin())).send().await.unwrap();
        response.status() == 503 && response.text().await.unwrap().starts_with("stopping")
    })
    .await;
}

/// Fails unless new connections are refused.
async fn assert_closed(door: &Door) {
    until("new connections are refused", SOON, async || {
        tokio::net::TcpStream::connect(door.address()).await.is_err()
    })
    .await;
}

/// Fails unless the door ends well within the time.
async fn assert_ends(door: &mut Door, within: Duration) {
    let started = Instant::now();
    let status = door.wait_exit(SOON * 2).await;
    let took = started.elapsed();
    assert_eq!(status.code(), Some(0), "{status}\n{}", door.log());
    assert!(took <= within, "it took {took:?}\n{}", door.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upload_may_end_and_then_the_door_does() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    let mut upload = begin_upload(&door).await;
    door.signal("TERM");
    until_stopping(&door).await;
    assert_closed(&door).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        send_chunk(&mut upload).await;
    }
    upload.send("0\r\n\r\n").await;
    let answer = upload.answer("PATCH").await;
    assert_eq!(answer.head.status, 202);
    assert_eq!(answer.head.get("range"), Some(format!("0-{}", 6 * CHUNK - 1).as_str()));
    assert_ends(&mut door, AT_ONCE).await;
    assert!(door.log().contains("every transfer has ended"), "{}", door.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_download_may_end_and_then_the_door_does() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    // More than all sockets on the way hold.
    let blob = Bytes::from(vec![7; 64 * 1024 * 1024]);
    let image = Image { blobs: vec![(digest(&blob), blob.clone())], ..Image::small(1) };
    image.push_blobs(&registry.url(), "a").await;
    let mut download = Connection::open(door.address()).await;
    download.request("GET", &format!("/v2/a/blobs/{}", digest(&blob)), "").await;
    assert_eq!(download.head().await.status, 200);
    let mut read = Vec::new();
    download.read(1_000_000, &mut read).await;
    door.signal("TERM");
    until_stopping(&door).await;
    assert_closed(&door).await;
    while read.len() < blob.len() {
        let rest = (blob.len() - read.len()) as u64;
        tokio::time::sleep(Duration::from_millis(50)).await;
        download.read(rest.min(5_000_000), &mut read).await;
    }
    assert!(read == blob, "the blob came through whole");
    assert_ends(&mut door, AT_ONCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upload_by_http2_may_end_and_then_the_door_does() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    let client = client_builder().http2_prior_knowledge().build().unwrap();
    let started = client.post(format!("{}/v2/a/blobs/uploads/", door.url())).send().await.unwrap();
    let session = started.headers()["location"].to_str().unwrap().to_owned();
    let (pieces, mut coming) = tokio::sync::mpsc::channel::<Bytes>(1);
    let body =
        stream::poll_fn(move |context| coming.poll_recv(context).map(|piece| piece.map(Ok::<_, Infallible>)));
    let upload = tokio::spawn(client.patch(session).body(reqwest::Body::wrap_stream(body)).send());
    // More than may be sent without being read.
    for _ in 0..100 {
        pieces.send(Bytes::from_static(&[7; CHUNK])).await.unwrap();
    }
    door.signal("TERM");
    until_stopping(&door).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        pieces.send(Bytes::from_static(&[7; CHUNK])).await.unwrap();
    }
    drop(pieces);
    let response = upload.await.unwrap().unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(response.headers()["range"], format!("0-{}", 103 * CHUNK - 1).as_str());
    assert_ends(&mut door, AT_ONCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_download_by_http2_may_end_and_then_the_door_does() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    let blob = Bytes::from(vec![7; 32 * 1024 * 1024]);
    let image = Image { blobs: vec![(digest(&blob), blob.clone())], ..Image::small(1) };
    image.push_blobs(&registry.url(), "a").await;
    // It allows for megabytes to be on their way, and takes them slowly.
    let curl = Tool::new("curl", "curl");
    let pulled = curl.home().join("pulled");
    let url = format!("{}/v2/a/blobs/{}", door.url(), digest(&blob));
    let pulling = tokio::spawn(async move {
        let options = ["--silent", "--show-error", "--http2-prior-knowledge", "--limit-rate", "12M"];
        curl.run(&[&options[..], &["--output", "pulled", &url]].concat()).await;
        assert!(std::fs::read(curl.home().join("pulled")).unwrap() == blob, "the blob came through whole");
    });
    until("the download has begun", SOON, async || {
        std::fs::metadata(&pulled).is_ok_and(|file| file.len() > 0)
    })
    .await;
    door.signal("TERM");
    until_stopping(&door).await;
    assert_closed(&door).await;
    pulling.await.unwrap();
    assert_ends(&mut door, AT_ONCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_ask_and_ask_on_kept_connections_do_not_keep_the_door_from_ending() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "a", "tag").await;
    let answered = Arc::new(AtomicUsize::new(0));
    let url = format!("{}/v2/a/blobs/{}", door.url(), image.blobs[1].0);
    let askers: Vec<_> = (0..4)
        .map(|number| {
            let (answered, url) = (Arc::clone(&answered), url.clone());
            let builder = client_builder();
            let builder =
                if number % 2 == 0 { builder.http2_prior_knowledge() } else { builder.http1_only() };
            tokio::spawn(async move {
                let client = builder.build().unwrap();
                // Until nobody answers any more.
                while let Ok(response) = client.get(&url).send().await {
                    assert_eq!(response.status(), 200);
                    response.bytes().await.unwrap();
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    until("everybody has been answered", SOON, async || answered.load(Ordering::Relaxed) >= 40).await;
    door.signal("TERM");
    assert_ends(&mut door, AT_ONCE).await;
    for asker in askers {
        asker.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_begin_while_the_door_stops_are_told_to_end() {
    let registry = Registry::start().await;
    for _ in 0..5 {
        let mut door = Door::builder(registry.url()).start().await;
        let (url, stops) = (format!("{}/v2/", door.url()), Arc::new(AtomicBool::new(false)));
        let answered = Arc::new(AtomicUsize::new(0));
        let askers: Vec<_> = (0..16)
            .map(|_| {
                let (url, stops, answered) = (url.clone(), Arc::clone(&stops), Arc::clone(&answered));
                tokio::spawn(async move {
                    // New connections all the time, each for one request; when the door stops, for as many as it answers.
                    loop {
                        let client = client_builder().http2_prior_knowledge().build().unwrap();
                        while let Ok(response) = client.get(&url).send().await {
                            assert_eq!(response.status(), 200);
                            answered.fetch_add(1, Ordering::Relaxed);
                            if !stops.load(Ordering::Relaxed) {
                                break;
                            }
                        }
                        if stops.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                })
            })
            .collect();
        until("they are answered", SOON, async || answered.load(Ordering::Relaxed) >= 100).await;
        stops.store(true, Ordering::Relaxed);
        door.signal("TERM");
        assert_ends(&mut door, AT_ONCE).await;
        for asker in askers {
            asker.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_door_ends_at_once_whoever_is_connected() {
    let registry = Registry::start().await;
    for signal in ["TERM", "INT"] {
        let mut door = Door::builder(registry.url()).start().await;
        let silent = Connection::open(door.address()).await;
        let mut kept = Connection::open(door.address()).await;
        assert_eq!(kept.ask("GET", "/v2/", "", b"").await.head.status, 200);
        let http2 = client_builder().http2_prior_knowledge().build().unwrap();
        assert_eq!(http2.get(format!("{}/v2/", door.url())).send().await.unwrap().status(), 200);
        let mut half = Connection::open(door.address()).await;
        half.send("GET /v2/ HTT").await;
        door.signal(signal);
        assert_ends(&mut door, AT_ONCE).await;
        for mut connection in [silent, kept, half] {
            assert_eq!(connection.rest().await, b"");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_more_does_not_keep_the_door_for_long() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    let mut http2 = Connection::open(door.address()).await;
    // The beginning of HTTP/2 with empty settings; nothing that the door then sends is ever confirmed.
    http2.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let mut settings = Vec::new();
    http2.read(9, &mut settings).await;
    door.signal("TERM");
    assert_ends(&mut door, Duration::from_secs(8)).await;
    assert!(door.log().contains("every transfer has ended"), "{}", door.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_longer_than_the_grace_period_is_cut_off() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).set("SERVER__GRACE", "1s").start().await;
    let mut upload = begin_upload(&door).await;
    let started = Instant::now();
    door.signal("TERM");
    assert_ends(&mut door, Duration::from_secs(3)).await;
    assert!(started.elapsed() >= Duration::from_secs(1), "cut off after {:?}", started.elapsed());
    assert_eq!(upload.rest().await, b"");
    assert!(door.log().contains("server.grace is over"), "{}", door.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_door_at_once() {
    let registry = Registry::start().await;
    for second in ["TERM", "INT"] {
        let mut door = Door::builder(registry.url()).start().await;
        let _upload = begin_upload(&door).await;
        door.signal("TERM");
        until_stopping(&door).await;
        door.signal(second);
        assert_ends(&mut door, AT_ONCE).await;
    }
}

/// What `Connection` an answer has.
async fn connection_of(connection: &mut Connection) -> Option<String> {
    let answer = connection.ask("GET", "/v2/", "", b"").await;
    assert_eq!(answer.head.status, 200);
    answer.head.get("connection").map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lame_duck_serves_whoever_comes_and_ends_each_connection_behind_its_next_answer() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).set("SERVER__LAME_DUCK", "4s").start().await;
    let mut kept = Connection::open(door.address()).await;
    assert_eq!(connection_of(&mut kept).await.as_deref(), Some("keep-alive"));
    let http2 = client_builder().http2_prior_knowledge().build().unwrap();
    let url = format!("{}/v2/", door.url());
    assert_eq!(http2.get(&url).send().await.unwrap().status(), 200);
    let mut upload = begin_upload(&door).await;
    let started = Instant::now();
    door.signal("TERM");
    until_stopping(&door).await;
    let ready = http_client().get(format!("{}/readyz", door.url())).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    // Answers of the door's own and the registry's alike, on new connections and on kept ones.
    let mut new = Connection::open(door.address()).await;
    for connection in [&mut kept, &mut new] {
        assert_eq!(connection_of(connection).await.as_deref(), Some("close"));
        assert_eq!(connection.rest().await, b"");
    }
    let mut through = Connection::open(door.address()).await;
    let answer = through.ask("POST", "/v2/a/blobs/uploads/", "", b"").await;
    assert_eq!((answer.head.status, answer.head.get("connection")), (202, Some("close")));
    // The kept connection was told to go, which a client may notice in the middle of its next request.
    let http2 = client_builder().http2_prior_knowledge().build().unwrap();
    assert_eq!(http2.get(&url).send().await.unwrap().status(), 200, "by a new connection");
    upload.send("0\r\n\r\n").await;
    assert_eq!(upload.answer("PATCH").await.head.status, 202);
    assert!(started.elapsed() < Duration::from_secs(4), "this machine is too slow: {:?}", started.elapsed());
    assert_ends(&mut door, Duration::from_secs(8)).await;
    assert!(started.elapsed() >= Duration::from_secs(4), "it ended after {:?}", started.elapsed());
    assert_closed(&door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_without_a_grace_period_ends_at_once() {
    let registry = Registry::start().await;
    for _ in 0..4 {
        let mut door = Door::builder(registry.url()).set("SERVER__GRACE", "0s").start().await;
        let _upload = begin_upload(&door).await;
        door.signal("TERM");
        assert_ends(&mut door, AT_ONCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_lame_duck_at_once() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).set("SERVER__LAME_DUCK", "1h").start().await;
    door.signal("TERM");
    until_stopping(&door).await;
    door.signal("TERM");
    assert_ends(&mut door, AT_ONCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_write_in_flight_is_settled_before_the_door_ends() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let mut door = Door::builder(relay.url()).start().await;
    let image = Image::small(1);
    image.push_blobs(&door.url(), "a").await;
    relay.script(|request| match request.method.as_str() {
        "PUT" => Fault::Delay(Duration::from_secs(1)),
        _ => Fault::None,
    });
    let put = |tag: &'static str| {
        let (image, url) = (image.clone(), door.url());
        tokio::spawn(async move { image.put(&url, "a", tag).await.status() })
    };
    let (stays, leaves) = (put("stays"), put("leaves"));
    until("both writes are at the registry", SOON, async || {
        let seen = relay.seen();
        ["stays", "leaves"].iter().all(|tag| seen.contains(&format!("PUT /v2/a/manifests/{tag}")))
    })
    .await;
    leaves.abort();
    door.signal("TERM");
    assert_eq!(stays.await.unwrap(), 201);
    assert_ends(&mut door, Duration::from_secs(2)).await;

    door.restart().await;
    let tags = truth(&registry.url()).await;
    assert_eq!((tags.len(), &record(&door.url()).await), (2, &tags));
    // Observed, not found out afterwards.
    let events = door.get_json("/api/v1/events?repository=a").await;
    for event in events["items"].as_array().unwrap() {
        assert_eq!(event["source"], "observed", "{event}");
    }
    assert_eq!(door.get_json("/api/v1/status").await["verifications"]["completed"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_was_acknowledged_just_before_the_end_is_recorded() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    for seed in 0..3 {
        Image::small(seed).push(&door.url(), "a", &format!("tag{seed}")).await;
        door.signal("TERM");
        assert_ends(&mut door, AT_ONCE).await;
        door.restart().await;
        assert_in_step(&door.url(), &registry.url(), Duration::ZERO).await;
    }
    assert_eq!(record(&door.url()).await.len(), 3);
}
