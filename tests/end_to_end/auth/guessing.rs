//! Who guesses, who floods, and who merely has an old password: none of them keeps anybody else out.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

use super::accounts::{door, portreeve};
use crate::support::door::Door;
use crate::support::guard::{Guard, ask_token, password};
use crate::support::http::{client_builder, http_client};
use crate::support::registry::Registry;

/// A client at another address.
fn client_at(last: u8) -> Client {
    client_builder().local_address(IpAddr::from([127, 0, 0, last])).build().unwrap()
}

async fn ask(client: &Client, door: &str, user: &str, password: &str) -> Response {
    client.get(format!("{door}/token")).basic_auth(user, Some(password)).send().await.unwrap()
}

/// Makes an access token of a robot: its identifier and itself.
async fn robot(guard: &Guard, name: &str) -> (String, String) {
    let create = ["token", "create", "--name", name, "--repositories", "team/**", "--actions", "pull"];
    let said = portreeve(guard, &create, "", true).await;
    let token = said.split_whitespace().find(|word| word.starts_with("portreeve_")).unwrap().to_owned();
    (token.split('_').nth(1).unwrap().to_owned(), token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_password_beside_the_right_one_never_keeps_it_out() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = guard
        .door(registry.url())
        .set("SERVER__SOCKET", guard.path("socket").to_str().unwrap())
        .store(guard.path("store.redb"))
        .start()
        .await;
    let (client, url) = (http_client(), door.url());
    let right = password("alice");
    for round in 0..12 {
        // Accounts of others come meanwhile: what is remembered must outlive that.
        robot(&guard, &format!("robot{round}")).await;
        assert_eq!(ask(&client, &url, "alice", "stale").await.status(), StatusCode::UNAUTHORIZED, "{round}");
        assert_eq!(ask(&client, &url, "alice", &right).await.status(), StatusCode::OK, "{round}");
        let pull = client.get(format!("{url}/v2/")).basic_auth("alice", Some(&right)).send().await.unwrap();
        assert_eq!(pull.status(), StatusCode::OK, "{round}");
    }
    // A guesser beside them neither: the lock is there, and not for the right one.
    for guess in 0..10 {
        ask(&client, &url, "alice", &format!("guess {guess}")).await;
    }
    assert_eq!(ask(&client, &url, "alice", "another").await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask(&client, &url, "alice", "stale").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&client, &url, "alice", &right).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_beside_the_new_one_never_keeps_it_out() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let (client, url) = (http_client(), door.url());
    let (id, old) = robot(&guard, "ci").await;
    assert_eq!(ask(&client, &url, "ci", &old).await.status(), StatusCode::OK);
    portreeve(&guard, &["token", "revoke", &id], "", true).await;
    for round in 0..8 {
        assert_eq!(ask(&client, &url, "ci", &old).await.status(), StatusCode::UNAUTHORIZED, "{round}");
        robot(&guard, &format!("robot{round}")).await;
    }
    // The first use of the new one, as after a rotation that one node has slept through.
    let (_, new) = robot(&guard, "ci").await;
    assert_eq!(ask(&client, &url, "ci", &new).await.status(), StatusCode::OK);
    // Nor do guesses at the secret of a token count for its robot's other one.
    for guess in 0..20 {
        ask(&client, &url, "ci", &format!("portreeve_{id}_guess{guess}")).await;
    }
    let (_, third) = robot(&guard, "ci").await;
    assert_eq!(ask(&client, &url, "ci", &third).await.status(), StatusCode::OK);
    assert_eq!(ask(&client, &url, "ci", &new).await.status(), StatusCode::OK);
}

/// Guesses at ever other names, with so many requests at once, until it is told to stop. How often.
struct Flood {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Flood {
    fn start(door: &Door, last: u8, at_once: usize) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let task = |number: usize| {
            let (stop, asked, url) = (Arc::clone(&stop), Arc::clone(&asked), door.url());
            let client = client_at(last);
            tokio::spawn(async move {
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = format!("invented-{number}-{round}");
                    let request = client.get(format!("{url}/token")).basic_auth(name, Some("guess"));
                    let answer = request.send().await;
                    asked.fetch_add(1, Ordering::Relaxed);
                    assert!(answer.is_ok_and(|answer| answer.status() != StatusCode::OK));
                }
            })
        };
        let tasks = (0..at_once).map(task).collect();
        Self { stop, asked, tasks }
    }

    /// Waits until it has asked so often.
    async fn wait(&self, asked: usize) {
        crate::support::wait::until("the flood comes", Duration::from_secs(60), async || {
            self.asked.load(Ordering::Relaxed) >= asked
        })
        .await;
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for ended in join_all(self.tasks).await {
            ended.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_address_delays_no_first_login_from_another() {
    let guard = Guard::new();
    // Some hundred milliseconds each: two hundred would take half a minute.
    let hash = |user: &str| format!("{user}:{}\n", bcrypt::hash(password(user), 9).unwrap());
    let users: Vec<String> = (0..5).map(|number| format!("user{number}")).collect();
    let lines: String = users.iter().map(|user| hash(user)).collect();
    std::fs::write(guard.path("htpasswd"), lines).unwrap();
    let door = guard.door("http://127.0.0.1:9").set("AUTH__LOCKOUT", "0").start_listening().await;
    let flood = Flood::start(&door, 2, 200);
    flood.wait(20).await;
    let other = client_at(3);
    for user in &users {
        let begun = Instant::now();
        let answer = ask(&other, &door.url(), user, &password(user)).await;
        let took = begun.elapsed();
        assert_eq!(answer.status(), StatusCode::OK, "{user} after {took:?}");
        assert!(took < Duration::from_secs(5), "{user} waited for {took:?}");
    }
    flood.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_invented_names_unlocks_nothing_and_locks_nobody_out_elsewhere() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let (guesser, known) = (client_at(2), client_at(3));
    let url = door.url();
    assert_eq!(ask(&known, &url, "alice", &password("alice")).await.status(), StatusCode::OK);
    // A lock that outlasts the test: half a minute and more.
    let mut wait = 0;
    let deadline = Instant::now() + Duration::from_secs(200);
    for guess in 0.. {
        assert!(Instant::now() < deadline, "no lock of half a minute; the last one was {wait} s");
        let answer = ask(&guesser, &url, "alice", &format!("guess {guess}")).await;
        if let Some(told) = answer.headers().get("retry-after") {
            wait = told.to_str().unwrap().parse().unwrap();
            if wait >= 15 {
                break;
            }
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }
    let locked = Instant::now();
    let flood = Flood::start(&door, 2, 50);
    flood.wait(5_000).await;
    let answer = ask(&guesser, &url, "alice", "yet another").await;
    let flooded = locked.elapsed();
    flood.stop().await;
    if flooded < Duration::from_secs(wait - 1) {
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS, "after {flooded:?} of {wait} s");
    }
    assert_eq!(ask(&known, &url, "alice", &password("alice")).await.status(), StatusCode::OK);
    assert_eq!(ask(&client_at(4), &url, "reader", &password("reader")).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_authorizations_the_token_endpoint_chooses_none() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let url = format!("{}/token", door.url());
    let twice = |request: reqwest::RequestBuilder| {
        let request = request.basic_auth("alice", Some(password("alice")));
        request.basic_auth("reader", Some(password("reader"))).send()
    };
    assert_eq!(twice(http_client().get(&url)).await.unwrap().status(), StatusCode::BAD_REQUEST);
    let form = format!("grant_type=password&username=alice&password={}", password("alice"));
    let post = || {
        let request = http_client().post(&url).header("content-type", "application/x-www-form-urlencoded");
        request.body(form.clone())
    };
    assert_eq!(twice(post()).await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(post().send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_with_a_nul_in_it_is_nobodys() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let right = password("alice");
    let url = format!("{}/token", door.url());
    for forged in [format!("{right}\0"), format!("{right}\0{right}"), format!("\0{right}")] {
        let answer = ask(&http_client(), &door.url(), "alice", &forged).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{forged:?}");
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("grant_type", "password"), ("username", "alice"), ("password", &forged)])
            .finish();
        let request = http_client().post(&url).header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(request.body(form).send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{forged:?}");
        let catalog = format!("{}/v2/", door.url());
        let answer = http_client().get(catalog).basic_auth("alice", Some(&forged)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{forged:?}");
    }
    // It was never looked at, and counts for nothing.
    assert_eq!(ask_token(&door.url(), "alice", "").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_keeps_a_hundred_logins_however_many_are_made_at_once() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let url = door.url();
    let logins = (0..150).map(|_| async {
        let answer = ask_token(&url, "alice", "offline_token=true").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let answer: Value = answer.json().await.unwrap();
        assert!(answer["refresh_token"].is_string());
    });
    join_all(logins).await;
    let listed = portreeve(&guard, &["token", "list"], "", true).await;
    assert_eq!(listed.lines().filter(|line| line.contains("alice")).count(), 100, "{listed}");
}
