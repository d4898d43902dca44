//! Who is locked after failed logins: administrators are told, and let go of it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::accounts::{door, portreeve};
use crate::support::door::Door;
use crate::support::guard::{Guard, ask_token, password};
use crate::support::http::http_client;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(60);

async fn ask(door: &Door, user: &str, method: Method, path: &str) -> (StatusCode, Value) {
    let request = http_client().request(method, format!("{}{path}", door.url()));
    let answer = request.basic_auth(user, Some(password(user))).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

async fn locks(door: &Door, query: &str) -> Vec<Value> {
    let (status, list) = ask(door, "admin", Method::GET, &format!("/api/v1/lockouts{query}")).await;
    assert_eq!(status, StatusCode::OK, "{list}");
    list["items"].as_array().unwrap().clone()
}

async fn guess(door: &Door, user: &str) -> StatusCode {
    let request = http_client().get(format!("{}/token", door.url()));
    let wrong = format!("guess {}", fastrand::u64(..));
    request.basic_auth(user, Some(wrong)).send().await.unwrap().status()
}

/// Guesses at a password until whoever comes next waits for eight seconds.
async fn lock(door: &Door, user: &str) {
    let mut failed = 0;
    while failed < 7 {
        until("a guess is let in", SOON, async || guess(door, user).await == StatusCode::UNAUTHORIZED).await;
        failed += 1;
    }
    assert_eq!(ask_token(&door.url(), user, "").await.status(), StatusCode::TOO_MANY_REQUESTS);
}

/// What the journal tells of changes to accounts, with who made them.
async fn changes(door: &Door) -> Vec<(String, String)> {
    let (_, list) = ask(door, "admin", Method::GET, "/api/v1/events?kind=auth&what=account").await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|event| (text(&event["user"]), text(&event["about"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_user_is_told_to_administrators_and_unlocked_by_the_command() {
    let guard = Guard::new();
    let door = door(&guard).await;
    assert_eq!(locks(&door, "").await, Vec::<Value>::new());
    lock(&door, "alice").await;
    let listed = locks(&door, "?user=alice").await;
    let [lock] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(
        (&lock["kind"], &lock["user"], &lock["network"], &lock["failures"]),
        (&"user_at_network".into(), &"alice".into(), &"127.0.0.1".into(), &7.into())
    );
    assert_eq!(lock["reason"], "7 wrong passwords from 127.0.0.1");
    assert!(lock["until"].as_str() > lock["last"].as_str(), "{lock}");
    assert_eq!(locks(&door, "?user=reader").await, Vec::<Value>::new());
    portreeve(&guard, &["user", "unlock", "alice"], "", true).await;
    assert_eq!(locks(&door, "?user=alice").await, Vec::<Value>::new());
    assert_eq!(ask_token(&door.url(), "alice", "").await.status(), StatusCode::OK);
    let said = portreeve(&guard, &["user", "unlock", "reader"], "", false).await;
    assert!(said.contains("no failed logins are counted"), "{said}");
    until("it is written down", SOON, async || {
        let changes = changes(&door).await;
        changes.iter().any(|(by, about)| by.starts_with("uid ") && about == "the user alice was unlocked")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_guesses_at_many_names_is_told_without_the_names_and_unlocked_by_its_identifier() {
    let guard = Guard::new();
    let door = door(&guard).await;
    for number in 0..30 {
        assert_eq!(guess(&door, &format!("hunter{number}")).await, StatusCode::UNAUTHORIZED);
    }
    let listed = locks(&door, "").await;
    let [lock] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((&lock["kind"], &lock["network"]), (&"network".into(), &"127.0.0.1".into()));
    assert!(!lock.to_string().contains("hunter"), "a name that nobody has may be a password: {lock}");
    let path = format!("/api/v1/lockouts?id={}", lock["id"].as_str().unwrap());
    // It is for administrators, who say either one or the other.
    assert_eq!(ask(&door, "reader", Method::DELETE, &path).await.0, StatusCode::FORBIDDEN);
    for wrong in ["", "?id=x", "?user=a%20b", "?id=network-c0000201&user=alice"] {
        let (status, body) = ask(&door, "admin", Method::DELETE, &format!("/api/v1/lockouts{wrong}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}: {body}");
    }
    assert_eq!(ask(&door, "admin", Method::DELETE, &path).await.0, StatusCode::NO_CONTENT);
    assert_eq!(ask(&door, "admin", Method::DELETE, &path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(locks(&door, "").await, Vec::<Value>::new());
    until("it is written down", SOON, async || {
        let expected = "logins are answered at once again at 127.0.0.1";
        changes(&door).await.contains(&("admin".to_owned(), expected.to_owned()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_door_nobody_is_locked_and_the_command_says_so() {
    let guard = Guard::new();
    let said = portreeve(&guard, &["user", "unlock", "alice"], "", false).await;
    assert!(said.contains("no door runs here"), "{said}");
}
