//! Clocks that leap: the registry's, the door's, and what either must not cost.

use std::time::Duration;

use portreeve::clock::Timestamp;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::support::binary::blocking_portreeve;
use crate::support::connection::Connection;
use crate::support::door::{Door, clock_of};
use crate::support::guard::{Guard, ask_token, claims, password, token};
use crate::support::http::http_client;
use crate::support::image::{Image, digest};
use crate::support::leaping::LeapingClock;
use crate::support::registry::Registry;
use crate::support::state::ACCEPT_ALL;
use crate::support::wait::until;

const HOURS: i64 = 2 * 60 * 60;
const SCOPE: &str = "repository:team/app:pull,push,delete";
const WITHIN: Duration = Duration::from_secs(30);

/// A registry that verifies, its clock, a door before it, and alice's token.
struct House {
    _registry: Registry,
    _guard: Guard,
    clock: LeapingClock,
    door: Door,
    alice: String,
}

async fn house() -> House {
    let guard = Guard::new();
    let registry = Registry::start_verifying(&guard.trust()).await;
    let clock = LeapingClock::before(&registry, &guard).await;
    let door = guard.door(clock.url()).set("REGISTRY__AUTH", "token").start().await;
    let alice = token(&door.url(), "alice", &[SCOPE]).await;
    House { _registry: registry, _guard: guard, clock, door, alice }
}

impl House {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with('/') { format!("{}{path}", self.door.url()) } else { path.to_owned() };
        http_client().request(method, url).bearer_auth(&self.alice).header("accept", ACCEPT_ALL)
    }

    async fn open_upload(&self) -> String {
        let opened = self.request(Method::POST, "/v2/team/app/blobs/uploads/").send().await.unwrap();
        assert_eq!(opened.status(), StatusCode::ACCEPTED);
        location(&opened)
    }
}

fn location(response: &Response) -> String {
    response.headers()["location"].to_str().unwrap().to_owned()
}

