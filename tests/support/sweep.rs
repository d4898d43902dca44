//! Sweeps as a user asks for them, and what the history says of them.

use std::time::Duration;

use serde_json::{Value, json};

use super::door::Door;
use super::http::http_client;
use super::state::all;
use super::wait::until;

/// Longer than any sweep of a test takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks for a sweep: its number.
pub async fn request(door: &Door, deep: bool) -> u64 {
    let url = format!("{}/api/v1/sync", door.url());
    let response = http_client().post(url).json(&json!({"deep": deep})).send().await.unwrap();
    assert_eq!(response.status(), 202);
    response.json::<Value>().await.unwrap()["sweep"].as_u64().unwrap()
}

/// Waits for the end of a sweep, or of one after it: what came of it.
pub async fn finished(door: &Door, number: u64) -> Value {
    let mut last = Value::Null;
    until("the sweep ends", LIMIT, async || {
        last = status(door).await["last"].take();
        last["number"].as_u64().is_some_and(|ended| ended >= number)
    })
    .await;
    last
}

/// One sweep, now: what came of it.
pub async fn sweep(door: &Door, deep: bool) -> Value {
    let number = request(door, deep).await;
    finished(door, number).await
}

/// One sweep that has to be complete: how many corrections it made.
pub async fn sweep_through(door: &Door, deep: bool) -> u64 {
    let last = sweep(door, deep).await;
    assert_eq!(last["outcome"], "complete", "{last:#}");
    last["found"].as_u64().unwrap()
}

/// What the door says of its sweeps.
pub async fn status(door: &Door) -> Value {
    door.get_json("/api/v1/status").await["sweep"].take()
}

/// The whole history.
pub async fn events(door: &Door) -> Vec<Value> {
    all(&door.url(), "/api/v1/events?n=1000").await
}

/// The history in short: source, kind, and `repository:tag` or `repository`.
pub fn in_short(events: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let short = |event: &Value| {
        let tag = event["tag"].as_str().map(|tag| format!(":{tag}")).unwrap_or_default();
        format!("{} {} {}{tag}", text(&event["source"]), text(&event["kind"]), text(&event["repository"]))
    };
    events.iter().map(short).collect()
}
