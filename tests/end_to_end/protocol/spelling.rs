//! Small things on which old clients and scripts depend: how names are spelt, and that what has one meaning is taken.

use reqwest::header::{CONTENT_TYPE, LOCATION};

use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::guard::{Guard, ask_token, token};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::raw::RawRegistry;
use crate::support::registry::Registry;
use crate::support::state::{ACCEPT_ALL, assert_in_step, record};

use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// The names of an answer's headers as they are spelt on the wire.
async fn names(door: &Door, method: &str, target: &str, lines: &str, body: &str) -> Vec<String> {
    let mut connection = Connection::open(door.address()).await;
    connection.request(method, target, &format!("{lines}Content-Length: {}\r\n", body.len())).await;
    connection.send(body).await;
    let status = connection.line().await;
    assert!(status.starts_with("HTTP/1.1 "), "{status}");
    let mut names = Vec::new();
    loop {
        let line = connection.line().await;
        let Some((name, _)) = line.split_once(':') else { return names };
        names.push(name.to_owned());
    }
}

fn assert_has(names: &[String], expected: &[&str]) {
    for expected in expected {
        assert!(names.iter().any(|name| name == expected), "no {expected} in {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_the_doors_own_headers_are_spelt_as_everybody_spells_them() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door = guard.door(registry.url()).start().await;
    let challenged = names(&door, "GET", "/v2/", "", "").await;
    let common = ["Content-Type", "Content-Length", "Docker-Distribution-Api-Version"];
    assert_has(&challenged, &[&common[..], &["WWW-Authenticate", "X-Content-Type-Options"]].concat());
    assert_has(&names(&door, "POST", "/v2/_catalog", "", "").await, &["Allow"]);
    assert_has(&names(&door, "GET", "/token", "", "").await, &["Content-Type", "Cache-Control", "Pragma"]);
    let wrong = names(&door, "GET", "/token", "Authorization: Basic YTpi\r\n", "").await;
    assert_has(&wrong, &["WWW-Authenticate"]);
    assert_has(
        &names(&door, "GET", "/api/v1/status", "", "").await,
        &["Content-Type", "X-Content-Type-Options"],
    );

    let image = Image::small(1);
    image.push_blobs(&registry.url(), "team/app").await;
    let token = token(&door.url(), "alice", &["repository:team/app:pull,push"]).await;
    let lines = format!("Authorization: Bearer {token}\r\nContent-Type: {}\r\n", image.media_type);
    let manifest = String::from_utf8(image.manifest.to_vec()).unwrap();
    let put = names(&door, "PUT", "/v2/team/app/manifests/tag", &lines, &manifest).await;
    assert_has(&put, &["Location", "Docker-Content-Digest", "Docker-Distribution-Api-Version", "Date"]);
    // Streamed, with a `Location` that the door has changed.
    let started = names(&door, "POST", "/v2/team/app/blobs/uploads/", &lines, "").await;
    assert_has(&started, &["Location", "Range"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_answer_keeps_the_registrys_own_spelling() {
    let registry = RawRegistry::start(async |mut exchange| {
        exchange.answer("200 OK", "dOCKER-content-Digest: x\r\nETAG: \"y\"\r\nX-odd: z\r\n").await;
    })
    .await;
    let door = Door::builder(registry.url()).start().await;
    let names = names(&door, "GET", "/v2/a/manifests/tag", "", "").await;
    assert_has(&names, &["dOCKER-content-Digest", "ETAG", "X-odd"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_door_leads_back_is_spelt_as_everybody_spells_it() {
    let registry = RawRegistry::start(async |mut exchange| {
        let host = exchange.head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let lines = match exchange.line.starts_with("GET") {
            true => format!("Link: <http://{host}/v2/a/tags/list?last=b&n=1>; rel=\"next\"\r\n"),
            false => format!("Location: http://{host}/v2/a/blobs/uploads/1\r\n"),
        };
        exchange.answer(if lines.starts_with("Link") { "200 OK" } else { "202 Accepted" }, &lines).await;
    })
    .await;
    let door = Door::builder(registry.url()).start().await;
    assert_has(&names(&door, "GET", "/v2/a/tags/list", "", "").await, &["Link"]);
    assert_has(&names(&door, "POST", "/v2/a/blobs/uploads/", "", "").await, &["Location"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_without_its_slash_is_answered_as_the_registry_does() {
    let registry = Registry::start().await;
    let open = Door::builder(registry.url()).start().await;
    let guard = Guard::new();
    let guarded = guard.door(registry.url()).start().await;
    let client = http_client();
    for method in [reqwest::Method::GET, reqwest::Method::HEAD] {
        for query in ["", "?a=b"] {
            let ask = async |base: String| {
                let answer =
                    client.request(method.clone(), format!("{base}/v2{query}")).send().await.unwrap();
                let header =
                    |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
                let headers =
                    (header("location"), header("content-type"), header("docker-distribution-api-version"));
                (answer.status().as_u16(), headers)
            };
            let expected = ask(registry.url()).await;
            assert_eq!(ask(open.url()).await, expected, "{method} {query}");
            assert_eq!(ask(guarded.url()).await, expected, "{method} {query}");
        }
    }
    // A client that follows is where it wanted to be.
    let following = crate::support::http::client_builder().redirect(reqwest::redirect::Policy::limited(3));
    let answer = following.build().unwrap().get(format!("{}/v2", open.url())).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.url().path()), (200, "/v2/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoded_colon_of_a_digest_is_read_as_the_registry_reads_it() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = http_client();
    let image = Image::small(1);
    image.push_blobs(&registry.url(), "a").await;
    for colon in ["%3A", "%3a"] {
        let encoded = |digest: &str| digest.replace(':', colon);
        let put = |base: &str| {
            client
                .put(format!("{base}/v2/a/manifests/{}", encoded(&image.digest)))
                .header(CONTENT_TYPE, &image.media_type)
                .body(image.manifest.clone())
        };
        let (bare, through) =
            (put(&registry.url()).send().await.unwrap(), put(&door.url()).send().await.unwrap());
        assert_eq!((bare.status().as_u16(), through.status().as_u16()), (201, 201));
        assert!(through.headers()[LOCATION].to_str().unwrap().ends_with(&image.digest));
        for (kind, digest) in [("manifests", &image.digest), ("blobs", &image.blobs[0].0)] {
            for method in [reqwest::Method::GET, reqwest::Method::HEAD] {
                let ask = async |base: String| {
                    let url = format!("{base}/v2/a/{kind}/{}", encoded(digest));
                    let answer = client
                        .request(method.clone(), url)
                        .header("accept", ACCEPT_ALL)
                        .send()
                        .await
                        .unwrap();
                    (answer.status().as_u16(), answer.bytes().await.unwrap())
                };
                let expected = ask(registry.url()).await;
                assert_eq!(expected.0, 200);
                assert_eq!(ask(door.url()).await, expected, "{method} {kind}");
            }
        }
    }
    let known = door.get_json(&format!("/api/v1/manifests?repository=a&digest={}", image.digest)).await;
    assert_eq!(known["digest"], image.digest.as_str());
    image.put(&door.url(), "a", "tag").await;
    assert_eq!(record(&door.url()).await.len(), 1);
    let url = format!("{}/v2/a/manifests/{}", door.url(), image.digest.replace(':', "%3A"));
    assert_eq!(client.delete(url).send().await.unwrap().status(), 202);
    assert_in_step(&door.url(), &registry.url(), SOON).await;
    assert!(record(&door.url()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_hold_for_what_is_encoded() {
    let registry = Registry::start().await;
    let image = Image::small(1);
    image.push(&registry.url(), "team/secret/app", "tag").await;
    let guard = Guard::new();
    let door = guard.door(registry.url()).start().await;
    let token =
        token(&door.url(), "alice", &["repository:team/secret/app:pull", "repository:team/app:pull"]).await;
    for path in [
        format!("team/secret/app/manifests/{}", image.digest.replace(':', "%3A")),
        format!("team/secret/app/blobs/{}", image.blobs[0].0.replace(':', "%3a")),
    ] {
        let url = format!("{}/v2/{path}", door.url());
        assert_eq!(http_client().get(&url).bearer_auth(&token).send().await.unwrap().status(), 401, "{path}");
    }
    for path in [
        "team%2Fsecret/app/manifests/tag".to_owned(),
        format!("team/app%3A/manifests/{}", image.digest),
        format!("team/app/manifests/{}", image.digest.replace(':', "%253A")),
        "team/app/manifests/t%61g".to_owned(),
    ] {
        let url = format!("{}/v2/{path}", door.url());
        let status = http_client().get(&url).bearer_auth(&token).send().await.unwrap().status();
        assert_eq!(status, 400, "{path} has more than one reading, or none");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_service_is_none_to_the_token_endpoint() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door = guard.door(registry.url()).start().await;
    for query in ["service=&scope=repository:team/app:pull", "service", "service=portreeve"] {
        assert_eq!(ask_token(&door.url(), "alice", query).await.status(), 200, "{query}");
    }
    assert_eq!(ask_token(&door.url(), "alice", "service=other").await.status(), 400);
    let password = crate::support::guard::password("alice");
    let form =
        |service: &str| format!("grant_type=password&username=alice&password={password}&service={service}");
    for (service, status) in [("", 200), ("portreeve", 200), ("other", 400)] {
        let post = http_client().post(format!("{}/token", door.url()));
        let post = post.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form(service));
        assert_eq!(post.send().await.unwrap().status(), status, "{service}");
    }
}
