//! Requests that the door reads itself, beside those that pingora reads: no client can tell which way its request took. What asks
//! for the end of its connection, pingora reads.

use crate::auth::catalog::sweep;
use crate::support::connection::{Answer, Connection};
use crate::support::door::Door;
use crate::support::guard::{Guard, token};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::sweep::sweep_through;

/// One answer, with its head as it came, but for what is different for each request and each way.
async fn answer(connection: &mut Connection, method: &str) -> (Vec<String>, Vec<u8>) {
    let Answer { head, body } = connection.answer(method).await;
    let differs = ["connection: ", "date: ", "x-request-id: "];
    let lines = head.lines().iter().filter(|line| {
        let line = line.to_ascii_lowercase();
        !differs.iter().any(|name| line.starts_with(name))
    });
    (lines.cloned().collect(), body)
}

async fn assert_same(door: &Door, method: &str, target: &str, lines: &str) -> u16 {
    let mut directly = Connection::open(door.address()).await;
    let mut by_pingora = Connection::open(door.address()).await;
    directly.request(method, target, lines).await;
    by_pingora.request(method, target, &format!("{lines}Connection: close\r\n")).await;
    let (head, body) = answer(&mut directly, method).await;
    let (expected_head, expected_body) = answer(&mut by_pingora, method).await;
    assert_eq!(head, expected_head, "{method} {target}");
    assert!(body == expected_body, "{method} {target}: {}", String::from_utf8_lossy(&body));
    assert!(by_pingora.rest().await.is_empty());
    // The connection goes on, and the answer had the length that it said.
    directly.request("GET", "/healthz", "").await;
    assert_eq!(directly.answer("GET").await.head.status, 200, "after {method} {target}");
    head[0].split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_doors_own_is_the_same_to_the_byte_on_either_way() {
    let registry = Registry::start_lenient().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "v1").await;
    sweep_through(&door, true).await;
    let digest = format!("/v2/team/app/manifests/{}", image.digest);
    let accept = format!("Accept: {}\r\n", image.media_type);
    for (method, target, lines, status) in [
        ("GET", digest.as_str(), accept.as_str(), 200),
        ("HEAD", &digest, &accept, 200),
        ("GET", &digest, &format!("{accept}If-None-Match: \"{}\"\r\n", image.digest), 304),
        ("GET", "/v2/_catalog?n=1", "", 200),
        ("GET", "/v2/team/app/tags/list", "", 200),
        ("GET", "/v2/none/tags/list", "", 404),
        ("GET", &format!("/v2/team/app/referrers/{}", image.digest), "", 200),
        ("GET", "/v2", "", 301),
        ("GET", "/v2/UPPER/manifests/v1", "", 400),
        ("GET", "/v2/team/app/manifests/v1", &accept, 200),
        ("GET", "/v2/team/app/manifests/none", &accept, 404),
        ("HEAD", "/v2/team/app/manifests/none", &accept, 404),
        ("GET", "/v2/", "", 200),
        ("GET", "/healthz", "", 200),
        ("GET", "/nothing/here", "", 404),
        ("GET", "/api/v1/tags?repository=team/app", "", 200),
        ("GET", "/api/v1/tags?repository=", "", 400),
        ("HEAD", "/api/v1/tags?repository=team/app", "", 200),
        ("GET", "/api/v1/openapi.json", "Accept-Encoding: gzip\r\n", 200),
        ("GET", "/ui/repositories", "Accept: text/html\r\n", 200),
        ("GET", "/", "Accept: text/html\r\n", 303),
    ] {
        assert_eq!(assert_same(&door, method, target, lines).await, status, "{method} {target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_the_same_on_either_way_and_so_is_what_a_token_opens() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door = guard.door(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&registry.url(), "team/app", "v1").await;
    sweep(&door).await;
    let token = token(&door.url(), "alice", &["repository:team/app:pull"]).await;
    let [authorized, wrong] = [&token, "a.b.c"]
        .map(|token| format!("Authorization: Bearer {token}\r\nAccept: {}\r\n", image.media_type));
    let digest = format!("/v2/team/app/manifests/{}", image.digest);
    for (target, lines, status) in [
        ("/v2/", "", 401),
        (digest.as_str(), "", 401),
        (&digest, &wrong, 401),
        (&digest, &authorized, 200),
        ("/v2/team/app/manifests/v1", &authorized, 200),
        ("/v2/team/other/manifests/v1", &authorized, 401),
        ("/v2/_catalog", &authorized, 401),
        ("/api/v1/status", "", 401),
        ("/token?service=x", "Authorization: Basic YTpi\r\n", 401),
    ] {
        assert_eq!(assert_same(&door, "GET", target, lines).await, status, "GET {target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_every_kind_follow_each_other_on_one_connection() {
    let registry = Registry::start_lenient().await;
    let door = Door::builder(registry.url()).start().await;
    sweep_through(&door, true).await;
    let mut connection = Connection::open(door.address()).await;
    for round in 0..5 {
        let image = Image::small(round);
        image.push_blobs(&registry.url(), "team/app").await;
        let (tag, accept) = (format!("v{round}"), format!("Accept: {}\r\n", image.media_type));
        let by_tag = format!("/v2/team/app/manifests/{tag}");
        let by_digest = format!("/v2/team/app/manifests/{}", image.digest);
        let content_type = format!("Content-Type: {}\r\n", image.media_type);
        let put = connection.ask("PUT", &by_tag, &content_type, &image.manifest).await;
        assert_eq!(put.head.status, 201, "{put:?}");
        for (method, target) in
            [("GET", &by_digest), ("HEAD", &by_digest), ("GET", &by_tag), ("GET", &by_digest)]
        {
            let read = connection.ask(method, target, &accept, b"").await;
            let expected: &[u8] = if method == "HEAD" { b"" } else { &image.manifest };
            assert_eq!((read.head.status, read.body.as_slice()), (200, expected), "{method} {target}");
        }
        let blob = format!("/v2/team/app/blobs/{}", image.blobs[0].0);
        assert_eq!(connection.ask("GET", &blob, "", b"").await.head.status, 200);
        let tags = connection.ask("GET", "/v2/team/app/tags/list", "", b"").await;
        assert!(String::from_utf8_lossy(&tags.body).contains(&tag), "{tags:?}");
        let refused = connection.ask("DELETE", "/v2/team/app/manifests/none", "", b"").await;
        assert_eq!(refused.head.status / 100, 4, "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_comes_in_pieces_is_one_and_two_at_once_are_answered_as_pingora_does() {
    let registry = Registry::start_lenient().await;
    let door = Door::builder(registry.url()).start().await;
    let mut connection = Connection::open(door.address()).await;
    for _ in 0..2 {
        for byte in b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" {
            connection.send([*byte]).await;
        }
        assert_eq!(connection.answer("GET").await.head.status, 200);
    }
    connection.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2)).await;
    assert_eq!(connection.answer("GET").await.head.status, 200);
    assert!(connection.rest().await.is_empty(), "a second request that did not wait is not answered");
}
