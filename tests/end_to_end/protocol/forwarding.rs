//! What changes on the way through the door, and what must not.

use std::sync::{Arc, Mutex};

use http::HeaderMap;
use reqwest::header::LOCATION;

use crate::support::connection::Connection;
use crate::support::door::{Door, DoorBuilder};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::tool::Tool;
use crate::support::wait::until;

const SOON: std::time::Duration = std::time::Duration::from_secs(20);
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// What a client, or a proxy, says of how it was reached.
const FORWARDED: [(&str, &str); 4] = [
    ("x-forwarded-for", "198.51.100.1, 192.0.2.7"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "registry.example"),
    ("forwarded", "for=198.51.100.1;host=elsewhere.example;proto=https"),
];

/// A door that believes whoever speaks from this machine.
fn trusting(registry_url: &str) -> DoorBuilder {
    Door::builder(registry_url).set("PLUGINS__CLIENT_ADDRESS__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")
}

/// Keeps the headers of whatever arrives under `/v2/a/`, besides the door's own questions.
fn keep_headers(relay: &Relay) -> Arc<Mutex<Vec<HeaderMap>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeping = Arc::clone(&kept);
    relay.script(move |request| {
        let is_question =
            request.method == "HEAD" || request.path.contains(DIGEST) && request.method == "GET";
        if request.path.starts_with("/v2/a/") && !is_question {
            keeping.lock().unwrap().push(request.headers.clone());
        }
        Fault::None
    });
    kept
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_object_storage_passes_unchanged() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let storage = "https://bucket.storage.example/docker/blob?X-Signature=a%2Fb%3D&expires=1";
    relay.script(move |_| Fault::Redirect(storage.to_owned()));
    let url = format!("{}/v2/a/blobs/{DIGEST}", door.url());
    for request in [http_client().get(&url), http_client().head(&url)] {
        let response = request.send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.headers()[LOCATION].to_str().unwrap()),
            (307, storage)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_leads_back_the_way_the_client_came() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let trusting = trusting(&relay.url()).start().await;
    let named = Door::builder(relay.url()).set("EXTERNAL_URL", "https://outside.example:8443").start().await;
    let both = self::trusting(&relay.url()).set("EXTERNAL_URL", "https://outside.example").start().await;
    let address = door.address();
    let cases = [
        (&door, format!("http://{address}")),
        (&trusting, "https://registry.example".to_owned()),
        (&named, "https://outside.example:8443".to_owned()),
        (&both, "https://outside.example".to_owned()),
    ];
    let path = "/v2/a/blobs/uploads/1?_state=x%2By%3D";
    let own = relay.url();
    let locations = [None, Some(format!("{own}{path}")), Some(format!("http://internal.example{path}"))];
    for absolute in locations {
        let answer = absolute.clone();
        relay.script(move |request| match (&answer, request.method.as_str()) {
            (Some(location), "POST") => Fault::Answer {
                status: 202,
                headers: vec![("location".to_owned(), location.clone())],
                body: Vec::new(),
            },
            _ => Fault::None,
        });
        for (door, expected) in &cases {
            let mut request = http_client().post(format!("{}/v2/a/blobs/uploads/", door.url()));
            for (name, value) in FORWARDED {
                request = request.header(name, value);
            }
            let response = request.send().await.unwrap();
            let location = response.headers()[LOCATION].to_str().unwrap();
            match &absolute {
                None => {
                    assert!(location.starts_with(&format!("{expected}/v2/a/")), "{location}, not {expected}")
                }
                Some(_) => assert_eq!(location, format!("{expected}{path}")),
            }
        }
    }

    // A registry that redirects to itself would lead around the door.
    let path = format!("/v2/b/blobs/{DIGEST}");
    let elsewhere = path.clone();
    relay.script(move |_| Fault::Redirect(format!("{own}{elsewhere}")));
    let response = http_client().get(format!("{}/v2/a/blobs/{DIGEST}", door.url())).send().await.unwrap();
    assert_eq!(response.headers()[LOCATION], format!("{}{path}", door.url()).as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_of_a_carried_manifest_leads_back_to_the_door() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push_blobs(&door.url(), "a").await;
    let response = image.put(&door.url(), "a", "tag").await;
    let expected = format!("{}/v2/a/manifests/{}", door.url(), image.digest);
    assert_eq!(response.headers()[LOCATION], expected.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_speaks_of_one_connection_never_reaches_the_registry() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let kept = keep_headers(&relay);
    let image = Image::small(1);
    let lines = "Connection: Upgrade, X-Private, keep-alive\r\nUpgrade: websocket\r\nX-Private: 1\r\n\
                 Keep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\n\
                 Proxy-Authorization: Basic eDp5\r\nAuthorization: Basic eDp5\r\nX-Kept: 1\r\nX-Kept: 2\r\n";
    let typed = format!("{lines}Content-Type: {}\r\n", image.media_type);
    let upgrades = [
        ("GET", "/v2/a/tags/list".to_owned(), &b""[..]),
        ("POST", "/v2/a/blobs/uploads/".to_owned(), b""),
        ("PUT", "/v2/a/manifests/tag".to_owned(), &image.manifest),
        ("DELETE", format!("/v2/a/manifests/{DIGEST}"), b""),
    ];
    for (method, path, body) in &upgrades {
        let mut connection = Connection::open(door.address()).await;
        let answer = connection.ask(method, path, &typed, body).await;
        assert_ne!(answer.head.status / 100, 1, "{method} {path}");
        assert_ne!(answer.head.status / 100, 5, "{method} {path}");
    }
    let kept = kept.lock().unwrap().clone();
    assert_eq!(kept.len(), upgrades.len(), "{:?}", relay.seen());
    for headers in &kept {
        for name in ["upgrade", "x-private", "keep-alive", "te", "proxy-connection", "proxy-authorization"] {
            assert_eq!(text(headers, name), None, "{name}");
        }
        let connection = text(headers, "connection").unwrap_or_default().to_ascii_lowercase();
        assert!(!connection.contains("upgrade") && !connection.contains("private"), "{connection}");
        // What is meant for the registry arrives.
        assert_eq!(text(headers, "authorization"), Some("Basic eDp5"));
        let repeated: Vec<_> = headers.get_all("x-kept").iter().collect();
        assert_eq!(repeated, ["1", "2"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_to_http2_is_not_offered_to_the_registry() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let kept = keep_headers(&relay);
    // Sends `Connection: Upgrade, HTTP2-Settings` and `Upgrade: h2c`.
    let curl = Tool::new("curl", "curl");
    let url = format!("{}/v2/a/tags/list", door.url());
    let status =
        curl.run(&["--silent", "--http2", "--write-out", "%{http_code}", "--output", "body", &url]).await;
    assert_eq!(status, "404");
    let kept = kept.lock().unwrap().clone();
    assert_eq!(kept.len(), 1);
    assert_eq!((text(&kept[0], "upgrade"), text(&kept[0], "http2-settings")), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_say_where_it_came_from_but_a_trusted_proxy_can() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let image = Image::small(1);
    image.push_blobs(&registry.url(), "a").await;
    let door = Door::builder(relay.url()).start().await;
    let trusting = trusting(&relay.url()).start().await;
    let kept = keep_headers(&relay);
    let asked_for = door.address().to_string();
    let cases = [
        (&door, "127.0.0.1", "http", asked_for.as_str(), "127.0.0.1"),
        (&trusting, "198.51.100.1, 192.0.2.7, 127.0.0.1", "https", "registry.example", "192.0.2.7"),
    ];
    for (door, chain, scheme, host, client) in cases {
        let put = http_client().put(format!("{}/v2/a/manifests/tag", door.url()));
        let put = put.header("content-type", &image.media_type).body(image.manifest.clone());
        for request in [http_client().get(format!("{}/v2/a/tags/list", door.url())), put] {
            let with_headers =
                FORWARDED.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            assert!(with_headers.send().await.unwrap().status().as_u16() < 500);
            let headers = kept.lock().unwrap().pop().unwrap();
            assert_eq!(text(&headers, "x-forwarded-for"), Some(chain));
            assert_eq!(text(&headers, "x-forwarded-proto"), Some(scheme));
            assert_eq!(text(&headers, "x-forwarded-host"), Some(host));
            assert_eq!(text(&headers, "forwarded"), None);
            assert_eq!(text(&headers, "host"), relay.url().strip_prefix("http://"));
        }
        let events = door.get_json("/api/v1/events?repository=a").await;
        assert_eq!(events["items"][0]["actor"]["address"], client);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_trusted_is_told_once_to_a_door_that_trusts_none() {
    let registry = Registry::start().await;
    let (door, trusting) =
        (Door::builder(registry.url()).start().await, trusting(&registry.url()).start().await);
    for door in [&door, &trusting] {
        for _ in 0..3 {
            let request =
                http_client().get(format!("{}/v2/", door.url())).header("x-forwarded-for", "198.51.100.1");
            assert_eq!(request.send().await.unwrap().status(), 200);
        }
    }
    let told = |door: &Door| door.log().matches("trusted_proxies is empty").count();
    until("the door says it", SOON, async || told(&door) == 1).await;
    assert_eq!(told(&trusting), 0);
}
