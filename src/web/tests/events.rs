//! The history, filtered, and streams of it.

use http_body_util::BodyExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;

/// The numbers of the events of an answer, and where it goes on.
async fn listed(store: &Arc<MemoryStore>, query: &str) -> (Vec<u64>, Value) {
    let (status, body) = get(store, &format!("/api/v1/events?{query}")).await;
    assert_eq!(status, StatusCode::OK, "{query}: {body}");
    let items = body["items"].as_array().unwrap();
    (items.iter().map(|item| item["sequence"].as_u64().unwrap()).collect(), body["next"].clone())
}

#[tokio::test]
async fn events_are_listed_oldest_first_behind_a_position() {
    let store = filled().await;
    delete(&store, &app(), "latest").await;
    push(&store, &app(), manifest("image"), &["latest"]).await;
    let epoch = store.history().await.unwrap().epoch;
    let (status, body) = get(&store, "/api/v1/events?after=2&n=1").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body,
        json!({
            "items": [{
                "sequence": 4, "time": "1970-01-01T00:00:01.000Z", "kind": "tag_deleted", "source": "observed",
                "repository": "team/app", "tag": "latest", "digest": digest("image"), "previous": null,
                "media_type": null, "actor": {"user": "alice", "address": "192.0.2.1", "agent": "docker"},
            }],
            "next": "4", "epoch": epoch,
        })
    );
    let (status, body) = get(&store, "/api/v1/events?repository=other").await;
    assert_eq!((status, body), (StatusCode::OK, json!({"items": [], "next": null, "epoch": epoch})));
}

