//! Streams of events: what happens is sent to whoever may see it, for as long as they may.

use std::time::{Duration, Instant};

use portreeve::clock::Timestamp;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

use crate::api;
use crate::support::door::Door;
use crate::support::guard::{Guard, password, token};
use crate::support::http::{client_builder, http_client};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::wait::until;

/// Within which time what has to happen has happened, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A stream that is read event by event.
pub(crate) struct Stream {
    response: reqwest::Response,
    unread: String,
}

impl Stream {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut stream = Self { response, unread: String::new() };
        let greeting = stream.block().await.unwrap();
        assert!(greeting.starts_with("event: history\n"), "{greeting}");
        stream
    }

    /// The next block; nothing at the end.
    async fn block(&mut self) -> Option<String> {
        tokio::time::timeout(SOON, async {
            loop {
                if let Some((block, rest)) = self.unread.split_once("\n\n") {
                    let block = block.to_owned();
                    self.unread = rest.to_owned();
                    return Some(block);
                }
                // A stream that is cut off ends as well.
                let piece = self.response.chunk().await.ok().flatten()?;
                self.unread.push_str(std::str::from_utf8(&piece).unwrap());
            }
        })
        .await
        .expect("the stream says nothing")
    }

    /// The next event; nothing at the end. Signs of life are passed over.
    pub(crate) async fn event(&mut self) -> Option<Value> {
        loop {
            let block = self.block().await?;
            if let Some((_, data)) = block.split_once("\ndata: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

fn stream(door: &Door, query: &str) -> RequestBuilder {
    http_client().get(format!("{}/api/v1/events/stream?{query}", door.url()))
}

fn stream_of(door: &Door, user: &str) -> RequestBuilder {
    stream(door, "").basic_auth(user, Some(password(user)))
}

async fn push_openly(door: &Door, registry: &Registry, repository: &str, number: u64) {
    let image = Image::small(number);
    image.push_blobs(&registry.url(), repository).await;
    let put = image.put_by(&http_client(), &door.url(), repository, "latest").await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_sent_at_once_also_to_a_client_that_was_silent_for_long() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).set("LISTEN__CLIENT_TIMEOUT", "1s").start().await;
    let mut http1 = Stream::of(stream(&door, "repository=a")).await;
    let http2 = client_builder().http2_prior_knowledge().build().unwrap();
    let mut http2 = Stream::of(http2.get(format!("{}/api/v1/events/stream", door.url()))).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    push_openly(&door, &registry, "b", 1).await;
    push_openly(&door, &registry, "a", 2).await;
    let event = http1.event().await.unwrap();
    assert_eq!((&event["repository"], &event["kind"]), (&"a".into(), &"manifest_put".into()));
    assert_eq!(http2.event().await.unwrap()["repository"], "b");
    let last = loop {
        let event = http2.event().await.unwrap();
        if event["repository"] == "a" && event["tag"] == "latest" {
            break event["sequence"].as_u64().unwrap();
        }
    };
    // Who comes again goes on behind what was read.
    push_openly(&door, &registry, "a", 3).await;
    let again = stream(&door, "after=0").header("last-event-id", last.to_string());
    let event = Stream::of(again).await.event().await.unwrap();
    assert!(event["sequence"].as_u64().unwrap() > last);
    assert_eq!(event["repository"], "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_its_place_and_one_too_many_is_told_to_come_again() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).set("LIMITS__EVENT_STREAMS", "2").start().await;
    let first = Stream::of(stream(&door, "")).await;
    let second = Stream::of(stream(&door, "")).await;
    let refused = stream(&door, "").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["code"], "too_many_streams");
    drop(first);
    // Well before anything is sent to it.
    until("its place is free", Duration::from_secs(10), async || {
        stream(&door, "").send().await.unwrap().status() == StatusCode::OK
    })
    .await;
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_do_not_hold_up_the_doors_end() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).set("SERVER__GRACE", "60s").start().await;
    let mut http1 = Stream::of(stream(&door, "")).await;
    let http2 = client_builder().http2_prior_knowledge().build().unwrap();
    let mut http2 = Stream::of(http2.get(format!("{}/api/v1/events/stream", door.url()))).await;
    let client = client_builder().unix_socket(door.socket()).build().unwrap();
    let mut socket = Stream::of(client.get("http://door/api/v1/events/stream")).await;
    let begun = Instant::now();
    door.signal("TERM");
    for stream in [&mut http1, &mut http2, &mut socket] {
        assert_eq!(stream.event().await, None);
    }
    let status = door.wait_exit(SOON).await;
    assert_eq!(status.code(), Some(0), "{}", door.log());
    assert!(begun.elapsed() < Duration::from_secs(15), "it took {:?}\n{}", begun.elapsed(), door.log());
    assert!(door.log().contains("every transfer has ended"), "{}", door.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_sent_what_they_may_pull_and_an_end_of_the_user_ends_the_stream() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = api::filled(&guard, &registry).await;
    let mut admin = Stream::of(stream_of(&door, "admin")).await;
    let mut reader = Stream::of(stream_of(&door, "reader")).await;
    let bearer = token(&door.url(), "reader", &["repository:team/app:pull"]).await;
    let mut bearer = Stream::of(stream(&door, "").bearer_auth(bearer)).await;
    api::push(&door, &registry, "private/app", 7).await;
    api::push(&door, &registry, "team/app", 8).await;
    assert_eq!(admin.event().await.unwrap()["repository"], "private/app");
    let event = reader.event().await.unwrap();
    assert_eq!((&event["repository"], &event["actor"]["user"]), (&"team/app".into(), &"admin".into()));
    assert_eq!(bearer.event().await.unwrap()["repository"], "team/app");
    guard.write_users(&["admin"]);
    while let Some(event) = reader.event().await {
        assert_eq!(event["repository"], "team/app");
    }
    while let Some(event) = bearer.event().await {
        assert_eq!(event["repository"], "team/app");
    }
    api::push(&door, &registry, "team/app", 9).await;
    until("the administrator hears of it", SOON, async || {
        admin.event().await.unwrap()["repository"] == "team/app"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tokens_end_ends_its_stream() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = guard.door(registry.url()).set("AUTH__LEEWAY", "0s").start_listening().await;
    // The guard's tokens are good for five minutes.
    let made = Timestamp::now().shifted(-296_000);
    let expiring = guard.issuer().issue_at(Some("reader"), &[], made).unwrap();
    let begun = Instant::now();
    let mut stream = Stream::of(stream(&door, "").bearer_auth(expiring.token)).await;
    assert_eq!(stream.event().await, None);
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_change_count_for_the_next_event() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let file = guard.path("portreeve.toml");
    let admin = "[[auth.rules]]\nwho = \"admin\"\nrepositories = \"**\"\nactions = [\"*\", \"admin\"]\n";
    let write = |repositories: &str| {
        let rule = format!(
            "{admin}[[auth.rules]]\nwho = \"reader\"\nrepositories = \"{repositories}\"\nactions = \"pull\"\n"
        );
        let aside = guard.path("portreeve.toml.new");
        std::fs::write(&aside, rule).unwrap();
        std::fs::rename(aside, &file).unwrap();
    };
    write("one");
    let door = guard.door(registry.url()).unset("AUTH__RULES").configured_by(&file).start().await;
    let mut stream = Stream::of(stream_of(&door, "reader")).await;
    api::push(&door, &registry, "two", 1).await;
    api::push(&door, &registry, "one", 2).await;
    assert_eq!(stream.event().await.unwrap()["repository"], "one");
    write("two");
    door.signal("HUP");
    let may = async |repository: &str| {
        let scope = format!("repository:{repository}:pull");
        let token = token(&door.url(), "reader", &[&scope]).await;
        !crate::support::guard::grants(&token).is_empty()
    };
    until("the new rules count", SOON, async || may("two").await && !may("one").await).await;
    api::push(&door, &registry, "one", 3).await;
    api::push(&door, &registry, "two", 4).await;
    // What was sent of the first repository before is told by its digest.
    loop {
        let event = stream.event().await.unwrap();
        if event["repository"] == "two" {
            break;
        }
        assert_eq!(event["digest"], Image::small(2).digest, "{event}");
    }
}
