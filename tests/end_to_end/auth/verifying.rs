//! A registry that verifies tokens itself, whatever its clock says.

use std::time::{Duration, Instant};

use portreeve::clock::Timestamp;
use reqwest::StatusCode;

use crate::support::door::Door;
use crate::support::guard::{Guard, header, token};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::{ACCEPT_ALL, record};

/// Pushes with a token.
async fn push(door: &str, image: &Image, repository: &str, tag: &str) {
    let token = token(door, "alice", &[&format!("repository:{repository}:pull,push")]).await;
    for (digest, bytes) in &image.blobs {
        let url = format!("{door}/v2/{repository}/blobs/uploads/");
        let opened = http_client().post(url).bearer_auth(&token).send().await.unwrap();
        assert_eq!(opened.status(), StatusCode::ACCEPTED, "{}", opened.text().await.unwrap());
        let location = opened.headers()["location"].to_str().unwrap();
        let url = format!("{location}&digest={digest}");
        let put = http_client().put(url).bearer_auth(&token).body(bytes.clone()).send().await.unwrap();
        assert_eq!(put.status(), StatusCode::CREATED);
    }
    let url = format!("{door}/v2/{repository}/manifests/{tag}");
    let put = http_client().put(url).bearer_auth(&token).header("content-type", &image.media_type);
    let response = put.body(image.manifest.clone()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_shows_the_registry_tokens_of_its_own() {
    let guard = Guard::new();
    let registry = Registry::start_verifying(&guard.trust()).await;
    let door = guard.door(registry.url()).set("REGISTRY__AUTH", "token").start().await;
    let bare = http_client().get(format!("{}/v2/", registry.url())).send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED, "the registry does verify");
    let image = Image::small(1);
    push(&door.url(), &image, "team/app", "latest").await;
    let reader = token(&door.url(), "reader", &["repository:team/app:pull"]).await;
    let url = format!("{}/v2/team/app/manifests/latest", door.url());
    let pulled = http_client().get(url).bearer_auth(reader).header("accept", ACCEPT_ALL);
    assert_eq!(pulled.send().await.unwrap().bytes().await.unwrap(), image.manifest);
    // A client's own token is one that this registry takes, too.
    let own = token(&door.url(), "alice", &["repository:team/app:pull"]).await;
    let url = format!("{}/v2/team/app/tags/list", registry.url());
    assert_eq!(http_client().get(url).bearer_auth(own).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn k7_clocks_that_differ_by_a_second_a_minute_or_an_hour_do_no_harm() {
    for offset in ["1s", "-1s", "1m", "-1m", "1h", "-1h"] {
        let guard = Guard::new();
        let registry = Registry::start_verifying(&guard.trust()).await;
        let door = guard
            .door(registry.url())
            .set("REGISTRY__AUTH", "token")
            .set("CLOCK__OFFSET", offset)
            .start()
            .await;
        push(&door.url(), &Image::small(1), "team/app", "latest").await;
        let admin = crate::support::guard::password("admin");
        let status =
            http_client().get(format!("{}/api/v1/status", door.url())).basic_auth("admin", Some(admin));
        let status: serde_json::Value = status.send().await.unwrap().json().await.unwrap();
        let clock = &status["registry"]["clock"];
        let seconds = |name: &str| clock[name].as_f64().unwrap();
        let expected = -parse(offset);
        let off = (seconds("offset_seconds") - expected).abs();
        assert!(off <= seconds("bound_seconds") + 0.001, "{offset}: {clock}");
        assert!(seconds("bound_seconds") < 2.0, "{offset}: {clock}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn k7_a_clock_that_is_far_off_is_warned_about_once_and_shown_in_the_metrics() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).set("CLOCK__OFFSET", "-10m").start().await;
    let warnings = || door.log().matches("off by more than clock.warn").count();
    let offset = async || {
        let metrics = http_client().get(format!("{}/metrics", door.admin())).send().await.unwrap();
        let text = metrics.text().await.unwrap();
        let line =
            text.lines().find_map(|line| line.strip_prefix("portreeve_registry_clock_offset_seconds "));
        line.map(|value| value.parse::<f64>().unwrap())
    };
    crate::support::wait::until("it is said", Duration::from_secs(20), async || warnings() > 0).await;
    let shown = offset().await.unwrap();
    assert!((shown - 600.0).abs() < 3.0, "{shown}");
    assert_eq!(warnings(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn k7_what_is_known_of_the_clock_outlives_the_door() {
    let guard = Guard::new();
    let mut registry = Registry::start_verifying(&guard.trust()).await;
    let mut door = guard
        .door(registry.url())
        .set("REGISTRY__AUTH", "token")
        .set("CLOCK__OFFSET", "-1h")
        .store(guard.path("store.redb"))
        .start()
        .await;
    door.signal("TERM");
    assert!(door.wait_exit(Duration::from_secs(20)).await.success());
    registry.stop().await;
    door.restart_listening().await;
    let admin = crate::support::guard::password("admin");
    let status = http_client().get(format!("{}/api/v1/status", door.url())).basic_auth("admin", Some(admin));
    let status: serde_json::Value = status.send().await.unwrap().json().await.unwrap();
    let offset = status["registry"]["clock"]["offset_seconds"].as_f64().unwrap();
    assert!((offset - 3600.0).abs() < 5.0, "{status}");
}

fn parse(offset: &str) -> f64 {
    let (sign, size) = offset.strip_prefix('-').map_or((1.0, offset), |size| (-1.0, size));
    sign * humantime::parse_duration(size).unwrap().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_and_verifications_have_tokens_too() {
    let guard = Guard::new();
    let trust = guard.trust();
    let registry = Registry::start_verifying(&trust).await;
    let open = crate::support::door::Door::builder(registry.url())
        .set("AUTH__VERIFIED_BY", trust.name())
        .set("REGISTRY__AUTH", "token")
        .set("AUTH__KEYS", guard.path("keys").to_str().unwrap())
        .start()
        .await;
    // An open door before a registry that verifies: whoever reaches the door may do everything.
    Image::small(1).push(&open.url(), "team/app", "latest").await;
    assert_eq!(record(&open.url()).await.len(), 1);
    let swept = crate::support::sweep::sweep(&open, true).await;
    assert_eq!(swept["outcome"], "complete", "{swept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_does_not_know_the_key_is_no_riddle_for_clients() {
    let (guard, other) = (Guard::new(), Guard::new());
    let registry = Registry::start_verifying(&other.trust()).await;
    let door = guard.door(registry.url()).set("REGISTRY__AUTH", "token").start_listening().await;
    let alice = token(&door.url(), "alice", &["repository:team/app:pull"]).await;
    let url = format!("{}/v2/team/app/tags/list", door.url());
    let response = http_client().get(url).bearer_auth(alice).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert!(response.text().await.unwrap().contains("does not let the door in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_key_takes_over_without_a_moment_of_refusals() {
    let guard = Guard::new();
    guard.keys().open(Timestamp::now()).unwrap();
    let prepared = guard.keys().prepare(Timestamp::now()).unwrap();
    let registry = Registry::start_verifying(&guard.trust()).await;
    let door = guard.door(registry.url()).set("REGISTRY__AUTH", "token").start().await;
    push(&door.url(), &Image::small(1), "team/app", "before").await;
    let old = token(&door.url(), "alice", &["repository:team/app:pull"]).await;

    guard.keys().rotate(Timestamp::now()).unwrap();

    let next = prepared.next().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut count = 0;
    loop {
        let new = token(&door.url(), "alice", &["repository:team/app:pull"]).await;
        push(&door.url(), &Image::small(2), "team/app", &format!("during-{count}")).await;
        count += 1;
        if header(&new)["kid"] == next {
            break;
        }
        assert!(Instant::now() < deadline, "the door does not follow");
    }
    push(&door.url(), &Image::small(3), "team/app", "after").await;
    let url = format!("{}/v2/team/app/tags/list", door.url());
    let listed = http_client().get(url).bearer_auth(old).send().await.unwrap();
    assert_eq!(listed.status(), StatusCode::OK, "what the old key signed is good until it expires");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_prepared_beside_a_running_door_is_published_at_once() {
    let guard = Guard::new();
    let door = guard.door("http://127.0.0.1:9").start_listening().await;
    let published = async || {
        let keys = door.get_json("/.well-known/jwks.json").await["keys"].take();
        keys.as_array().unwrap().iter().map(|key| key["kid"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(published().await.len(), 1);
    let prepared = guard.keys().prepare(Timestamp::now()).unwrap();
    crate::support::wait::until("the next key is published", Duration::from_secs(20), async || {
        published().await.iter().any(|key| key == prepared.next().unwrap())
    })
    .await;
    let signs = token(&door.url(), "alice", &[]).await;
    assert_ne!(header(&signs)["kid"], prepared.next().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_a_password_is_shown_it() {
    let registry = Registry::start_with_password("door", "secret-of-the-door").await;
    let guard = Guard::new();
    let door = guard
        .door(registry.url())
        .set("REGISTRY__AUTH", "basic")
        .set("REGISTRY__USERNAME", "door")
        .set("REGISTRY__PASSWORD", "secret-of-the-door")
        .start()
        .await;
    push(&door.url(), &Image::small(1), "team/app", "latest").await;
    assert!(!door.whole_log().await.contains("secret-of-the-door"));
}
