//! What the journal of the gate keeps when somebody floods it, and what it never keeps.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::StatusCode;
use serde_json::Value;

use super::accounts::portreeve;
use crate::support::door::Door;
use crate::support::guard::{Guard, ask_token, password, token};
use crate::support::http::http_client;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(30);

async fn door(guard: &Guard) -> Door {
    guard
        .door("http://127.0.0.1:9")
        .set("SERVER__SOCKET", guard.path("socket").to_str().unwrap())
        .store(guard.path("store.redb"))
        .start_listening()
        .await
}

/// All that the journal tells, over all its pages.
pub(super) async fn told(door: &Door) -> Vec<Value> {
    let (client, mut all, mut after) = (http_client(), Vec::new(), String::new());
    loop {
        let url = format!("{}/api/v1/events?kind=auth&n=1000{after}", door.url());
        let request = client.get(url).basic_auth("admin", Some(password("admin")));
        let page: Value = request.send().await.unwrap().json().await.unwrap();
        all.extend(page["items"].as_array().unwrap_or_else(|| panic!("{page}")).iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

pub(super) fn of<'a>(events: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["kind"] == kind)
}

fn counted(events: &[Value], kind: &str) -> u64 {
    of(events, kind).map(|event| event["count"].as_u64().unwrap()).sum()
}

async fn log_in(door: &Door, user: &str, password: &str) -> StatusCode {
    let request = http_client().get(format!("{}/token", door.url())).basic_auth(user, Some(password));
    request.send().await.unwrap().status()
}

/// Sends so many requests, some at once; each of them is refused.
async fn flood(door: &Door, bearer: &str, paths: impl Iterator<Item = String>) {
    let client = http_client();
    let send = |path: String| {
        let request = client.get(format!("{}{path}", door.url())).bearer_auth(bearer);
        async move {
            let status = request.send().await.unwrap().status();
            assert!([StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status), "{status}");
        }
    };
    futures_util::stream::iter(paths.map(send)).buffer_unordered(32).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_typed_as_a_name_is_not_kept_and_known_names_are() {
    let guard = Guard::new();
    let door = door(&guard).await;
    portreeve(&guard, &["user", "add", "dora"], "a-password-of-hers\n", true).await;
    let robot = ["token", "create", "--name", "ci", "--repositories", "team/**", "--actions", "pull"];
    portreeve(&guard, &robot, "", true).await;
    let typed = "hunter2-correct-horse";
    for name in [typed, "alice", "dora", "ci", "disabled"] {
        let response = log_in(&door, name, "wrong-password").await;
        assert_eq!(response, StatusCode::UNAUTHORIZED, "{name}");
    }
    until("all is written down", SOON, async || of(&told(&door).await, "login_failed").count() >= 5).await;
    let events = told(&door).await;
    let mut names: Vec<&str> =
        of(&events, "login_failed").map(|event| event["user"].as_str().unwrap()).collect();
    names.sort_unstable();
    let (strangers, known): (Vec<&str>, Vec<&str>) =
        names.into_iter().partition(|name| name.starts_with("nobody:"));
    assert_eq!(
        known,
        ["alice", "ci", "dora", "disabled"]
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
    let [stranger] = strangers[..] else { panic!("{strangers:?}") };
    let parts: Vec<&str> = stranger.split(':').collect();
    assert!(parts[1].len() == 8 && parts[2] == typed.len().to_string(), "{stranger}");
    let all = serde_json::to_string(&events).unwrap();
    assert!(!all.contains(typed) && !all.contains("wrong-password"), "{all}");
    // Nor in any other place.
    assert!(!door.log().contains(typed), "{}", door.log());
    let store = std::fs::read(guard.path("store.redb")).unwrap();
    assert!(!store.windows(typed.len()).any(|bytes| bytes == typed.as_bytes()), "it is in the store");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_that_nobody_has_is_the_same_and_another_is_another() {
    let guard = Guard::new();
    let door = door(&guard).await;
    for (name, password) in [("eve-one", "a"), ("eve-two", "a"), ("eve-one", "b")] {
        assert_eq!(log_in(&door, name, password).await, StatusCode::UNAUTHORIZED);
    }
    until("all is written down", SOON, async || counted(&told(&door).await, "login_failed") == 3).await;
    let events = told(&door).await;
    let mut counts: Vec<u64> =
        of(&events, "login_failed").map(|event| event["count"].as_u64().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2], "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_without_a_login_neither_push_anything_out_nor_leave_their_text() {
    let guard = Guard::new();
    let door = door(&guard).await;
    portreeve(&guard, &["user", "add", "dora"], "a-password-of-hers\n", true).await;
    assert_eq!(ask_token(&door.url(), "alice", "").await.status(), StatusCode::OK);
    until("they are written down", SOON, async || {
        let events = told(&door).await;
        of(&events, "account").count() == 1 && of(&events, "login").any(|event| event["user"] == "alice")
    })
    .await;
    let before = std::fs::metadata(guard.path("store.redb")).unwrap().len();

    let anonymous = token(&door.url(), "", &[]).await;
    const REFUSED: u64 = 4_000;
    flood(&door, &anonymous, (0..REFUSED).map(|number| format!("/v2/flooder-was-here/{number}/tags/list")))
        .await;
    until("all is counted", SOON, async || counted(&told(&door).await, "refused") == REFUSED).await;

    let events = told(&door).await;
    assert!(of(&events, "refused").count() <= 10, "{} events", of(&events, "refused").count());
    assert!(!serde_json::to_string(&events).unwrap().contains("flooder-was-here"));
    assert_eq!(of(&events, "account").count(), 1);
    assert!(of(&events, "login").any(|event| event["user"] == "alice"));
    let after = std::fs::metadata(guard.path("store.redb")).unwrap().len();
    assert!(after <= before + 1024 * 1024, "the store grew from {before} to {after} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_refusals_of_a_user_are_one_event_that_counts_them() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let reader = token(&door.url(), "reader", &["repository:team/app:pull"]).await;
    // In several seconds, each of which is written down by itself.
    for round in 1..=3 {
        flood(&door, &reader, (0..20).map(|_| "/v2/other/app/tags/list".to_owned())).await;
        until("they are written down", SOON, async || counted(&told(&door).await, "refused") >= round).await;
    }
    until("all is counted", SOON, async || counted(&told(&door).await, "refused") == 60).await;
    let events = told(&door).await;
    let refused: Vec<&Value> = of(&events, "refused").collect();
    let [refused] = refused[..] else { panic!("{refused:?}") };
    assert_eq!(
        (&refused["user"], &refused["about"]),
        (&"reader".into(), &"repository:other/app:pull".into())
    );
    assert!(refused["first"].as_str().unwrap() < refused["time"].as_str().unwrap(), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_floods_with_different_refusals_leaves_a_few_of_them_and_the_count_of_all() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let reader = token(&door.url(), "reader", &["repository:team/app:pull"]).await;
    const REFUSED: u64 = 3_000;
    flood(&door, &reader, (0..REFUSED).map(|number| format!("/v2/other/{number}/tags/list"))).await;
    let alice = token(&door.url(), "alice", &[]).await;
    flood(&door, &alice, ["/v2/other/app/tags/list".to_owned()].into_iter()).await;
    until("all is counted", SOON, async || counted(&told(&door).await, "refused") == REFUSED + 1).await;
    let events = told(&door).await;
    assert!(of(&events, "refused").count() <= 100, "{} events", of(&events, "refused").count());
    // Whoever comes after them is still told by name.
    assert!(of(&events, "refused").any(|event| event["user"] == "alice"), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_with_invented_names_are_counted_and_leave_the_others() {
    let guard = Guard::new();
    let door = door(&guard).await;
    assert_eq!(ask_token(&door.url(), "alice", "").await.status(), StatusCode::OK);
    assert_eq!(log_in(&door, "alice", "a-guess").await, StatusCode::UNAUTHORIZED);
    let invented = (0..60).map(|number| format!("invented{number}"));
    let attempts = invented.map(|name| {
        let door = &door;
        async move { assert_ne!(log_in(door, &name, "x").await, StatusCode::OK) }
    });
    futures_util::stream::iter(attempts).buffer_unordered(60).collect::<Vec<()>>().await;
    until("all is counted", SOON, async || counted(&told(&door).await, "login_failed") == 61).await;
    let events = told(&door).await;
    assert!(of(&events, "login_failed").count() <= 40, "{} events", of(&events, "login_failed").count());
    assert!(of(&events, "login_failed").any(|event| event["user"] == "alice"));
    assert!(of(&events, "login").any(|event| event["user"] == "alice"));
    assert!(!serde_json::to_string(&events).unwrap().contains("invented"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_last_is_written_down_when_the_door_ends_and_goes_on_after_it() {
    let guard = Guard::new();
    let mut door = door(&guard).await;
    let reader = token(&door.url(), "reader", &["repository:team/app:pull"]).await;
    let path = || "/v2/other/app/tags/list".to_owned();
    flood(&door, &reader, (0..10).map(|_| path())).await;
    until("the first are written down", SOON, async || counted(&told(&door).await, "refused") > 0).await;
    flood(&door, &reader, (0..10).map(|_| path())).await;
    door.signal("TERM");
    assert!(door.wait_exit(Duration::from_secs(20)).await.success());
    door.restart_listening().await;
    let events = told(&door).await;
    assert_eq!(counted(&events, "refused"), 20, "{events:?}");
    let last = events.iter().map(|event| event["sequence"].as_u64().unwrap()).max().unwrap();
    assert_eq!(log_in(&door, "alice", "a-guess").await, StatusCode::UNAUTHORIZED);
    until("numbers go on", SOON, async || {
        of(&told(&door).await, "login_failed").any(|event| event["sequence"].as_u64() > Some(last))
    })
    .await;
}
