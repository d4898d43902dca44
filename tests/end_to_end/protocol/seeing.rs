//! What the door tells about its traffic: the access log and the metrics.

use std::time::Duration;

use serde_json::Value;

use super::{begin, bytes, finish};
use crate::support::door::Door;
use crate::support::http::{delete, http_client};
use crate::support::image::{Image, digest};
use crate::support::registry::Registry;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(5);

/// The access log so far.
fn access_log(door: &Door) -> Vec<Value> {
    let log = door.log();
    // The last line may not be there whole.
    let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let lines = lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines.filter(|line| line["target"] == "access").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_exchange_is_one_line_in_the_log_without_its_query() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .user_agent("tester/1")
        .build()
        .unwrap_or_else(|_| http_client());
    let blob = bytes(1, 5000);
    let already = access_log(&door).len();
    let session = begin(&client, &door, "a").await;
    finish(&client, &door, &session, &digest(&blob), blob.clone()).await;
    let url = |path: &str| format!("{}{path}", door.url());
    let blob_url = url(&format!("/v2/a/blobs/{}", digest(&blob)));
    assert_eq!(client.get(&blob_url).send().await.unwrap().bytes().await.unwrap().len(), 5000);
    client.get(url("/v2/a/manifests/none?secret=1")).send().await.unwrap();
    client.put(url("/v2/UPPER/manifests/tag?secret=1")).body("x").send().await.unwrap();
    client.get(url("/api/v1/tags?repository=none&secret=1")).send().await.unwrap();
    until("every exchange is logged", SOON, async || access_log(&door).len() >= already + 6).await;
    let lines = access_log(&door)[already..].to_vec();
    let authority = registry.address().to_string();
    let upload_path = lines[1]["path"].as_str().unwrap().to_owned();
    assert!(upload_path.starts_with("/v2/a/blobs/uploads/"), "{upload_path}");
    let expected = [
        ("POST", "/v2/a/blobs/uploads/", "upload_start", 202, 0, 0, Some(authority.as_str())),
        ("PUT", &upload_path, "upload", 201, 5000, 0, Some(&authority)),
        ("GET", &format!("/v2/a/blobs/{}", digest(&blob)), "blob_read", 200, 0, 5000, Some(&authority)),
        ("GET", "/v2/a/manifests/none", "manifest_read", 404, 0, -1, Some(&authority)),
        ("PUT", "/v2/UPPER/manifests/tag", "unreadable", 400, 1, -1, None),
        ("GET", "/api/v1/tags", "own", 400, 0, -1, None),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (method, path, route, status, received, sent, backend)) in lines.iter().zip(expected) {
        let found = (&line["method"], &line["path"], &line["route"], &line["status"], &line["received"]);
        assert_eq!(
            found,
            (&method.into(), &path.into(), &route.into(), &status.into(), &received.into()),
            "{line}"
        );
        assert!(sent < 0 || line["sent"] == sent, "{line}");
        assert_eq!(line["backend"].as_str(), backend, "{line}");
        assert_eq!(
            (line["client"].as_str(), line["agent"].as_str()),
            (Some("127.0.0.1"), Some("tester/1")),
            "{line}"
        );
        assert!(line["seconds"].as_f64().unwrap() > 0.0, "{line}");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert_eq!(line["level"], "INFO", "{line}");
    }
    assert!(lines[4]["cause"].as_str().unwrap().contains("NAME_INVALID"), "{}", lines[4]);
    for hidden in ["secret", "_state", "digest="] {
        assert!(!door.log().contains(hidden), "a query is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_can_be_turned_off() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).set("PLUGINS__ACCESS_LOG__ENABLED", "false").start().await;
    Image::small(1).push(&door.url(), "a", "tag").await;
    assert_eq!(access_log(&door), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_show_each_promise_on_the_admin_listener_only() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "a", "tag").await;
    assert_eq!(delete(&door.url(), "a", &image.digest).await.status(), 202);
    let client = http_client();
    assert_eq!(client.get(format!("{}/metrics", door.url())).send().await.unwrap().status(), 404);
    let response = client.get(format!("{}/metrics", door.admin())).send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = response.text().await.unwrap();
    let backend = registry.address();
    for (series, value) in [
        ("portreeve_requests_total{route=\"manifest_put\",status=\"2xx\"}", 1.0),
        ("portreeve_requests_total{route=\"manifest_delete\",status=\"2xx\"}", 1.0),
        ("portreeve_requests_total{route=\"upload_start\",status=\"2xx\"}", 2.0),
        ("portreeve_request_seconds_count{route=\"upload\"}", 2.0),
        ("portreeve_settle_seconds_count", 2.0),
        ("portreeve_open_intents", 0.0),
        ("portreeve_unknown_intents", 0.0),
        ("portreeve_exchanges", 0.0),
        (&format!("portreeve_registry_backend_healthy{{backend=\"{backend}\"}}"), 1.0),
    ] {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let found: f64 = line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().unwrap();
        assert!((found - value).abs() < f64::EPSILON, "{series} is {found}, not {value}");
    }
    for name in [
        "portreeve_writes_total{",
        "portreeve_store_commit_seconds_count",
        "portreeve_store_writes_per_commit_count",
        "portreeve_events_total",
        "portreeve_build_info{version=",
        "portreeve_log_lines_dropped_total 0",
        "process_resident_memory_bytes",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is not in\n{text}");
    }
}
