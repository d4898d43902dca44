//! Doors that share a database and nothing else: keys, the secret of uploads, users and tokens are everybody's.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, Response, StatusCode};
use tokio::io::AsyncWriteExt as _;

use crate::support::binary::portreeve;
use crate::support::door::{Door, DoorBuilder};
use crate::support::guard::{Guard, header, token};
use crate::support::http::http_client;
use crate::support::image::digest;
use crate::support::postgres::{Database, PASSWORD};
use crate::support::registry::Registry;
use crate::support::wait::until;

const SCOPE: &str = "repository:team/app:pull,push";
const LIST: &str = "/v2/team/app/tags/list";
const UPLOADS: &str = "/v2/team/app/blobs/uploads/";
const WITHIN: Duration = Duration::from_secs(30);
/// What one door does to users holds at all of them within two seconds; the rest is for a busy machine.
const HEEDED: Duration = Duration::from_secs(10);

/// A database, and users of a file. Each door has a directory of its own.
struct Ground {
    database: Database,
    guard: Guard,
}

impl Ground {
    fn new() -> Self {
        let ground = Self { database: Database::create(), guard: Guard::new() };
        std::fs::write(ground.guard.path("password"), PASSWORD).unwrap();
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.guard.path(name)
    }

    fn door(&self, name: &str, registry_url: &str) -> DoorBuilder {
        self.guard
            .door(registry_url)
            .unset("AUTH__KEYS")
            .set("STORE__URL", self.database.url())
            .set("STORE__PASSWORD_FILE", self.path("password").to_str().unwrap())
            .set("SERVER__SOCKET", self.path(name).to_str().unwrap())
    }

