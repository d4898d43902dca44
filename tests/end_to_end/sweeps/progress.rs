//! How far a sweep is: in the status, and in the metrics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::scripted::{Listing, PageSize, Scripted};
use crate::support::sweep::{finished, request, until_done};
use crate::support::wait::{PAUSE, until};

const REPOSITORIES: usize = 12;
const HELD: usize = 3;
const SOON: Duration = Duration::from_secs(60);

/// What the metrics say of the running sweep.
async fn metrics(door: &Door) -> BTreeMap<String, f64> {
    let text =
        http_client().get(format!("{}/metrics", door.admin())).send().await.unwrap().text().await.unwrap();
    let sweeps = text.lines().filter_map(|line| line.strip_prefix("portreeve_sweep_"));
    sweeps
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_metrics_tell_where_a_sweep_is_of_how_many_how_quick_and_what_it_found() {
    let registry = Scripted::start().await;
    let name = |number: usize| format!("app-{number:03}");
    for number in 0..REPOSITORIES {
        registry.hold(&name(number), "latest", &Image::small(number as u64));
    }
    let held = REPOSITORIES - HELD..REPOSITORIES;
    registry.quirks(|quirks| {
        quirks.page_size = PageSize::Clamped(5);
        quirks.tags = held.map(|number| (name(number), Listing::Held)).collect();
    });
    let door = Door::builder(registry.url()).start().await;
    let number = request(&door, true).await;
    let done = (REPOSITORIES - HELD) as u64;
    let running = until_done(&door, done).await;
    let count = |field: &str| running[field].as_u64();
    assert_eq!((running["phase"].as_str(), running["kind"].as_str()), (Some("catalog"), Some("deep")));
    assert_eq!((count("tags"), count("found"), count("problems")), (Some(done), Some(done), Some(0)));
    // None was known, so it is what was listed so far.
    assert_eq!(count("repositories_expected"), Some(REPOSITORIES as u64), "{running:#}");
    assert!(running["repositories_per_second"].as_f64().unwrap() > 0.0, "{running:#}");
    assert!(running["seconds_left"].is_u64(), "{running:#}");

    let deadline = Instant::now() + SOON;
    let shown = loop {
        let shown = metrics(&door).await;
        // Rate and time left are of the same moment as the count.
        if shown.get("repositories_done") == Some(&(done as f64)) {
            break shown;
        }
        assert!(Instant::now() < deadline, "the metrics do not show it: {shown:#?}");
        tokio::time::sleep(PAUSE).await;
    };
    for (gauge, value) in [("phase{phase=\"catalog\"}", 1.0), ("phase{phase=\"unlisted\"}", 0.0)] {
        assert_eq!(shown[gauge], value, "{gauge}: {shown:#?}");
    }
    for (gauge, value) in [("tags", done), ("found", done), ("repositories_expected", REPOSITORIES as u64)] {
        assert_eq!(shown[gauge], value as f64, "{gauge}: {shown:#?}");
    }
    assert!(shown["repositories_per_second"] > 0.0 && shown["seconds_left"] > 0.0, "{shown:#?}");

    registry.quirks(|quirks| quirks.tags.clear());
    assert_eq!(finished(&door, number).await["outcome"], "complete");
    let shown = metrics(&door).await;
    for gauge in [
        "phase{phase=\"catalog\"}",
        "phase{phase=\"unlisted\"}",
        "repositories_done",
        "repositories_expected",
        "repositories_per_second",
        "seconds_left",
        "tags",
        "found",
        "concurrency",
    ] {
        assert_eq!(shown[gauge], 0.0, "{gauge}: {shown:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_that_fail_one_after_the_other_for_the_same_reason_are_said_once() {
    // Nothing listens there.
    let door = Door::builder("http://127.0.0.1:9").set("SYNC__INTERVAL", "1s").start_listening().await;
    let failed = async || {
        let text = crate::support::metrics::metrics(&door).await;
        let of_failures = text
            .lines()
            .filter(|line| line.starts_with("portreeve_sweeps_total") && line.contains("outcome=\"failed\""));
        of_failures.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum::<u64>()
    };
    until("three sweeps have failed", SOON, async || failed().await >= 3).await;
    assert_eq!(door.whole_log().await.matches("a sweep came to no end").count(), 1);
}
