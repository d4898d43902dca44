//! What could be read in two ways never reaches the registry.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::Relay;
use crate::support::state::record;
use crate::support::tool::Tool;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(30);
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Each names something in repository `a/b` to a registry that decodes and cleans paths.
fn ambiguous() -> Vec<String> {
    [
        "/v2/a%2fb/manifests/tag",
        "/v2/a%2Fb/manifests/tag",
        "/v2/%61/b/manifests/tag",
        "/v2/a/b/manifests/ta%67",
        "/v2/a/../a/b/manifests/tag",
        "/v2/a/./b/manifests/tag",
        "/v2/a/b/c/../manifests/tag",
        "/v2/a/b/%2e%2e/b/manifests/tag",
        "/v2/a//b/manifests/tag",
        "/v2//a/b/manifests/tag",
        "/v2/a/b/manifests/tag/",
        "/v2/a/b/manifests//tag",
        "/v2/a/b/tags/list/",
        "/v2/_catalog/",
        "/v2/a\\b/manifests/tag",
        "/v2/a/b/manifests/tag%00",
        "/v2/a/b/manifests/tag%3Fx",
        "/v2/a/b/manifests/tag;x",
        "/v2/a/b/blobs/uploads/../uploads/",
        "/v2/a/b/manifests/tag/..",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([
        format!("/v2/a/b/blobs/{DIGEST}/"),
        format!("/v2/a/b/blobs/../blobs/{DIGEST}"),
        format!("/v2/a/b/blobs/sha256%253a{}", &DIGEST[7..]),
    ])
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_path_is_refused_and_never_seen_by_the_registry() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "a/b", "tag").await;
    // The door asks for that itself.
    let read = format!("GET /v2/a/b/blobs/{}", image.blobs[0].0);
    until("what the image says is read", SOON, async || relay.seen().contains(&read)).await;
    let before: BTreeSet<String> = relay.seen().into_iter().collect();
    let mut connection = Connection::open(door.address()).await;
    let type_line = format!("Content-Type: {}\r\n", image.media_type);
    for path in ambiguous() {
        for (method, body) in
            [("GET", &b""[..]), ("HEAD", b""), ("PUT", &image.manifest), ("DELETE", b""), ("POST", b"")]
        {
            let answer = connection.ask(method, &path, &type_line, body).await;
            assert!((400..500).contains(&answer.head.status), "{method} {path}: {}", answer.head.status);
            if method != "HEAD" {
                let code = answer.code();
                let codes = [
                    "NAME_INVALID",
                    "DIGEST_INVALID",
                    "TAG_INVALID",
                    "MANIFEST_UNKNOWN",
                    "BLOB_UPLOAD_INVALID",
                    "UNSUPPORTED",
                ];
                assert!(codes.contains(&code.as_str()), "{method} {path}: {code}");
            }
        }
    }
    let curl = Tool::new("curl", "curl");
    for path in ambiguous() {
        let url = format!("{}{path}", door.url());
        let arguments = [
            "--silent",
            "--path-as-is",
            "--http2-prior-knowledge",
            "--write-out",
            "%{http_code}",
            "--output",
            "body",
        ];
        let status = curl.run(&[&arguments[..], &[&url]].concat()).await;
        assert!(status.starts_with('4'), "{path} by HTTP/2: {status}");
    }
    // Not even as something harmless: since then there was nothing but the question whether the registry is well.
    let new: Vec<_> = relay.seen().into_iter().filter(|line| !before.contains(line)).collect();
    assert!(new.iter().all(|line| line == "GET /v2/"), "{new:?}");
    assert_eq!(record(&door.url()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_line_that_is_no_path_is_refused() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    for target in ["*", "v2/", "door.example:80"] {
        let method = if target.contains(':') { "CONNECT" } else { "OPTIONS" };
        let mut connection = Connection::open(door.address()).await;
        let answer = connection.ask(method, target, "", b"").await;
        assert!((400..500).contains(&answer.head.status), "{method} {target}: {}", answer.head.status);
    }
    // A target in absolute form names the same path, and must be read as that one or not at all.
    let mut connection = Connection::open(door.address()).await;
    let answer = connection.ask("GET", "http://door.example/v2/a/%2e%2e/b/tags/list", "", b"").await;
    assert!((400..500).contains(&answer.head.status), "{}", answer.head.status);
    assert!(relay.seen().iter().all(|line| line == "GET /v2/"), "{:?}", relay.seen());
}
