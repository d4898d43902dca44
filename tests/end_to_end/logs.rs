//! The log: its level and format, and the identifiers by which its lines, answers and the registry's requests belong together.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;

use crate::support::door::Door;
use crate::support::guard::{Guard, token};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(30);

/// The lines of the log with this target or below it.
fn lines(door: &Door, target: &str) -> Vec<Value> {
    let log = door.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"].as_str().is_some_and(|text| text.starts_with(target))).collect()
}

fn id_of(response: &Response) -> String {
    let mut ids = response.headers().get_all("x-request-id").iter();
    let id = ids.next().expect("no identifier").to_str().unwrap().to_owned();
    assert!(ids.next().is_none(), "two identifiers");
    id
}

/// A relay that keeps the identifiers of all requests to the registry but the door's own.
async fn relay(registry: &str) -> (Relay, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let relay = Relay::start(registry).await;
    let ids = std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default();
    let seen = std::sync::Arc::clone(&ids);
    relay.script(move |request| {
        let values = request.headers.get_all("x-request-id").iter();
        seen.lock().unwrap().extend(values.map(|value| value.to_str().unwrap().to_owned()));
        Fault::None
    });
    (relay, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_identifier_that_the_log_and_the_registry_know_too() {
    let registry = Registry::start().await;
    let (relay, at_the_registry) = relay(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "v1").await;
    at_the_registry.lock().unwrap().clear();
    let url = |path: &str| format!("{}{path}", door.url());
    let client = http_client();
    let put = image.put(&door.url(), "team/app", "v2").await;
    let pulled = client.get(url("/v2/team/app/manifests/v1")).send().await.unwrap();
    let absent = client.get(url("/v2/team/app/manifests/v9")).send().await.unwrap();
    let forwarded = [id_of(&put), id_of(&pulled), id_of(&absent)];
    assert_eq!(*at_the_registry.lock().unwrap(), forwarded);
    let mut ids = forwarded.to_vec();
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/tags"),
        ("GET", "/token"),
        ("GET", "/nothing"),
        ("GET", "/v2"),
        ("GET", "/v2/UPPER/manifests/a"),
        ("PATCH", "/v2/"),
        ("PUT", "/v2/a/manifests/b"),
    ] {
        let request =
            client.request(method.parse().unwrap(), url(path)).header("x-request-id", "of-a-client");
        ids.push(id_of(&request.send().await.unwrap()));
    }
    let is_made = |id: &String| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(ids.iter().all(is_made), "{ids:?}");
    let logged = || lines(&door, "access").iter().map(|line| line["request_id"].clone()).collect::<Vec<_>>();
    until("all are logged", SOON, async || ids.iter().all(|id| logged().contains(&Value::from(id.as_str()))))
        .await;
    // What the registry does not answer, the door does.
    drop(relay);
    let failed = client.get(url("/v2/team/app/manifests/v1")).send().await.unwrap();
    assert_eq!(failed.status(), 502);
    assert!(is_made(&id_of(&failed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxys_identifier_is_kept_on_the_whole_way_and_an_odd_one_is_replaced() {
    let registry = Registry::start().await;
    let (relay, at_the_registry) = relay(&registry.url()).await;
    let door = Door::builder(relay.url())
        .set("PLUGINS__CLIENT_ADDRESS__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")
        .start()
        .await;
    at_the_registry.lock().unwrap().clear();
    let ask = async |path: &str, id: &str| {
        let request = http_client().get(format!("{}{path}", door.url())).header("x-request-id", id);
        id_of(&request.send().await.unwrap())
    };
    let sent = "7f3c1d9e-0b7a-4c7e-9d0e-2f6f3a8f5a11";
    assert_eq!(ask("/v2/a/tags/list", sent).await, sent);
    assert_eq!(*at_the_registry.lock().unwrap(), [sent]);
    // Refused before any plugin is asked, and answered by the API.
    assert_eq!(ask("/v2/UPPER/tags/list", sent).await, sent);
    assert_eq!(ask("/api/v1/status", sent).await, sent);
    for odd in ["with space", &"x".repeat(129), "a\"b"] {
        assert_eq!(ask("/v2/a/tags/list", odd).await.len(), 32, "{odd}");
    }
    until("it is logged", SOON, async || {
        lines(&door, "access").iter().filter(|line| line["request_id"] == sent).count() == 3
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_debug_the_door_says_what_it_decides_carries_and_asks_and_no_library_does() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door = guard.door(registry.url()).set("LOG__LEVEL", "debug").start().await;
    let alice =
        token(&door.url(), "alice", &["repository:team/app:pull,push", "repository:other:pull"]).await;
    let image = Image::small(1);
    let url = format!("{}/v2/team/app/manifests/v1", door.url());
    let request = http_client().put(url).bearer_auth(&alice).header("content-type", &image.media_type);
    // Its layers are not there, so that the registry refuses it.
    assert_eq!(request.body(image.manifest.clone()).send().await.unwrap().status(), 400);
    let said = || lines(&door, "portreeve");
    let says =
        |text: &str| said().iter().any(|line| line["message"].as_str().is_some_and(|said| said == text));
    for text in [
        "pull is allowed by rule 2, push is allowed by rule 2",
        "pull is refused: no rule allows it",
        "the token of the request decides",
        "a write is noted before it is carried",
        "a write goes to the registry",
        "the registry answered a write",
        "a write was refused by the registry, and is over",
    ] {
        until(text, SOON, async || says(text)).await;
    }
    for line in lines(&door, "") {
        let is_own = line["target"].as_str().is_some_and(|target| target.starts_with("portreeve"));
        assert!(is_own || line["level"] != "DEBUG", "{line}");
        assert!(!line.to_string().contains(".rs"), "{line}");
    }
    assert!(!door.log().contains(&alice), "a token stands in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn verifications_are_told_at_debug() {
    let registry = Registry::start().await;
    Image::small(1).push(&registry.url(), "team/app", "v1").await;
    let door = Door::builder(registry.url()).set("LOG__LEVEL", "debug").start().await;
    crate::support::sweep::sweep_through(&door, false).await;
    for text in [
        "the registry is asked about a reference",
        "the registry answered",
        "an answer of the registry was compared with the record",
    ] {
        until(text, SOON, async || {
            lines(&door, "portreeve::sync").iter().any(|line| line["message"] == text)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_format_and_the_level_are_as_configured() {
    let directory = tempfile::tempdir().unwrap();
    let said = async |level: &str, format: &str| {
        let (door, admin) = (crate::support::port::free(), crate::support::port::free());
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_portreeve"))
            .arg("serve")
            .current_dir(directory.path())
            .env("PORTREEVE__LISTEN__DOOR", door.to_string())
            .env("PORTREEVE__LISTEN__ADMIN", admin.to_string())
            .env("PORTREEVE__REGISTRY__URL", "http://127.0.0.1:9")
            .env("PORTREEVE__LOG__LEVEL", level)
            .env("PORTREEVE__LOG__FORMAT", format)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let read = || std::fs::read_to_string(directory.path().join("log")).unwrap();
        // What it says in any case: that the registry does not answer.
        until("it says something", SOON, async || read().contains("does not answer")).await;
        child.kill().await.unwrap();
        read()
    };
    let text = said("info", "text").await;
    assert!(text.contains("listening") && text.lines().all(|line| !line.starts_with('{')), "{text}");
    let json = said("warn", "json").await;
    for line in json.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_ne!(line["level"], "INFO", "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_is_none_is_exit_status_2_with_the_one_that_was_meant() {
    let door = Door::builder("http://127.0.0.1:9").set("LOG__LEVEL", "inof");
    let (status, said) = door.try_start().await.map(|_| ()).unwrap_err();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("PORTREEVE__LOG__LEVEL") && said.contains("did you mean \"info\"?"), "{said}");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_portreeve"))
        .arg("serve")
        .current_dir(tempfile::tempdir().unwrap().path())
        .env("PORTREEVE_LOG", "debgu")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("PORTREEVE_LOG: `debgu` is no level (did you mean `debug`?)"), "{said}");
}
