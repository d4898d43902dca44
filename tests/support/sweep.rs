//! Sweeps as a user asks for them, and what the history says of them.

use std::time::Duration;

use serde_json::{Value, json};

use super::door::Door;
use super::http::http_client;
use super::state::all;
use super::wait::until_seen;

/// Longer than any sweep of a test takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(180);

/// Asks for a sweep: its number.
pub async fn request(door: &Door, deep: bool) -> u64 {
    let url = format!("{}/api/v1/sync", door.url());
    let response = http_client().post(url).json(&json!({"deep": deep})).send().await.unwrap();
    assert_eq!(response.status(), 202);
    response.json::<Value>().await.unwrap()["sweep"].as_u64().unwrap()
}

/// Waits for the end of a sweep, or of one after it: what came of it.
pub async fn finished(door: &Door, number: u64) -> Value {
    let ended = |status: &Value| status["last"]["number"].as_u64().is_some_and(|ended| ended >= number);
    until_status(door, "the sweep ends", ended).await["last"].take()
}

/// Waits until the sweeps are so; fails the test with how they were last.
pub async fn until_status(door: &Door, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    until_seen(what, LIMIT, async || status(door).await, is_so).await
}

/// Waits until the running sweep has done so many repositories: how it is then.
pub async fn until_done(door: &Door, repositories: u64) -> Value {
    let what = format!("{repositories} repositories are done");
    let done = |status: &Value| status["running"]["repositories_done"].as_u64() == Some(repositories);
    until_status(door, &what, done).await["running"].take()
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