    /// Runs a command, by the door of that name if it runs. What it printed.
    async fn portreeve(&self, door: &str, arguments: &[&str], input: &str) -> String {
        let mut child = portreeve()
            .args(arguments)
            .current_dir(self.path(""))
            .env("PORTREEVE__STORE__URL", self.database.url())
            .env("PORTREEVE__STORE__PASSWORD_FILE", self.path("password"))
            .env("PORTREEVE__SERVER__SOCKET", self.path(door))
            .env("PORTREEVE__AUTH__HTPASSWD", self.path("htpasswd"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that wants nothing has ended before it is written.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        let output = child.wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        said.into_owned()
    }
}

async fn ask(method: Method, url: &str, token: &str) -> Response {
    http_client().request(method, url).bearer_auth(token).send().await.unwrap()
}

/// Whether a door takes a token.
async fn takes(door: &Door, token: &str) -> bool {
    ask(Method::GET, &format!("{}{LIST}", door.url()), token).await.status() != StatusCode::UNAUTHORIZED
}

async fn log_in(door: &Door, user: &str, password: &str) -> StatusCode {
    let request = http_client().get(format!("{}/token", door.url()));
    request.basic_auth(user, Some(password)).send().await.unwrap().status()
}

/// A URL of the same path and query at another door.
fn at(door: &Door, url: &str) -> String {
    let path = url.strip_prefix("http://").map_or(url, |rest| &rest[rest.find('/').unwrap()..]);
    format!("{}{path}", door.url())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_door_is_good_at_the_other_and_both_know_it_after_a_restart() {
    let ground = Ground::new();
    let mut here = ground.door("here", "http://127.0.0.1:9").start_listening().await;
    let there = ground.door("there", "http://127.0.0.1:9").start_listening().await;
    let ours = token(&here.url(), "alice", &[SCOPE]).await;
    let theirs = token(&there.url(), "alice", &[SCOPE]).await;
    for (door, token) in [(&here, &theirs), (&there, &ours)] {
        assert!(takes(door, token).await);
    }
    here.restart_listening().await;
    assert!(takes(&here, &ours).await && takes(&here, &theirs).await);
    assert_eq!(ground.database.run("SELECT count(*) FROM accounts WHERE kind = 'keys'"), "1\n");
    let private: String =
        ground.database.run("SELECT convert_from(content, 'UTF8') FROM accounts WHERE kind = 'keys'");
    let private: serde_json::Value = serde_json::from_str(&private).unwrap();
    let (secret, key) = (&private["secret"], &private["keys"][0]["pair"]["private"]);
    let key = key.as_str().unwrap().lines().nth(1).unwrap();
    for door in [&here, &there] {
        let log = door.log();
        assert!(!log.contains(secret.as_str().unwrap()) && !log.contains(key), "{log}");
    }
    let said = here.log();
    assert_eq!(said.matches("made new keys in the store").count(), 1, "{said}");
    let shown = ground.portreeve("nobody", &["key", "show"], "").await;
    assert!(shown.contains(header(&ours)["kid"].as_str().unwrap()) && !shown.contains("\"d\""), "{shown}");
    let (_, checked) = here.check().await;
    assert!(checked.contains("The database has no synchronous standby"), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_encrypted_in_the_database_are_good_for_the_doors_that_have_the_secret_alone() {
    let ground = Ground::new();
    let secret = "3d0f6a1c8e5b4972a6c1f0e9d8b7a6953d0f6a1c8e5b4972a6c1f0e9d8b7a695";
    let door = |name| ground.door(name, "http://127.0.0.1:9").set("STORE__KEYS_SECRET", secret);
    let here = door("here").start_listening().await;
    let there = door("there").start_listening().await;
    assert!(takes(&there, &token(&here.url(), "alice", &[SCOPE]).await).await);
    let kept = ground.database.run("SELECT convert_from(content, 'UTF8') FROM accounts WHERE kind = 'keys'");
    assert!(!kept.contains("PRIVATE KEY"), "{kept}");
    let without = ground.door("without", "http://127.0.0.1:9").try_start().await;
    let (status, said) = without.map(|_| ()).unwrap_err();
    assert!(status.code() == Some(2) && said.contains("store.keys_secret_file"), "{status} {said}");
    assert!(!here.log().contains(secret) && !said.contains(secret));
    let beside = door("beside").set("AUTH__KEYS", ground.path("keys").to_str().unwrap());
    let (_, checked) = beside.start_listening().await.check().await;
    assert!(checked.contains("`store.keys_secret` counts for nothing"), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_begun_at_one_door_ends_at_the_other_though_its_token_has_expired() {
    let (registry, ground) = (Registry::start().await, Ground::new());
    let door = |name| {
        let door = ground.door(name, &registry.url()).set("AUTH__TOKEN_TTL", "2s");
        door.set("AUTH__LEEWAY", "0s").start()
    };
    let (here, there) = (door("here").await, door("there").await);
    let mut opened = None;
    // On a busy machine a token may be over at once.
    until("an upload is opened", WITHIN, async || {
        let token = token(&here.url(), "alice", &[SCOPE]).await;
        let response = ask(Method::POST, &format!("{}{UPLOADS}", here.url()), &token).await;
        let location = response.headers().get("location").map(|at| at.to_str().unwrap().to_owned());
        opened = location.map(|location| (token, location));
        opened.is_some()
    })
    .await;
    let (token, location) = opened.unwrap();
    until("the token expires", WITHIN, async || !takes(&there, &token).await).await;
    let chunk = http_client().patch(at(&there, &location)).bearer_auth(&token).body("one piece, ");
    let went_on = chunk.send().await.unwrap();
    assert_eq!(went_on.status(), StatusCode::ACCEPTED, "{}", went_on.text().await.unwrap());
    let location = went_on.headers()["location"].to_str().unwrap().to_owned();
    let whole = digest(b"one piece, and another");
    let url = format!("{}&digest={whole}", at(&here, &location));
    let ended = http_client().put(url).bearer_auth(&token).body("and another").send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::CREATED, "{}", ended.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn doors_that_start_at_once_agree_on_one_key() {
    let ground = Ground::new();
    let starting = ["a", "b", "c", "d"].map(|name| ground.door(name, "http://127.0.0.1:9").start_listening());
    let doors = join_all(starting).await;
    let mut made = 0;
    for door in &doors {
        let token = token(&door.url(), "alice", &[SCOPE]).await;
        for other in &doors {
            assert!(takes(other, &token).await);
        }
        made += door.log().matches("made new keys in the store").count();
    }
    assert_eq!(made, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_known_at_every_door_before_one_of_them_signs_with_it() {
    let ground = Ground::new();
    let here = ground.door("here", "http://127.0.0.1:9").start_listening().await;
    let there = ground.door("there", "http://127.0.0.1:9").start_listening().await;
    let old = token(&here.url(), "alice", &[SCOPE]).await;
    ground.portreeve("nobody", &["key", "rotate"], "").await;
    until("a door signs with the new key", WITHIN, async || {
        let new = token(&here.url(), "alice", &[SCOPE]).await;
        assert!(takes(&there, &new).await && takes(&there, &old).await);
        header(&new)["kid"] != header(&old)["kid"]
    })
    .await;
    until("the other one does", WITHIN, async || {
        let new = token(&there.url(), "alice", &[SCOPE]).await;
        assert!(takes(&here, &new).await && takes(&here, &old).await);
        header(&new)["kid"] != header(&old)["kid"]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_or_disabled_and_what_is_revoked_at_one_door_is_gone_at_the_other() {
    let ground = Ground::new();
    let _here = ground.door("here", "http://127.0.0.1:9").start_listening().await;
    let there = ground.door("there", "http://127.0.0.1:9").start_listening().await;
    ground.portreeve("here", &["user", "add", "dora"], "a-password-of-hers\n").await;
    let create = ["token", "create", "--name", "robot", "--repositories", "team/**", "--actions", "pull"];
    let created = ground.portreeve("here", &create, "").await;
    let robots = created.split_whitespace().find(|word| word.starts_with("portreeve_")).unwrap();
    let id = robots.split('_').nth(1).unwrap();
    // What was right is remembered, and so is who is disabled.
    assert_eq!(log_in(&there, "dora", "a-password-of-hers").await, StatusCode::OK);
    assert_eq!(log_in(&there, "robot", robots).await, StatusCode::OK);
    let alices = token(&there.url(), "alice", &[SCOPE]).await;
    assert!(takes(&there, &alices).await);
    ground.portreeve("here", &["user", "remove", "dora"], "").await;
    ground.portreeve("here", &["token", "revoke", id], "").await;
    ground.portreeve("here", &["user", "disable", "alice"], "").await;
    for (user, password) in [("dora", "a-password-of-hers"), ("robot", robots)] {
        until(&format!("{user} is gone"), HEEDED, async || {
            log_in(&there, user, password).await == StatusCode::UNAUTHORIZED
        })
        .await;
    }
    until("a token of a disabled user is refused", HEEDED, async || !takes(&there, &alices).await).await;
}
