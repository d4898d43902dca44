//! How long an upload goes on when the token that opened it has expired.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::support::door::Door;
use crate::support::guard::{Guard, token};
use crate::support::http::http_client;
use crate::support::registry::Registry;
use crate::support::wait::until;

const SCOPE: &str = "repository:team/app:pull,push";
const UPLOADS: &str = "/v2/team/app/blobs/uploads/";
const WITHIN: Duration = Duration::from_secs(30);

async fn ask(method: Method, url: &str, token: &str) -> Response {
    http_client().request(method, url).bearer_auth(token).send().await.unwrap()
}

/// Where the upload goes on.
async fn open(door: &Door, token: &str) -> Option<String> {
    let opened = ask(Method::POST, &format!("{}{UPLOADS}", door.url()), token).await;
    let location = opened.headers().get("location")?;
    Some(location.to_str().unwrap().to_owned())
}

/// Opens an upload with a token of a short life, which on a busy machine may be over at once.
async fn opened(door: &Door, fresh: impl AsyncFn() -> String) -> (String, String) {
    let mut found = None;
    until("an upload is opened", WITHIN, async || {
        let token = fresh().await;
        found = open(door, &token).await.map(|location| (token, location));
        found.is_some()
    })
    .await;
    found.unwrap()
}

async fn expired(door: &Door, token: &str) {
    until("the token expires", WITHIN, async || {
        ask(Method::POST, &format!("{}{UPLOADS}", door.url()), token).await.status()
            == StatusCode::UNAUTHORIZED
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_ends_its_grace_after_it_was_opened_however_often_it_is_asked_about() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door = guard.door(registry.url()).set("AUTH__TOKEN_TTL", "2s").set("AUTH__LEEWAY", "0s");
    let door = door.set("AUTH__UPLOAD_GRACE", "2s").start().await;
    let fresh = async || token(&door.url(), "alice", &[SCOPE]).await;
    let (first, mut location) = opened(&door, fresh).await;
    expired(&door, &first).await;
    until("the grace is over", WITHIN, async || {
        ask(Method::GET, &location, &first).await.status() == StatusCode::UNAUTHORIZED
    })
    .await;
    // Another token asks about it in time, with the mark and without.
    let mut second = String::new();
    until("it is asked about in time", WITHIN, async || {
        second = fresh().await;
        let unmarked = location.split("&_portreeve_grant=").next().unwrap();
        let stripped = ask(Method::GET, unmarked, &second).await;
        let kept = ask(Method::GET, &location, &second).await;
        if kept.status() != StatusCode::NO_CONTENT || stripped.status() != StatusCode::NO_CONTENT {
            return false;
        }
        let again = stripped.headers()["location"].to_str().unwrap();
        assert!(!again.contains("_portreeve_grant"), "{again}");
        location = kept.headers()["location"].to_str().unwrap().to_owned();
        true
    })
    .await;
    expired(&door, &second).await;
    assert_eq!(ask(Method::GET, &location, &second).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_with_the_token_that_was_used_last() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door =
        guard.door(registry.url()).set("AUTH__TOKEN_TTL", "2s").set("AUTH__LEEWAY", "0s").start().await;
    let fresh = async || token(&door.url(), "alice", &[SCOPE]).await;
    let (_, mut location) = opened(&door, fresh).await;
    let mut second = String::new();
    until("another token goes on", WITHIN, async || {
        second = fresh().await;
        let patched =
            http_client().patch(&location).bearer_auth(&second).body("a piece").send().await.unwrap();
        if patched.status() == StatusCode::ACCEPTED {
            location = patched.headers()["location"].to_str().unwrap().to_owned();
        }
        patched.status() == StatusCode::ACCEPTED
    })
    .await;
    expired(&door, &second).await;
    assert_eq!(ask(Method::GET, &location, &second).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_ends_with_its_user_and_goes_on_for_others() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door =
        guard.door(registry.url()).set("AUTH__TOKEN_TTL", "2s").set("AUTH__LEEWAY", "0s").start().await;
    let alice = opened(&door, async || token(&door.url(), "alice", &[SCOPE]).await).await;
    let admin = opened(&door, async || token(&door.url(), "admin", &[SCOPE]).await).await;
    let asked = async |(token, location): &(String, String)| ask(Method::GET, location, token).await.status();
    for (token, location) in [&alice, &admin] {
        expired(&door, token).await;
        assert_eq!(ask(Method::GET, location, token).await.status(), StatusCode::NO_CONTENT);
    }
    guard.write_users(&["admin", "reader"]);
    door.signal("HUP");
    until("alice's upload ends", WITHIN, async || asked(&alice).await == StatusCode::UNAUTHORIZED).await;
    assert_eq!(asked(&admin).await, StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_ends_with_the_rule_that_allowed_it() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let file = guard.path("portreeve.toml");
    let write = |actions: &str| {
        let aside = guard.path("portreeve.toml.new");
        let rule =
            format!("[[auth.rules]]\nwho = \"alice\"\nrepositories = \"team/**\"\nactions = {actions}\n");
        std::fs::write(&aside, rule).unwrap();
        std::fs::rename(aside, &file).unwrap();
    };
    write("[\"pull\", \"push\"]");
    let door = guard.door(registry.url()).unset("AUTH__RULES").configured_by(&file);
    let door = door.set("AUTH__TOKEN_TTL", "2s").set("AUTH__LEEWAY", "0s").start().await;
    let (token, location) = opened(&door, async || token(&door.url(), "alice", &[SCOPE]).await).await;
    expired(&door, &token).await;
    assert_eq!(ask(Method::GET, &location, &token).await.status(), StatusCode::NO_CONTENT);
    write("\"pull\"");
    door.signal("HUP");
    until("the upload ends", WITHIN, async || {
        ask(Method::GET, &location, &token).await.status() == StatusCode::UNAUTHORIZED
    })
    .await;
}

/// Runs a command beside the door.
fn portreeve(guard: &Guard, arguments: &[&str]) -> String {
    let mut command = crate::support::binary::blocking_portreeve();
    command.args(arguments).current_dir(guard.path(""));
    command.env("PORTREEVE__STORE__URL", format!("redb:{}", guard.path("store.redb").display()));
    command.env("PORTREEVE__AUTH__HTPASSWD", guard.path("htpasswd"));
    let output = command.env("PORTREEVE__SERVER__SOCKET", guard.path("socket")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_ends_with_the_access_token_or_the_login_that_let_its_opener_in() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door = guard.door(registry.url()).set("AUTH__TOKEN_TTL", "2s").set("AUTH__LEEWAY", "0s");
    let door = door.set("SERVER__SOCKET", guard.path("socket").to_str().unwrap());
    let door = door.store(guard.path("store.redb")).start().await;
    let create = ["token", "create", "--repositories", "team/**", "--actions", "pull,push"];
    let access_token =
        |said: &str| said.split_whitespace().find(|word| word.starts_with("portreeve_")).unwrap().to_owned();
    let robot = access_token(&portreeve(&guard, &[&create[..], &["--name", "robot"]].concat()));
    let personal =
        access_token(&portreeve(&guard, &[&create[..], &["--user", "alice", "--name", "laptop"]].concat()));
    let by_password = async |user: &str, password: &str| {
        let request = http_client().get(format!("{}/token?scope={SCOPE}", door.url()));
        let answer = request.basic_auth(user, Some(password)).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned()
    };
    let login = crate::support::guard::ask_token(&door.url(), "alice", "offline_token=true").await;
    let login = login.json::<Value>().await.unwrap()["refresh_token"].as_str().unwrap().to_owned();
    let by_login = async || {
        let form = [("grant_type", "refresh_token"), ("refresh_token", &login), ("scope", SCOPE)];
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = http_client().post(format!("{}/token", door.url())).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned()
    };
    let uploads = [
        opened(&door, async || by_password("robot", &robot).await).await,
        opened(&door, async || by_password("alice", &personal).await).await,
        opened(&door, by_login).await,
    ];
    let id = |token: &str| token.split('_').nth(1).unwrap().to_owned();
    let shown = hex::encode(&<sha2::Sha256 as sha2::Digest>::digest(&login)[..8]);
    let asked = async |(token, location): &(String, String)| ask(Method::GET, location, token).await.status();
    for ((upload, id), number) in uploads.iter().zip([id(&robot), id(&personal), shown]).zip(0..) {
        expired(&door, &upload.0).await;
        assert_eq!(asked(upload).await, StatusCode::NO_CONTENT, "{number}");
        portreeve(&guard, &["token", "revoke", &id]);
        assert_eq!(asked(upload).await, StatusCode::UNAUTHORIZED, "{number}");
    }
}
