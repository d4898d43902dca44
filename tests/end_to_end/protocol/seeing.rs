//! What the door tells about its traffic: the access log and the metrics.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{begin, bytes, finish};
use crate::support::door::Door;
use crate::support::http::{client_builder, delete, http_client};
use crate::support::image::{Image, digest};
use crate::support::metrics::undescribed;
use crate::support::registry::Registry;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(20);

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
    let client = client_builder().user_agent("tester/1").build().unwrap();
    let blob = bytes(1, 5000);
    let url = |path: &str| format!("{}{path}", door.url());
    let session = begin(&client, &door, "a").await;
    let blob_url = finish(&client, &door, &session, &digest(&blob), blob.clone()).await;
    assert_eq!(client.get(&blob_url).send().await.unwrap().bytes().await.unwrap().len(), 5000);
    client.get(url("/v2/a/manifests/none?secret=1")).send().await.unwrap();
    client.put(url("/v2/UPPER/manifests/tag?secret=1")).body("x").send().await.unwrap();
    client.get(url("/api/v1/tags?repository=none&secret=1")).send().await.unwrap();

    let session_path = session.strip_prefix(&door.url()).unwrap().split('?').next().unwrap();
    let blob_path = blob_url.strip_prefix(&door.url()).unwrap();
    let expected = [
        ("POST", "/v2/a/blobs/uploads/", "upload_start", 202, 0, true),
        ("PUT", session_path, "upload", 201, 5000, true),
        ("GET", blob_path, "blob_read", 200, 0, true),
        ("GET", "/v2/a/manifests/none", "manifest_read", 404, 0, true),
        ("PUT", "/v2/UPPER/manifests/tag", "unreadable", 400, 1, false),
        ("GET", "/api/v1/tags", "own", 400, 0, false),
    ];
    let of_the_tester = || access_log(&door).into_iter().filter(|line| line["agent"] == "tester/1");
    until("every exchange is logged", SOON, async || of_the_tester().count() >= expected.len()).await;
    let lines: Vec<Value> = of_the_tester().collect();
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (method, path, route, status, received, is_forwarded) in expected {
        let line = lines.iter().find(|line| line["method"] == method && line["path"] == path);
        let line = line.unwrap_or_else(|| panic!("{method} {path} is not in {lines:#?}"));
        assert_eq!(line["route"], route, "{line}");
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["received"], received, "{line}");
        assert_eq!(line["backend"], json!(is_forwarded.then(|| registry.address().to_string())), "{line}");
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        assert_eq!(line["level"], "INFO", "{line}");
        assert!(line["seconds"].as_f64().unwrap() > 0.0, "{line}");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        match path {
            _ if path == blob_path => assert_eq!(line["sent"], 5000, "{line}"),
            "/v2/UPPER/manifests/tag" => {
                assert!(line["cause"].as_str().unwrap().contains("NAME_INVALID"), "{line}");
            }
            _ => {}
        }
    }
    let log = door.whole_log().await;
    for hidden in ["secret=", "_state", "digest="] {
        assert!(!log.contains(hidden), "a query is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_can_be_turned_off() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).set("PLUGINS__ACCESS_LOG__ENABLED", "false").start().await;
    Image::small(1).push(&door.url(), "a", "tag").await;
    // Its log is whole once it has ended.
    door.signal("TERM");
    door.wait_exit(SOON).await;
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
    // A request is counted when it is over, which may be after its client has the answer.
    let over = "portreeve_requests_total{route=\"manifest_delete\",code=\"2xx\",origin=\"registry\"} 1";
    let mut text = response.text().await.unwrap();
    until("the last request is counted", Duration::from_secs(20), async || {
        text = client.get(format!("{}/metrics", door.admin())).send().await.unwrap().text().await.unwrap();
        text.contains(over)
    })
    .await;
    let backend = registry.address();
    for (series, value) in [
        ("portreeve_requests_total{route=\"manifest_put\",code=\"2xx\",origin=\"registry\"}", 1.0),
        ("portreeve_requests_total{route=\"manifest_delete\",code=\"2xx\",origin=\"registry\"}", 1.0),
        ("portreeve_requests_total{route=\"upload_start\",code=\"2xx\",origin=\"registry\"}", 2.0),
        ("portreeve_request_seconds_count{route=\"upload\"}", 2.0),
        ("portreeve_settle_seconds_count", 2.0),
        ("portreeve_open_intents", 0.0),
        ("portreeve_unknown_intents", 0.0),
        (&format!("portreeve_registry_backend_healthy{{backend=\"{backend}\"}}"), 1.0),
    ] {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let found: f64 = line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().unwrap();
        assert!((found - value).abs() < f64::EPSILON, "{series} is {found}, not {value}");
    }
    for name in [
        "portreeve_exchanges ",
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
    assert_eq!(undescribed(&text), BTreeSet::new());
}
