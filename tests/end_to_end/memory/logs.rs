//! Lines of the log: what strangers write into them is cut.

use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::raw::RawRegistry;
use crate::support::wait::until;

use super::SOON;

/// No line of the log is longer, whatever was sent.
const LONGEST_LINE: usize = 4 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_stranger_sends_makes_no_long_line() {
    let registry = RawRegistry::start(async |mut exchange| {
        // A registry's text is a stranger's, too.
        exchange.answer("202 Accepted", &format!("Location: {}\r\n", "\"".repeat(30_000))).await;
    })
    .await;
    let door = Door::builder(registry.url()).start().await;
    let long = "\"\\".repeat(25_000);
    let path = "a".repeat(50_000);
    let requests = [
        format!("GET / HTTP/1.1\r\nHost: door\r\nUser-Agent: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: door\r\nReferer: {long}\r\n\r\n"),
        format!("GET /{path} HTTP/1.1\r\nHost: door\r\n\r\n"),
        format!("GET /v2/{path}/tags/list HTTP/1.1\r\nHost: door\r\n\r\n"),
        format!("GET /v2/a/manifests/{path} HTTP/1.1\r\nHost: door\r\n\r\n"),
        format!("GET /v2/%2e%2e/{path} HTTP/1.1\r\nHost: door\r\n\r\n"),
        format!("GET /?{path} HTTP/1.1\r\nHost: door\r\n\r\n"),
        format!("{path} / HTTP/1.1\r\nHost: door\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {path}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: door\r\nAuthorization: Basic {path}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: door\r\nX-Forwarded-For: {path}\r\nForwarded: {path}\r\n\r\n"),
        format!("GET http://door/{path} HTTP/1.1\r\nHost: door\r\n\r\n"),
        format!(
            "POST /v2/a/blobs/uploads/?mount=sha256:{path}&from={path} HTTP/1.1\r\nHost: door\r\nContent-Length: 0\r\n\r\n"
        ),
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: door\r\nContent-Length: 0\r\n\r\n".to_owned(),
        format!(
            "PUT /v2/a/manifests/tag HTTP/1.1\r\nHost: door\r\nContent-Type: {path}\r\nContent-Length: 2\r\n\r\n{{}}"
        ),
        format!("{path}\r\n\r\n"),
    ];
    for request in &requests {
        let mut connection = Connection::open(door.address()).await;
        connection.send_what_is_taken(request).await;
        let mut begin = Vec::new();
        // Some are answered, some only refused.
        let _answered = tokio::time::timeout(SOON, async {
            connection
                .send_what_is_taken("GET /healthz HTTP/1.1\r\nHost: door\r\nConnection: close\r\n\r\n")
                .await;
            begin = connection.rest().await;
        })
        .await;
    }
    let mut last = Connection::open(door.address()).await;
    last.request("GET", "/the-last-one", "").await;
    until("the last line is there", SOON, async || door.log().contains("/the-last-one")).await;
    let log = door.log();
    for line in log.lines() {
        assert!(line.len() <= LONGEST_LINE, "a line of {} bytes: {}…", line.len(), &line[..500]);
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert!(log.len() < requests.len() * 2 * LONGEST_LINE, "{} bytes", log.len());
}
