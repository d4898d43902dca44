//! What `/metrics` tells: in the form that Prometheus wants, whole from the start, and true.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::Regex;
use serde_json::Value;

use crate::support::door::Door;
use crate::support::guard::{Guard, password};
use crate::support::http::{delete, http_client};
use crate::support::image::Image;
use crate::support::metrics::metrics;
use crate::support::prometheus::promtool;
use crate::support::registry::Registry;
use crate::support::sweep::sweep_through;
use crate::support::throttle::SlowLine;
use crate::support::wait::{PAUSE, until};

const SOON: Duration = Duration::from_secs(20);

/// The value of a series.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// The value of a series that has to be there.
fn value_of(text: &str, series: &str) -> f64 {
    value(text, series).unwrap_or_else(|| panic!("{series} is not in\n{text}"))
}

/// Waits until series have these values, and answers the text in which they do: an exchange is counted just after its client
/// has the answer.
async fn until_shown(door: &Door, expected: &[(String, f64)]) -> String {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let text = metrics(door).await;
        let others: Vec<_> = expected
            .iter()
            .map(|(series, expected)| (series, value_of(&text, series), expected))
            .filter(|(_, found, expected)| (found - *expected).abs() > f64::EPSILON)
            .collect();
        if others.is_empty() {
            return text;
        }
        assert!(tokio::time::Instant::now() < deadline, "found, and not expected: {others:#?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// All series of counters.
fn counters(text: &str) -> BTreeSet<&str> {
    let names: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    series
        .map(|(series, _)| series)
        .filter(|series| series.split('{').next().is_some_and(|name| names.contains(name)))
        .collect()
}

/// The names that a text of rules or panels uses.
fn named(text: &str) -> BTreeSet<String> {
    let names = Regex::new(r"\b(portreeve|process)_[a-z_]+").unwrap();
    names.find_iter(text).map(|name| name.as_str().to_owned()).collect()
}

/// Some of everything: pushes, pulls, a deletion, what is refused by the door and by the registry, and sweeps.
async fn use_it(door: &Door) {
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "latest").await;
    Image::small(2).push(&door.url(), "team/app", "other").await;
    for path in [
        "/v2/",
        "/v2/_catalog",
        "/v2/team/app/tags/list",
        "/v2/team/app/manifests/latest",
        "/v2/team/app/manifests/unknown",
        "/v2/UPPER/manifests/latest",
        "/api/v1/status",
        "/nowhere",
    ] {
        let request = http_client().get(format!("{}{path}", door.url())).header("accept", &image.media_type);
        request.send().await.unwrap();
    }
    assert_eq!(delete(&door.url(), "team/app", &image.digest).await.status(), 202);
    sweep_through(door, false).await;
    sweep_through(door, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_has_nothing_to_complain_of_and_every_counter_is_there_from_the_start() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let before = metrics(&door).await;
    use_it(&door).await;
    let after = metrics(&door).await;
    for text in [&before, &after] {
        let (is_right, said) = promtool(&["check", "metrics"], text).await;
        assert!(is_right && said.trim().is_empty(), "{said}\n{text}");
    }
    let (first, later) = (counters(&before), counters(&after));
    assert!(first.len() > 150, "{first:#?}");
    assert_eq!(later.difference(&first).collect::<Vec<_>>(), Vec::<&&str>::new(), "these came later");
    // Each was told of with what it may be, also what has not happened.
    for series in [
        "portreeve_requests_total{route=\"blob_read\",code=\"5xx\",origin=\"door\"}",
        "portreeve_requests_total{route=\"blob_read\",code=\"5xx\",origin=\"registry\"}",
        "portreeve_writes_total{result=\"not_recorded\"}",
        "portreeve_sweeps_total{kind=\"deep\",outcome=\"failed\"}",
        "portreeve_reloads_total{what=\"rules\",result=\"refused\"}",
        "portreeve_store_errors_total",
        "portreeve_plugin_panics_total{plugin=\"observer\"}",
        "portreeve_pulls_not_counted_total",
    ] {
        assert_eq!(value(&before, series), Some(0.0), "{series}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_who_answered_them_with_their_bytes_and_the_registrys_share_of_the_time() {
    let mut registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "latest").await;
    let get = async |path: &str| {
        let request = http_client().get(format!("{}{path}", door.url())).header("accept", &image.media_type);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.bytes().await.unwrap().len() as f64)
    };
    let (status, bytes) = get("/v2/team/app/manifests/latest").await;
    assert_eq!(status, 200);
    let (status, missing_bytes) = get("/v2/team/app/manifests/unknown").await;
    assert_eq!(status, 404);
    assert_eq!(get("/v2/UPPER/manifests/latest").await.0, 400);
    let requests = |route: &str, code: &str, origin: &str| {
        format!("portreeve_requests_total{{route=\"{route}\",code=\"{code}\",origin=\"{origin}\"}}")
    };
    let expected = [
        (requests("manifest_read", "2xx", "registry"), 1.0),
        (requests("manifest_read", "4xx", "registry"), 1.0),
        (requests("manifest_read", "4xx", "door"), 0.0),
        (requests("unreadable", "4xx", "door"), 1.0),
        (requests("manifest_put", "2xx", "registry"), 1.0),
        ("portreeve_response_bytes_total{route=\"manifest_read\"}".to_owned(), bytes + missing_bytes),
        ("portreeve_request_bytes_total{route=\"manifest_put\"}".to_owned(), image.manifest.len() as f64),
        ("portreeve_pulls_total".to_owned(), 1.0),
        ("portreeve_registry_first_byte_seconds_count{route=\"manifest_read\"}".to_owned(), 2.0),
        ("portreeve_registry_first_byte_seconds_count{route=\"manifest_put\"}".to_owned(), 1.0),
        ("portreeve_request_seconds_count{route=\"manifest_read\"}".to_owned(), 2.0),
    ];
    let text = until_shown(&door, &expected).await;
    // A part of the whole.
    let of = |name: &str| value_of(&text, &format!("{name}_sum{{route=\"manifest_read\"}}"));
    let (first_byte, whole) = (of("portreeve_registry_first_byte_seconds"), of("portreeve_request_seconds"));
    assert!(first_byte > 0.0 && first_byte < whole, "{first_byte} {whole}");

    registry.stop().await;
    assert_eq!(get("/v2/team/app/manifests/latest").await.0, 502);
    assert_eq!(image.put(&door.url(), "team/app", "latest").await.status(), 502);
    let of_both = ["manifest_read", "manifest_put"]
        .into_iter()
        .flat_map(|route| [(requests(route, "5xx", "door"), 1.0), (requests(route, "5xx", "registry"), 0.0)]);
    until_shown(&door, &of_both.collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_that_a_client_takes_to_send_is_not_the_registrys() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let line = SlowLine::start(door.address(), 100_000).await;
    let client = http_client();
    let begun = client.post(format!("http://{}/v2/a/blobs/uploads/", line.address())).send().await.unwrap();
    let session = begun.headers()["location"].to_str().unwrap().to_owned();
    let append = client.patch(session).body(vec![1; 200_000]).send().await.unwrap();
    assert_eq!(append.status(), 202);
    let count = "portreeve_request_seconds_count{route=\"upload\"}";
    let text = until_shown(&door, &[(count.to_owned(), 1.0)]).await;
    let of = |name: &str| value_of(&text, &format!("{name}_sum{{route=\"upload\"}}"));
    let (first_byte, whole) = (of("portreeve_registry_first_byte_seconds"), of("portreeve_request_seconds"));
    assert!(whole > 1.0 && first_byte < whole / 2.0, "{first_byte} {whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_holds_and_how_much_room_it_has_is_shown() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    let door = Door::builder(registry.url()).store(&store).set("SYNC__DEEP_INTERVAL", "2h").start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "one").await;
    assert_eq!(image.put(&door.url(), "team/app", "two").await.status(), 201);
    let rows =
        async |kind: &str| value(&metrics(&door).await, &format!("portreeve_store_rows{{kind=\"{kind}\"}}"));
    until("the tags are counted", SOON, async || rows("tags").await == Some(2.0)).await;
    assert_eq!((rows("repositories").await, rows("manifests").await), (Some(1.0), Some(1.0)));
    let bytes = std::fs::metadata(&store).unwrap().len() as f64;
    let text = until_shown(&door, &[("portreeve_store_bytes".to_owned(), bytes)]).await;
    assert!(value_of(&text, "portreeve_store_available_bytes") > 0.0);
    assert_eq!(value(&text, "portreeve_oldest_open_intent_age_seconds"), Some(0.0));
    assert_eq!(value(&text, "portreeve_sweep_interval_seconds{kind=\"shallow\"}"), Some(0.0));
    assert_eq!(value(&text, "portreeve_sweep_interval_seconds{kind=\"deep\"}"), Some(7200.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_refused_show_until_they_are_right_again() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let configuration = guard.path("portreeve.toml");
    std::fs::write(&configuration, "[sync]\nconcurrency = 4\n").unwrap();
    let door = guard.door(registry.url()).configured_by(&configuration).start().await;
    let successful = async |what: &str| {
        let series = format!("portreeve_last_reload_successful{{what=\"{what}\"}}");
        value_of(&metrics(&door).await, &series)
    };
    let reloaded = async |what: &str| {
        let series = format!("portreeve_last_reload_success_timestamp_seconds{{what=\"{what}\"}}");
        value_of(&metrics(&door).await, &series)
    };
    let started = reloaded("rules").await;
    assert!(started > 1.7e9, "{started}");
    let users = std::fs::read(guard.path("htpasswd")).unwrap();
    std::fs::write(&configuration, "[sync\n").unwrap();
    std::fs::write(guard.path("htpasswd"), "no line of users\n").unwrap();
    for what in ["rules", "users"] {
        until("it is refused", SOON, async || successful(what).await == 0.0).await;
    }
    assert!((reloaded("rules").await - started).abs() < f64::EPSILON);
    std::fs::write(&configuration, "[sync]\nconcurrency = 5\n").unwrap();
    std::fs::write(guard.path("htpasswd"), users).unwrap();
    for what in ["rules", "users"] {
        until("it is accepted", SOON, async || successful(what).await == 1.0).await;
    }
    assert!(reloaded("rules").await > started);
}

/// The dashboard's panels, in groups or not.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|panel| panel["type"] != "row").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_dashboard_name_metrics_that_a_door_has() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (guard.path("certificate.pem"), guard.path("key.pem"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let door = guard
        .door(registry.url())
        .set("LISTEN__TLS__CERT", certificate.to_str().unwrap())
        .set("LISTEN__TLS__KEY", key.to_str().unwrap())
        .start()
        .await;
    let status = http_client().get(format!("{}/api/v1/status", door.url()));
    let status = status.basic_auth("admin", Some(password("admin"))).send().await.unwrap();
    assert_eq!(status.status(), 200);
    let clock = "portreeve_registry_clock_offset_seconds";
    until("the clock is known", SOON, async || value(&metrics(&door).await, clock).is_some()).await;
    let text = metrics(&door).await;
    // rcgen's certificates end in the year 4096.
    let expiry = value_of(&text, "portreeve_certificate_expiry_timestamp_seconds");
    assert!((expiry - 67_090_118_400.0).abs() < f64::EPSILON, "{expiry}");

    let there: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let dashboard: Value = serde_json::from_str(include_str!("../../config/dashboard.json")).unwrap();
    let mut expressions = String::new();
    let mut places = BTreeMap::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(
            !panel["description"].as_str().unwrap_or_default().is_empty(),
            "{title} says nothing of itself"
        );
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title} shows nothing");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            assert!(!named(expression).is_empty(), "{title}: {expression}");
            expressions += &format!("{expression}\n");
        }
        let place = &panel["gridPos"];
        let number = |name: &str| place[name].as_u64().unwrap();
        for x in number("x")..number("x") + number("w") {
            for y in number("y")..number("y") + number("h") {
                let other = places.insert((x, y), title);
                assert_eq!(other, None, "{title} lies over another panel");
            }
        }
    }
    let alerts: String = include_str!("../../config/alerts.yml")
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    for (file, used) in [("alerts", &alerts), ("dashboard", &expressions)] {
        let names = named(used);
        assert!(names.len() > 12, "{file}: {names:?}");
        for name in &names {
            assert!(there.contains(name.as_str()), "{file} name {name}, which is not in\n{text}");
        }
    }
}
