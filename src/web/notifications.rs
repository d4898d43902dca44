//! `POST /api/v1/notifications`: the registry's notification envelope (distribution 2.8 and 3.x), each event of which is a
//! hint. The sender has to know the secret; what it says is not believed all the same.

use std::collections::HashSet;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::body;
use super::error::ApiError;
use super::state::WebState;
use crate::clock::Timestamp;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::{HintedReference, Queued};
use crate::telemetry::CounterFamily;

pub(super) static EVENTS: CounterFamily = CounterFamily {
    name: "portreeve_notifications_total",
    help: "Events of the registry's notifications by what became of them",
    labels: &[("result", &["accepted", "skipped", "refused", "no_room"])],
};

/// The media type under which distribution tells of blobs.
const BLOB: &str = "application/octet-stream";

/// The longest envelope: registries send one event at a time, or a few, of about a kilobyte each.
const MAXIMUM_BYTES: usize = 256 * 1024;

/// What became of the events of an envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct EventCounts {
    /// Events that are looked into, or move a last pull.
    accepted: usize,
    /// Events from which nothing follows: about blobs, and of clients who only looked.
    skipped: usize,
    /// Events that make no sense.
    refused: usize,
}

/// What an envelope comes to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Envelope {
    counts: EventCounts,
    /// Each once, in the order of the events.
    hints: Vec<HintedReference>,
    pulls: Vec<ReportedPull>,
}

/// A pull that an event tells of.
#[derive(Debug, PartialEq, Eq)]
struct ReportedPull {
    repository: RepositoryName,
    reference: Reference,
    when: Timestamp,
}

/// What an event comes to.
enum Suggestion {
    Look(Vec<HintedReference>),
    Pulled(ReportedPull),
    /// Nothing follows from it.
    Ignore,
}

/// Takes an envelope. Answers when its hints are kept, and before they are followed.
#[utoipa::path(
    post, path = "/api/v1/notifications", tag = "door",
    request_body(content = Object, description = "The registry's envelope of notifications."),
    responses((status = 202, description = "What became of its events.", body = EventCounts))
)]
pub(super) async fn take(
    State(state): State<WebState>,
    request: Request,
) -> Result<(StatusCode, Json<EventCounts>), ApiError> {
    let secret = state.notifications.as_ref().ok_or(ApiError::NotificationsOff)?;
    if !secret.is_in(request.headers()) {
        return Err(ApiError::Unauthorized);
    }
    let body = body::read(request, MAXIMUM_BYTES).await?;
    let Envelope { counts, hints, pulls } = read(&body, state.pulls.now())?;
    let count = |result, number| {
        EVENTS.with([result]).increment(number as u64);
    };
    if !hints.is_empty() && state.hints.add(hints).await? == Queued::Full {
        count("no_room", counts.accepted);
        return Err(ApiError::TooManyHints);
    }
    // Written down with those that the door sees itself: registries send one event at a time.
    for ReportedPull { repository, reference, when } in pulls {
        state.pulls.hear(repository, reference, when);
    }
    count("accepted", counts.accepted);
    count("skipped", counts.skipped);
    count("refused", counts.refused);
    Ok((StatusCode::ACCEPTED, Json(counts)))
}

/// Reads an envelope. An event that makes no sense does not spoil the others.
fn read(body: &[u8], now: Timestamp) -> Result<Envelope, ApiError> {
    let document: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::InvalidBody { source: error.into(), remedy: "" })?;
    let Some(Value::Array(events)) = document.get("events") else {
        return Err(ApiError::InvalidBody { source: "an envelope has an array `events`".into(), remedy: "" });
    };
    let mut envelope = Envelope::default();
    let mut seen = HashSet::new();
    for event in events {
        match suggestion(event, now) {
            Some(Suggestion::Look(references)) => {
                envelope.counts.accepted += 1;
                let new = references.into_iter().filter(|reference| seen.insert(reference.clone()));
                envelope.hints.extend(new);
            }
            Some(Suggestion::Pulled(pull)) => {
                envelope.counts.accepted += 1;
                envelope.pulls.push(pull);
            }
            Some(Suggestion::Ignore) => envelope.counts.skipped += 1,
            None => envelope.counts.refused += 1,
        }
    }
    Ok(envelope)
}