async fn read_shift(door: &Door) -> f64 {
    let status = http_client().get(format!("{}/api/v1/status", door.url()));
    let status = status.basic_auth("admin", Some(password("admin"))).send().await.unwrap();
    let status: Value = status.json().await.unwrap();
    status["registry"]["clock"]["offset_seconds"].as_f64().unwrap_or_else(|| panic!("{status}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leap_of_the_registrys_clock_costs_no_request_its_answer() {
    let house = house().await;
    let mut ahead = 0;
    // Each request is the first one after a leap.
    let mut leap = || {
        ahead = HOURS - ahead;
        house.clock.leap(ahead);
    };
    let image = Image::small(1);
    for (blob, bytes) in &image.blobs {
        leap();
        let mut at = house.open_upload().await;
        for piece in [Method::PATCH, Method::GET] {
            leap();
            let body = if piece == Method::PATCH { bytes.clone() } else { Default::default() };
            let sent = house.request(piece.clone(), &at).body(body).send().await.unwrap();
            assert!(sent.status().is_success(), "{piece}: {}", sent.status());
            at = location(&sent);
        }
        leap();
        let put = house.request(Method::PUT, &format!("{at}&digest={blob}")).send().await.unwrap();
        assert_eq!(put.status(), StatusCode::CREATED);
        leap();
        let head = house.request(Method::HEAD, &format!("/v2/team/app/blobs/{blob}")).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
    }
    let path = format!("/v2/team/app/manifests/{}", image.digest);
    leap();
    let put = house.request(Method::PUT, "/v2/team/app/manifests/latest");
    let put =
        put.header("content-type", &image.media_type).body(image.manifest.clone()).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED);
    leap();
    let pulled = house.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(pulled.bytes().await.unwrap(), image.manifest);
    leap();
    let deleted = house.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::ACCEPTED);
    assert!(house.clock.refused() >= 8, "the clock did leap: {}", house.clock.refused());
    leap();
    let swept = http_client().post(format!("{}/api/v1/sync", house.door.url()));
    let swept = swept.basic_auth("admin", Some(password("admin"))).send().await.unwrap();
    assert!(swept.status().is_success(), "{}", swept.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_sent_again_is_asked_for_again_and_taken_then() {
    let house = house().await;
    let at = house.open_upload().await;
    let body = vec![7; 1024 * 1024];
    // The door has let go of the beginning of the body when the registry refuses it.
    house.clock.hold_back(512 * 1024);
    house.clock.leap(HOURS);
    let patch = || house.request(Method::PATCH, &at).body(body.clone());
    let refused = patch().send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    let taken = patch().send().await.unwrap();
    assert_eq!(taken.status(), StatusCode::ACCEPTED);
    let put = format!("{}&digest={}", location(&taken), digest(&body));
    assert_eq!(house.request(Method::PUT, &put).send().await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_to_be_asked_for_its_body_is_asked_after_the_leap() {
    let house = house().await;
    let at = house.open_upload().await;
    house.clock.leap(-HOURS);
    let body = vec![7; 1024 * 1024];
    let target = at.split_once("://").unwrap().1.split_once('/').unwrap().1;
    let mut connection = Connection::open(house.door.address()).await;
    let lines = format!(
        "Authorization: Bearer {}\r\nExpect: 100-continue\r\nContent-Length: {}\r\n",
        house.alice,
        body.len()
    );
    connection.request("PATCH", &format!("/{target}"), &lines).await;
    assert_eq!(connection.head().await.status, 100);
    connection.send(&body).await;
    assert_eq!(connection.answer("PATCH").await.head.status, 202);
    assert_eq!(house.clock.refused(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_whose_clocks_are_hours_apart_are_each_asked_in_their_own_time() {
    let guard = Guard::new();
    let registry = Registry::start_verifying(&guard.trust()).await;
    let (one, other) =
        (LeapingClock::before(&registry, &guard).await, LeapingClock::before(&registry, &guard).await);
    other.leap(HOURS);
    let both = format!("{},{}", one.url(), other.url());
    let door = guard.door(both).set("REGISTRY__AUTH", "token").start().await;
    let alice = token(&door.url(), "alice", &[SCOPE]).await;
    for number in 0..40 {
        let opened = http_client().post(format!("{}/v2/team/app/blobs/uploads/", door.url()));
        let opened = opened.bearer_auth(&alice).send().await.unwrap();
        assert_eq!(opened.status(), StatusCode::ACCEPTED, "{number}");
        // It goes on at the same backend, and cannot be sent twice.
        let patched = http_client().patch(location(&opened)).bearer_auth(&alice).body(vec![7; 300_000]);
        assert_eq!(patched.send().await.unwrap().status(), StatusCode::ACCEPTED, "{number}");
    }
    assert!(one.refused() + other.refused() <= 2, "{} {}", one.refused(), other.refused());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_refuses_for_another_reason_is_not_asked_twice() {
    let (guard, stranger) = (Guard::new(), Guard::new());
    let registry = Registry::start_verifying(&stranger.trust()).await;
    let clock = LeapingClock::before(&registry, &guard).await;
    let door = guard.door(clock.url()).set("REGISTRY__AUTH", "token").start_listening().await;
    let alice = token(&door.url(), "alice", &[SCOPE]).await;
    for number in 1..=5 {
        // The door's own questions are refused as well, when it asks them.
        let before = clock.refused_at("/tags/list");
        let listed = http_client().get(format!("{}/v2/team/app/tags/list", door.url())).bearer_auth(&alice);
        assert_eq!(listed.send().await.unwrap().status(), StatusCode::BAD_GATEWAY);
        assert_eq!(clock.refused_at("/tags/list") - before, 1, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn setting_the_doors_clock_while_it_runs_costs_nothing() {
    let guard = Guard::new();
    let registry = Registry::start_verifying(&guard.trust()).await;
    let clock = LeapingClock::before(&registry, &guard).await;
    let set = guard.path("clock");
    std::fs::write(&set, "+0").unwrap();
    let door = guard.door(clock.url()).set("REGISTRY__AUTH", "token").with_clock_of(&set).start().await;
    for hours in [2_i64, -2, 48, 0] {
        let aside = guard.path("clock.new");
        std::fs::write(&aside, format!("{hours:+}h")).unwrap();
        std::fs::rename(aside, &set).unwrap();
        let mut alice = String::new();
        until("the door's clock is set", WITHIN, async || {
            alice = token(&door.url(), "alice", &[SCOPE]).await;
            let made = Timestamp::from_milliseconds(claims(&alice)["iat"].as_u64().unwrap() * 1000);
            let expected = Timestamp::now().shifted(hours * 3_600_000);
            made.since(expected).max(expected.since(made)) < Duration::from_secs(60)
        })
        .await;
        let opened = http_client().post(format!("{}/v2/team/app/blobs/uploads/", door.url()));
        let opened = opened.bearer_auth(&alice).send().await.unwrap();
        assert_eq!(opened.status(), StatusCode::ACCEPTED, "{hours}");
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let seen = -(hours * 3_600) as f64;
        assert!(
            (read_shift(&door).await - seen).abs() < 5.0,
            "{hours}: it is seen how far the clocks are apart"
        );
    }
    assert_eq!(clock.refused(), 0);
}

async fn refresh(door: &Door, login: &str) -> StatusCode {
    let form = [("grant_type", "refresh_token"), ("service", "portreeve"), ("refresh_token", login)];
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = http_client().post(format!("{}/token", door.url()));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    request.send().await.unwrap().status()
}

async fn log_in(door: &Door, user: &str) -> String {
    let answer = ask_token(&door.url(), user, "offline_token=true").await;
    let answer: Value = answer.json().await.unwrap();
    answer["refresh_token"].as_str().unwrap().to_owned()
}

/// What happened at the gate.
async fn gate_events(door: &Door) -> Vec<Value> {
    let request = http_client().get(format!("{}/api/v1/events?kind=auth&n=1000", door.url()));
    let answer = request.basic_auth("admin", Some(password("admin"))).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json::<Value>().await.unwrap()["items"].as_array().unwrap().clone()
}

async fn wait_for_event(door: &Door, what: &str, is_it: impl Fn(&Value) -> bool) {
    until(what, WITHIN, async || gate_events(door).await.iter().any(&is_it)).await;
}

async fn end(mut door: Door) {
    door.signal("TERM");
    assert!(door.wait_exit(Duration::from_secs(20)).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_clock_years_ahead_deletes_no_login_and_no_event_for_good() {
    let guard = Guard::new();
    let (clock, store) = (guard.path("clock"), guard.path("store.redb"));
    let start = async |moved: &str| {
        std::fs::write(&clock, moved).unwrap();
        let door = guard.door("http://127.0.0.1:9").store(&store).with_clock_of(&clock);
        door.start_listening().await
    };
    let door = start("+0").await;
    let login = log_in(&door, "alice").await;
    let is_alices = |event: &Value| event["kind"] == "login" && event["user"] == "alice";
    wait_for_event(&door, "the login is written down", is_alices).await;
    end(door).await;

    let door = start("+10y").await;
    assert_eq!(refresh(&door, &login).await, StatusCode::UNAUTHORIZED, "by this clock it is over");
    ask_token(&door.url(), "reader", "").await;
    // Whatever is purged, is purged with the writing of this.
    wait_for_event(&door, "the journal is written", |event| event["user"] == "reader").await;
    end(door).await;
    // A command that finds no door looks at the store by the same clock.
    let mut command = blocking_portreeve();
    command.args(["token", "create", "--name", "robot", "--repositories", "team/**", "--actions", "pull"]);
    command.current_dir(guard.path("")).envs(clock_of(&clock));
    let output = command.env("PORTREEVE__STORE__URL", format!("redb:{}", store.display())).output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let door = start("+0").await;
    assert_eq!(refresh(&door, &login).await, StatusCode::OK);
    assert!(gate_events(&door).await.iter().any(is_alices));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_whose_user_is_missing_or_has_an_old_password_for_a_while_goes_on_later() {
    let guard = Guard::new();
    let door = guard.door("http://127.0.0.1:9").start_listening().await;
    let login = log_in(&door, "alice").await;
    let users = guard.path("htpasswd");
    let right = std::fs::read_to_string(&users).unwrap();
    let without: String =
        right.lines().filter(|line| !line.starts_with("alice:")).map(|line| format!("{line}\n")).collect();
    let old = format!("{without}alice:{}\n", bcrypt::hash("an-old-password", 4).unwrap());
    for wrong in [&without, &old] {
        for (content, expected) in [(wrong, StatusCode::UNAUTHORIZED), (&right, StatusCode::OK)] {
            let aside = guard.path("htpasswd.new");
            std::fs::write(&aside, content).unwrap();
            std::fs::rename(aside, &users).unwrap();
            door.signal("HUP");
            until("the file counts", WITHIN, async || refresh(&door, &login).await == expected).await;
        }
    }
}
