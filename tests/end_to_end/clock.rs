//! The door's own clock is one: what it records, and what it shows of itself, is in the same time.

use std::time::Duration;

use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::ACCEPT_ALL;
use crate::support::sweep::{events, sweep};
use crate::support::wait::until;

/// Whether a time is that of a door whose clock is a day ahead.
fn is_tomorrow(time: &serde_json::Value) -> bool {
    let time = portreeve::clock::Timestamp::parse(time.as_str().unwrap()).unwrap();
    let ahead = time.since(portreeve::clock::Timestamp::now()).as_secs();
    (80_000..=86_400).contains(&ahead)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shifted_clock_reaches_all_that_is_recorded_and_shown() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).set("CLOCK__OFFSET", "24h").start().await;
    let url = door.url();
    Image::small(1).push(&url, "team/app", "observed").await;
    Image::small(2).push(&registry.url(), "team/app", "swept").await;
    let last = sweep(&door, false).await;
    Image::small(3).push(&registry.url(), "team/app", "swept").await;
    sweep(&door, true).await;

    let events = events(&door).await;
    assert!(events.len() >= 3, "{events:?}");
    for event in &events {
        assert!(is_tomorrow(&event["time"]), "{event}");
    }
    for name in ["started_at", "ended_at"] {
        assert!(is_tomorrow(&last[name]), "{name}: {last}");
    }
    let tags = door.get_json("/api/v1/tags?repository=team/app").await;
    for tag in tags["items"].as_array().unwrap() {
        let time = if tag["source"] == "observed" { "pushed_at" } else { "found_at" };
        assert!(is_tomorrow(&tag[time]), "{tag}");
    }

    let pull =
        http_client().get(format!("{url}/v2/team/app/manifests/observed")).header("accept", ACCEPT_ALL);
    assert_eq!(pull.send().await.unwrap().status(), 200);
    let mut shown = serde_json::Value::Null;
    until("the pull is written down", Duration::from_secs(30), async || {
        shown = door.get_json("/api/v1/repositories").await;
        shown["items"][0]["last_pull"].is_string()
    })
    .await;
    assert!(is_tomorrow(&shown["items"][0]["last_pull"]), "{shown}");
}