/// What an event suggests; nothing if it names no repository, or nothing in it. 3.x writes empty strings for what is
/// absent.
fn suggestion(event: &Value, now: Timestamp) -> Option<Suggestion> {
    let target = event.get("target")?;
    let text = |name| target.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let repository = RepositoryName::parse(text("repository")?).ok()?;
    let tag = text("tag").and_then(|tag| Tag::parse(tag).ok());
    let digest = text("digest").and_then(|digest| Digest::parse(digest).ok());
    if tag.is_none() && text("mediaType") == Some(BLOB) {
        return Some(Suggestion::Ignore);
    }
    let references: Vec<_> =
        tag.map(Reference::Tag).into_iter().chain(digest.map(Reference::Digest)).collect();
    let first = references.first()?;
    if event.get("action").and_then(Value::as_str) == Some("pull") {
        if !is_pull(event) {
            return Some(Suggestion::Ignore);
        }
        let told = event.get("timestamp").and_then(Value::as_str).and_then(Timestamp::parse);
        let when = told.unwrap_or(now).min(now);
        return Some(Suggestion::Pulled(ReportedPull { reference: first.clone(), repository, when }));
    }
    let about = |reference| HintedReference { repository: repository.clone(), reference };
    Some(Suggestion::Look(references.into_iter().map(about).collect()))
}

/// Whether an event tells of a real pull. distribution tells of a HEAD too, and of the door's own
/// questions.
fn is_pull(event: &Value) -> bool {
    let request = |name| event.get("request").and_then(|request| request.get(name)).and_then(Value::as_str);
    request("method") != Some("HEAD")
        && !request("useragent").is_some_and(|agent| agent.starts_with("portreeve/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_milliseconds(2_000_000_000_000);

    fn read_events(events: Value) -> Envelope {
        read(json!({ "events": events }).to_string().as_bytes(), NOW).unwrap()
    }

    fn names(envelope: &Envelope) -> Vec<String> {
        let mut names: Vec<_> =
            envelope.hints.iter().map(|hint| format!("{}:{}", hint.repository, hint.reference)).collect();
        names.sort();
        names
    }

    #[test]
    fn a_push_suggests_its_tag_and_its_digest_and_the_same_twice_only_once() {
        let digest = Digest::sha256(b"x");
        let push = json!({"action": "push", "target": {"repository": "a/b", "tag": "v1", "digest": digest}});
        let envelope = read_events(json!([push, push]));
        assert_eq!(names(&envelope), [format!("a/b:{digest}"), "a/b:v1".to_owned()]);
        assert_eq!(envelope.counts, EventCounts { accepted: 2, skipped: 0, refused: 0 });
    }

    #[test]
    fn a_pull_moves_the_last_pull_to_its_time_but_never_into_the_future() {
        let pull = |time: &str| json!({"action": "pull", "timestamp": time, "target": {"repository": "a", "tag": "v1"}});
        let future = "2999-01-01T00:00:00Z";
        let envelope = read_events(json!([pull("2001-09-09T01:46:40.5+00:00"), pull(future), pull("soon")]));
        let times: Vec<_> = envelope.pulls.iter().map(|pull| pull.when).collect();
        let told = Timestamp::from_milliseconds(1_000_000_000_500);
        assert_eq!(times, [told, NOW, NOW]);
        assert!(envelope.hints.is_empty());
    }

    #[test]
    fn what_is_usable_counts_and_what_is_not_spoils_nothing() {
        let digest = Digest::sha256(b"x");
        let envelope = read_events(json!([
            null, 7, {}, {"target": null}, {"target": {"repository": "UPPER", "tag": "v1"}},
            {"action": "push", "target": {"repository": "a", "tag": "", "digest": ""}},
            {"action": "push", "target": {"repository": "a", "tag": 7, "digest": digest, "mediaType": null}},
            {"action": "mystery", "target": {"repository": "a", "tag": "v2", "digest": "md5:x"}},
            {"action": "push", "target": {"repository": "a", "digest": digest, "mediaType": BLOB}},
        ]));
        assert_eq!(names(&envelope), [format!("a:{digest}"), "a:v2".to_owned()]);
        assert_eq!(envelope.counts, EventCounts { accepted: 2, skipped: 1, refused: 6 });
    }

    #[test]
    fn a_look_and_a_question_of_the_door_are_no_pulls() {
        let pull = |request: Value| json!({"action": "pull", "target": {"repository": "a", "tag": "v1"}, "request": request});
        let envelope = read_events(json!([
            pull(json!({"method": "HEAD"})),
            pull(json!({"method": "GET", "useragent": "portreeve/0.1.0"})),
            pull(json!({"method": "GET", "useragent": "docker/28"})),
        ]));
        assert_eq!(envelope.pulls.len(), 1);
        assert_eq!(envelope.counts, EventCounts { accepted: 1, skipped: 2, refused: 0 });
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for body in ["", "{", "[]", "null", "{}", r#"{"events": {}}"#] {
            assert!(matches!(read(body.as_bytes(), NOW), Err(ApiError::InvalidBody { .. })), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&body, NOW);
        }

        #[test]
        fn no_event_makes_it_panic(
            action in "push|pull|delete|\\PC{0,5}",
            repository in "[a-z/]{0,9}|\\PC{0,9}",
            tag in "[a-z0-9]{0,5}|\\PC{0,5}",
            time in "\\PC{0,30}",
        ) {
            let target = json!({"repository": repository, "tag": tag});
            read_events(json!([{"action": action, "timestamp": time, "target": target}]));
        }
    }
}