#[tokio::test]
async fn a_position_in_another_history_is_refused() {
    let store = filled().await;
    let (last, ours) = (store.sequence().await.unwrap(), store.history().await.unwrap().epoch);
    let (behind, other) = (last.next(), "00000000000000000000000000000003");
    for (query, status) in [
        (format!("after={last}&epoch={ours}"), StatusCode::OK),
        (format!("epoch={ours}"), StatusCode::OK),
        (format!("after={behind}&epoch={ours}"), StatusCode::CONFLICT),
        (format!("after=1&epoch={other}"), StatusCode::CONFLICT),
        ("after=1&epoch=2".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        let (answered, body) = get(&store, &format!("/api/v1/events?{query}")).await;
        assert_eq!(answered, status, "{query}: {body}");
        if status == StatusCode::CONFLICT {
            assert_eq!(body["error"]["code"], "history_replaced", "{query}");
        }
    }
}

#[tokio::test]
async fn events_are_filtered_by_what_they_are_about_and_read_in_either_order() {
    let store = filled().await;
    push(&store, &name("b"), manifest("image"), &["v1"]).await;
    delete(&store, &app(), "latest").await;
    // Intents have numbers, too.
    let (all, next) = listed(&store, "").await;
    assert_eq!((all.len(), next), (3, Value::Null));
    let [pushed, other, deleted] = all[..] else { panic!("{all:?}") };
    for (query, expected) in [
        ("order=desc", vec![deleted, other, pushed]),
        ("order=asc", vec![pushed, other, deleted]),
        ("kind=tag_deleted", vec![deleted]),
        ("kind=manifest_put,tag_deleted", vec![pushed, other, deleted]),
        ("kind=repository_gone", vec![]),
        ("tag=latest", vec![pushed, deleted]),
        ("tag=v1&repository=b", vec![other]),
        ("tag=v1&repository=team/app", vec![]),
        ("user=alice", vec![pushed, other, deleted]),
        ("user=bob", vec![]),
        ("since=1970-01-01T00:00:01Z", vec![pushed, other, deleted]),
        ("since=1970-01-01T01:00:01.000%2B01:00", vec![pushed, other, deleted]),
        ("since=1970-01-01T00:00:02Z", vec![]),
        ("until=1970-01-01T00:00:01Z", vec![]),
        ("until=1970-01-01T00:00:01.001Z&order=desc&n=2", vec![deleted, other]),
    ] {
        assert_eq!(listed(&store, query).await.0, expected, "{query}");
    }
    let (newest, next) = listed(&store, "order=desc&n=2").await;
    assert_eq!((newest, &next), (vec![deleted, other], &json!(other.to_string())));
    let behind = format!("order=desc&n=2&after={}", next.as_str().unwrap());
    assert_eq!(listed(&store, &behind).await, (vec![pushed], Value::Null));
    for (query, name) in [
        ("order=up", "order"),
        ("kind=pushed", "kind"),
        ("kind=", "kind"),
        ("since=yesterday", "since"),
        ("until=5", "until"),
        ("tag=-", "tag"),
        ("repository=A", "repository"),
    ] {
        let (status, body) = get(&store, &format!("/api/v1/events?{query}")).await;
        assert_eq!((status, &body["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_parameter")));
        assert!(body["error"]["message"].as_str().unwrap().contains(&format!("`{name}`")), "{body}");
    }
}

/// A door with room for one stream, whose feed runs.
struct Streaming {
    state: WebState,
    stop: CancellationToken,
    feed: JoinHandle<()>,
}

impl Streaming {
    fn over(store: &Arc<MemoryStore>) -> Self {
        let (state, stop) = (web(store, ServiceState::Ready), CancellationToken::new());
        let feed = tokio::spawn(Arc::clone(&state.feed).run(stop.clone()));
        Self { state, stop, feed }
    }

    async fn ask(&self, query: &str, headers: &[(&'static str, &str)]) -> axum::response::Response {
        let mut request = Request::get(format!("/api/v1/events/stream?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        door_router(self.state.clone()).oneshot(request).await.unwrap()
    }

    async fn follow(&self, query: &str, headers: &[(&'static str, &str)]) -> Stream {
        let response = self.ask(query, headers).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = Stream { body: response.into_body(), unread: String::new() };
        let greeting = stream.next().await.unwrap();
        assert!(greeting.starts_with("event: history\ndata: {\"epoch\":\""), "{greeting}");
        stream
    }

    async fn end(self) {
        self.stop.cancel();
        self.feed.await.unwrap();
    }
}

/// A stream that is read event by event.
struct Stream {
    body: Body,
    unread: String,
}

impl Stream {
    /// The next block; nothing at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let block = block.to_owned();
                self.unread = rest.to_owned();
                return Some(block);
            }
            let frame = self.body.frame().await?.unwrap().into_data().unwrap();
            self.unread.push_str(std::str::from_utf8(&frame).unwrap());
        }
    }

    /// The next event: its `id`, and what it says.
    async fn event(&mut self) -> (u64, Value) {
        let block = self.next().await.unwrap();
        let (id, data) = block.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        let id = id.strip_prefix("id: ").unwrap().parse().unwrap();
        assert_eq!(data["sequence"], id);
        (id, data)
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_sends_what_happens_as_the_list_shows_it() {
    let store = filled().await;
    let door = Streaming::over(&store);
    let mut stream = door.follow("", &[]).await;
    push(&store, &name("b"), manifest("image"), &["v1", "v2"]).await;
    let (_, shown) = get(&store, "/api/v1/events?repository=b").await;
    for item in shown["items"].as_array().unwrap() {
        assert_eq!(&stream.event().await.1, item);
    }
    delete(&store, &app(), "latest").await;
    assert_eq!(stream.event().await.1["kind"], "tag_deleted");
    door.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_behind_what_was_read_and_a_browser_says_so_in_the_header() {
    let store = filled().await;
    for number in 0..10 {
        push(&store, &name("b"), manifest("image"), &[&format!("t{number}")]).await;
    }
    let (all, _) = listed(&store, "").await;
    let door = Streaming::over(&store);
    let third = all[2].to_string();
    let cases: [(String, &[(&'static str, &str)]); 4] = [
        ("after=0".to_owned(), &[]),
        (format!("after={third}"), &[]),
        ("after=0".to_owned(), &[("last-event-id", &third)]),
        ("since=1970-01-01T00:00:01Z&repository=b".to_owned(), &[]),
    ];
    for ((query, headers), skipped) in cases.into_iter().zip([0, 3, 3, 1]) {
        let mut stream = door.follow(&query, headers).await;
        for expected in &all[skipped..] {
            assert_eq!(stream.event().await.0, *expected, "{query}");
        }
    }
    // What nobody has read is of another history.
    let answer = door.ask("after=1000000", &[]).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    for (query, headers) in
        [("", &[("last-event-id", "x")][..]), ("order=desc", &[]), ("n=1", &[]), ("kind=auth", &[])]
    {
        let answer = door.ask(query, headers).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query} {headers:?}");
    }
    door.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_what_is_asked_for_and_its_position_goes_past_the_rest() {
    let store = filled().await;
    let door = Streaming::over(&store);
    let mut stream = door.follow("kind=tag_deleted", &[]).await;
    push(&store, &name("b"), manifest("image"), &["v1"]).await;
    let last = store.sequence().await.unwrap();
    // Nothing of it is asked for, so the next thing is a sign of life.
    assert_eq!(stream.next().await.unwrap(), format!(":\nid: {last}"));
    assert_eq!(stream.next().await.unwrap(), ":");
    delete(&store, &app(), "latest").await;
    assert_eq!(stream.event().await.1["kind"], "tag_deleted");
    door.end().await;
}

#[tokio::test(start_paused = true)]
async fn there_are_only_so_many_streams_and_all_end_when_the_door_is_to_stop() {
    let store = filled().await;
    let door = Streaming::over(&store);
    let mut stream = door.follow("", &[]).await;
    let refused = door.ask("", &[]).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    drop(stream);
    stream = door.follow("", &[]).await;
    door.state.feed.close();
    assert_eq!(stream.next().await, None);
    drop(stream);
    assert_eq!(door.ask("", &[]).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    door.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_falls_far_behind_misses_nothing() {
    const EVENTS: usize = 6_000;
    let store = filled().await;
    let door = Streaming::over(&store);
    let mut stream = door.follow("", &[]).await;
    for part in 0..EVENTS / 500 {
        let tags: Vec<String> = (0..500).map(|tag| format!("t{part}-{tag}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        push(&store, &name("b"), manifest("image"), &tags).await;
        // What is kept for followers goes on meanwhile.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut last = 0;
    for _ in 0..EVENTS {
        let (id, _) = stream.event().await;
        assert!(id > last);
        last = id;
    }
    assert_eq!(last, store.sequence().await.unwrap().get());
    door.end().await;
}
