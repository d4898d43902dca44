//! Heads of requests.

use std::sync::Arc;

use futures_util::future::join_all;
use reqwest::header::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{SOON, address, http2_from};
use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::http::client_builder;
use crate::support::memory::{MIB, forget_peak, peak};

const NOWHERE: &str = "http://127.0.0.1:9";

/// Sends an unfinished head of a megabyte, and answers what came back before the end.
async fn send_long_head(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, begin: &str) -> String {
    // The rest is refused; what is answered is looked at.
    let _refused = async {
        stream.write_all(begin.as_bytes()).await?;
        stream.write_all(&vec![b'a'; 1_000_000]).await?;
        stream.flush().await
    }
    .await;
    let mut said = Vec::new();
    let _reset = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_heads_end_at_64_kib_with_431() {
    let door = Door::builder(NOWHERE).start_listening().await;
    let before = forget_peak(&door);
    let begins = [
        "GET / HTTP/1.1\r\nHost: door.example\r\nX: ",
        // Empty lines before a request line are skipped (RFC 9112 section 2.2), and end no head.
        "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: door.example\r\nX: ",
        "GET /",
        "GET / HTTP/1.1\r\nHost: door.example\r\nX-Name-Without-End",
    ];
    let address = door.address();
    let asked = (0..200).map(|number| async move {
        let stream = TcpStream::connect(address).await.unwrap();
        let said = tokio::time::timeout(SOON, send_long_head(stream, begins[number % begins.len()])).await;
        (number, said.expect("a head without end is not read on"))
    });
    for (number, said) in join_all(asked).await {
        assert!(said.starts_with("HTTP/1.1 431 "), "{number}: {said:?}");
    }
    let grown = peak(&door).saturating_sub(before) / MIB;
    assert!(grown < 48, "{grown} MiB more for 200 heads");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_head_is_read_and_a_longer_one_is_431_also_on_a_kept_connection() {
    let door = Door::builder(NOWHERE).start_listening().await;
    let mut connection = Connection::open(door.address()).await;
    for _ in 0..3 {
        let lines = format!("X-Long: {}\r\n", "a".repeat(60_000));
        assert_eq!(connection.ask("GET", "/", &lines, b"").await.head.status, 200);
        // A body is no head.
        assert_eq!(connection.ask("POST", "/healthz", "", &vec![b'a'; 200_000]).await.head.status, 405);
    }
    let lines = format!("X-Long: {}\r\n", "a".repeat(70_000));
    let answer = connection.ask("GET", "/", &lines, b"").await;
    assert_eq!((answer.head.status, answer.code().as_str()), (431, "UNSUPPORTED"));
    assert_eq!(connection.rest().await, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_behind_tls() {
    let files = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (files.path().join("certificate.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let door = Door::builder(NOWHERE)
        .set("LISTEN__TLS__CERT", certificate.to_str().unwrap())
        .set("LISTEN__TLS__KEY", key.to_str().unwrap())
        .start_listening()
        .await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    // Made once, the provider of this process is there.
    let http1 = client_builder().http1_only().build().unwrap();
    let configuration = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(configuration));
    let stream = TcpStream::connect(door.address()).await.unwrap();
    let stream = connector.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap();
    let begin = "GET / HTTP/1.1\r\nHost: door.example\r\nX: ";
    let said = tokio::time::timeout(SOON, send_long_head(stream, begin)).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 431 "), "{said:?}");
    for client in [http1, client_builder().build().unwrap()] {
        for _ in 0..3 {
            let request = client.get(door.url()).header("x-long", "a".repeat(60_000));
            assert_eq!(request.send().await.unwrap().status(), 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_headers_are_refused_by_http2_as_by_http1() {
    let door = Door::builder(NOWHERE).start_listening().await;
    let headers = |count: usize| -> HeaderMap {
        (0..count).map(|number| (format!("x-{number}").parse().unwrap(), "1".parse().unwrap())).collect()
    };
    let client = http2_from(address(1));
    let status = async |count| client.get(door.url()).headers(headers(count)).send().await.unwrap().status();
    assert_eq!(status(200).await, 200);
    assert_eq!(status(400).await, 431);
    assert_eq!(status(200).await, 200, "the connection goes on");
    let lines: String = (0..400).map(|number| format!("X-{number}: 1\r\n")).collect();
    let mut connection = Connection::open(door.address()).await;
    connection.request("GET", "/", &lines).await;
    assert!(matches!(connection.head().await.status, 400 | 431));
}

/// 1,600 header lists of 60 kB on 16 connections, each a few bytes on the wire thanks to HPACK, with bodies that do not end.
#[tokio::test(flavor = "multi_thread")]
async fn heads_that_hpack_makes_long_take_little_memory() {
    let registry = crate::support::raw::RawRegistry::start(async |exchange| {
        let _kept = exchange;
        std::future::pending().await
    })
    .await;
    let door = Door::builder(registry.url()).start().await;
    let before = forget_peak(&door);
    let headers: HeaderMap = (0..15)
        .map(|number| (format!("x-{number}").parse().unwrap(), "a".repeat(4_000).parse().unwrap()))
        .collect();
    let mut flood = tokio::task::JoinSet::new();
    for connection in 0..8 {
        let client = http2_from(address(connection + 1));
        for _ in 0..50 {
            let url = format!("{}/v2/a/manifests/tag", door.url());
            let request = client.put(url).headers(headers.clone()).body(super::unfinished("{".into()));
            flood.spawn(async move { request.send().await.map(|answer| answer.status()) });
        }
    }
    let running = async || {
        let text = client_builder().build().unwrap().get(format!("{}/metrics", door.admin())).send().await;
        let text = text.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("portreeve_exchanges "));
        line.map_or(0.0, |number| number.trim().parse::<f64>().unwrap())
    };
    crate::support::wait::until("400 requests are under way", SOON, async || running().await >= 400.0).await;
    let grown = peak(&door).saturating_sub(before) / MIB;
    assert!(grown < 100, "{grown} MiB more for 400 heads");
    flood.shutdown().await;
}
