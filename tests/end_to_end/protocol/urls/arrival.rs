//! How a client may call the door: targets, hosts, cookies, and what proxies say of the way.

use std::sync::{Arc, Mutex};

use http::HeaderMap;
use reqwest::header::{COOKIE, LOCATION};

use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::http::{client_builder, http_client};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};

/// Keeps the headers of whatever arrives under `/v2/a/`, besides the door's own questions.
fn keep_headers(relay: &Relay) -> Arc<Mutex<Vec<HeaderMap>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeping = Arc::clone(&kept);
    relay.script(move |request| {
        let agent = request.headers.get("user-agent").map(|agent| agent.to_str().unwrap().to_owned());
        if request.path.starts_with("/v2/a/") && !agent.is_some_and(|agent| agent.starts_with("portreeve")) {
            keeping.lock().unwrap().push(request.headers.clone());
        }
        Fault::None
    });
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_in_absolute_form_is_what_its_path_is() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "a", "tag").await;
    let kept = keep_headers(&relay);
    let kind = format!("Content-Type: {}\r\nAccept: {}\r\n", image.media_type, image.media_type);
    for (method, path, body, status) in [
        ("GET", "/v2/", &b""[..], 200),
        ("GET", "/v2/a/tags/list?n=5", b"", 200),
        ("HEAD", "/v2/a/manifests/tag", b"", 200),
        ("POST", "/v2/a/blobs/uploads/", b"", 202),
        ("PUT", "/v2/a/manifests/other", &image.manifest, 201),
        ("OPTIONS", "/v2/a/tags/list", b"", 200),
        ("GET", "/healthz", b"", 200),
    ] {
        let mut connection = Connection::open(door.address()).await;
        let answer = connection.ask(method, &format!("http://door.example{path}"), &kind, body).await;
        assert_eq!(answer.head.status, status, "{method} {path}");
        if let Some(location) = answer.head.get("location") {
            assert!(location.starts_with("http://door.example/v2/a/"), "{location}");
        }
    }
    assert_eq!(kept.lock().unwrap().len(), 5, "{:?}", relay.seen());
    for headers in &*kept.lock().unwrap() {
        assert_eq!(headers["x-forwarded-host"], "door.example");
        assert_eq!(headers["host"], relay.url().strip_prefix("http://").unwrap());
    }
    assert!(
        relay.seen().iter().all(|line| line.split(' ').nth(1).unwrap().starts_with('/')),
        "{:?}",
        relay.seen()
    );
    assert!(
        door.get_json("/api/v1/tags?repository=a").await["items"].as_array().unwrap().len() == 2,
        "recorded"
    );
    for target in ["http://door.example/v2/a/../b/tags/list", "http://door.example/v2/a%2fb/tags/list"] {
        let mut connection = Connection::open(door.address()).await;
        assert_eq!(connection.ask("GET", target, "", b"").await.head.status, 400, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_names_for_one_request_and_none_are_refused() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let count = || relay.seen().iter().filter(|line| line.contains("/a/")).count();
    for head in [
        "GET http://one.example/v2/a/tags/list HTTP/1.1\r\nHost: two.example\r\n",
        "GET http://user@one.example/v2/a/tags/list HTTP/1.1\r\nHost: user@one.example\r\n",
        "GET ftp://one.example/v2/a/tags/list HTTP/1.1\r\nHost: one.example\r\n",
        "GET http:/v2/a/tags/list HTTP/1.1\r\nHost: one.example\r\n",
        "GET /v2/a/tags/list HTTP/1.1\r\nHost: one.example\r\nHost: two.example\r\n",
        "GET /v2/a/tags/list HTTP/1.1\r\nHost: one.example/\r\n",
        "GET /v2/a/tags/list HTTP/1.1\r\nHost: one\",service=\"two\r\n",
        "GET /v2/a/tags/list HTTP/1.1\r\nAccept: */*\r\n",
        "GET * HTTP/1.1\r\nHost: one.example\r\n",
    ] {
        let mut connection = Connection::open(door.address()).await;
        connection.send(format!("{head}\r\n")).await;
        assert_eq!(connection.head().await.status, 400, "{head}");
    }
    assert_eq!(count(), 0, "{:?}", relay.seen());
    // As the bare registry takes them.
    for base in [registry.address(), door.address()] {
        for head in [
            "GET /v2/ HTTP/1.0\r\n",
            "GET /v2/ HTTP/1.1\r\nHost:\r\n",
            "GET /v2/ HTTP/1.1\r\nHost: one.example:5000\r\n",
            "GET /v2/ HTTP/1.1\r\nHost: [::1]:5000\r\n",
            "GET http://one.example/v2/ HTTP/1.1\r\nHost: one.example\r\n",
        ] {
            let mut connection = Connection::open(base).await;
            connection.send(format!("{head}\r\n")).await;
            assert_eq!(connection.head().await.status, 200, "{head}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_http2_arrive_as_one() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let image = Image::small(1);
    image.push_blobs(&registry.url(), "a").await;
    let kept = keep_headers(&relay);
    let client = client_builder().http2_prior_knowledge().build().unwrap();
    let put =
        client.put(format!("{}/v2/a/manifests/tag", door.url())).header("content-type", &image.media_type);
    for request in [client.get(format!("{}/v2/a/tags/list", door.url())), put.body(image.manifest.clone())] {
        let request = request.header(COOKIE, "a=1").header(COOKIE, "b=2; c=3").header(COOKIE, "d=4");
        assert!(request.send().await.unwrap().status().as_u16() < 500);
        let headers = kept.lock().unwrap().pop().unwrap();
        let cookies: Vec<_> = headers.get_all(COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(cookies, ["a=1; b=2; c=3; d=4"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_of_a_trusted_proxy_is_understood_and_passed_on_in_the_registrys_terms() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let kept = keep_headers(&relay);
    let trusted =
        Door::builder(relay.url()).set("PLUGINS__CLIENT_ADDRESS__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");
    let (trusting, wary) = (trusted.start().await, Door::builder(relay.url()).start().await);
    let says =
        "for=203.0.113.9;host=evil.example, for=\"[2001:db8::7]:4711\";Proto=HTTPS;host=registry.example";
    for (door, headers, scheme, host, chain) in [
        (
            &trusting,
            vec![("forwarded", says)],
            "https",
            "registry.example".to_owned(),
            "2001:db8::7, 127.0.0.1",
        ),
        (&wary, vec![("forwarded", says)], "http", wary.address().to_string(), "127.0.0.1"),
        (
            &trusting,
            vec![
                ("forwarded", says),
                ("x-forwarded-proto", "HTTPS"),
                ("x-forwarded-for", "192.0.2.1"),
                ("x-forwarded-for", "192.0.2.7"),
            ],
            "https",
            trusting.address().to_string(),
            "192.0.2.1, 192.0.2.7, 127.0.0.1",
        ),
    ] {
        let request = http_client().post(format!("{}/v2/a/blobs/uploads/", door.url()));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        let location = response.headers()[LOCATION].to_str().unwrap();
        assert!(
            location.starts_with(&format!("{scheme}://{host}/v2/a/")),
            "{location}, not {scheme}://{host}"
        );
        let seen = kept.lock().unwrap().pop().unwrap();
        assert_eq!(seen["x-forwarded-proto"], scheme);
        assert_eq!(seen["x-forwarded-host"], host.as_str());
        assert_eq!(seen["x-forwarded-for"], chain);
        assert_eq!(seen.get("forwarded"), None);
    }
}
