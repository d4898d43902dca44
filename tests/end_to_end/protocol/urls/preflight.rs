//! `OPTIONS`, by which a browser asks whether a page of another site may use the registry.

use std::collections::BTreeMap;

use reqwest::header::{AUTHORIZATION, ORIGIN};
use reqwest::{Method, Response};

use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::guard::{self, Guard};
use crate::support::http::{error_of, http_client};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::Relay;
use crate::support::state::truth;

const HEADERS: &str = "headers: {Access-Control-Allow-Origin: ['https://ui.example'], \
                       Access-Control-Allow-Methods: [HEAD, GET, OPTIONS, DELETE], \
                       Access-Control-Allow-Headers: [Authorization, Accept]}";

fn paths() -> Vec<String> {
    let digest = Image::small(1).digest;
    vec![
        "/v2/".to_owned(),
        "/v2/_catalog".to_owned(),
        "/v2/_catalog?n=1".to_owned(),
        "/v2/a/tags/list".to_owned(),
        "/v2/a/manifests/tag".to_owned(),
        format!("/v2/a/manifests/{digest}"),
        format!("/v2/a/blobs/{digest}"),
        format!("/v2/a/referrers/{digest}"),
        "/v2/a/blobs/uploads/".to_owned(),
        "/v2/a/blobs/uploads/x?_state=y".to_owned(),
        "/v2/nowhere/manifests/tag".to_owned(),
    ]
}

async fn preflight(base: &str, path: &str) -> Response {
    let request = http_client().request(Method::OPTIONS, format!("{base}{path}"));
    let request = request.header(ORIGIN, "https://ui.example");
    let request = request.header("access-control-request-method", "GET");
    request.header("access-control-request-headers", "authorization").send().await.unwrap()
}

/// Status and headers that count; `Date` differs from answer to answer, and connections are each one's own.
async fn said(response: Response) -> (u16, BTreeMap<String, Vec<String>>, String) {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in response.headers() {
        headers.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
    }
    headers.remove("date");
    headers.remove("connection");
    // The door adds it to every answer.
    headers.remove("x-request-id");
    let status = response.status().as_u16();
    // The registry gives each error an identifier of its own nowhere, so that bodies are the same too.
    (status, headers, response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_as_the_bare_registry_answers_it() {
    let registry = Registry::start_with_http(HEADERS).await;
    let door = Door::builder(registry.url()).start().await;
    for path in paths() {
        let bare = said(preflight(&registry.url(), &path).await).await;
        let through = said(preflight(&door.url(), &path).await).await;
        assert_eq!(through, bare, "{path}");
        if !path.contains("/referrers/") {
            assert_eq!(bare.1["access-control-allow-origin"], ["https://ui.example"], "{path}");
        }
    }
    // What cannot be read in one way goes nowhere, whatever the method.
    for path in ["/v2/a%2fb/tags/list", "/v2/A/tags/list", "/v2/a/../b/tags/list", "/v2/unknown"] {
        let mut connection = Connection::open(door.address()).await;
        assert_eq!(connection.ask("OPTIONS", path, "", b"").await.head.status / 100, 4, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_needs_no_credentials_and_does_nothing() {
    let registry = Registry::start_with_http(HEADERS).await;
    let relay = Relay::start(&registry.url()).await;
    let guard = Guard::new();
    let door = guard.door(relay.url()).start().await;
    let image = Image::small(1);
    image.push(&registry.url(), "a", "tag").await;
    let before = truth(&registry.url()).await;
    for path in paths() {
        let bare = said(preflight(&registry.url(), &path).await).await;
        let through = said(preflight(&door.url(), &path).await).await;
        assert_eq!(through, bare, "{path}");
    }
    assert_eq!(truth(&registry.url()).await, before);
    let events = http_client().get(format!("{}/api/v1/events?repository=a", door.url()));
    let events = events.basic_auth("admin", Some(guard::password("admin"))).send().await.unwrap();
    let events: serde_json::Value = events.json().await.unwrap();
    assert_eq!(events["items"], serde_json::json!([]));
    // The request that it is about needs them all the same.
    let response = http_client().get(format!("{}/v2/a/tags/list", door.url())).send().await.unwrap();
    assert_eq!(response.status(), 401);
}

/// Before a registry that wants credentials the door shows its own, and never what a client sent along.
#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_shows_the_registry_the_door_and_not_the_client() {
    let registry = Registry::start_with_password("door", "secret").await;
    let guard = Guard::new();
    let with_login = guard
        .door(registry.url())
        .set("REGISTRY__AUTH", "basic")
        .set("REGISTRY__USERNAME", "door")
        .set("REGISTRY__PASSWORD", "secret");
    let door = with_login.start().await;
    for credentials in [None, Some("Basic bm9ib2R5Om5vdGhpbmc="), Some("Bearer nonsense")] {
        let request = http_client().request(Method::OPTIONS, format!("{}/v2/a/tags/list", door.url()));
        let request =
            credentials.into_iter().fold(request, |request, value| request.header(AUTHORIZATION, value));
        assert_eq!(request.send().await.unwrap().status(), 200, "{credentials:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_has_no_body() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let mut connection = Connection::open(door.address()).await;
    let answer = connection.ask("OPTIONS", "/v2/a/manifests/tag", "", b"{}").await;
    assert_eq!((answer.head.status, answer.code().as_str()), (400, "UNSUPPORTED"));
    let mut connection = Connection::open(door.address()).await;
    let answer = connection.ask("OPTIONS", "/v2/a/manifests/tag", "", b"").await;
    assert_eq!(answer.head.status, 200, "a length of zero is no body");
    assert_eq!(relay.seen().iter().filter(|line| line.starts_with("OPTIONS")).count(), 1);
    let response = http_client().request(Method::TRACE, format!("{}/v2/", door.url())).send().await.unwrap();
    assert_eq!((response.status().as_u16(), error_of(response).await.0.as_str()), (405, "UNSUPPORTED"));
}
