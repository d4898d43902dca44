//! What the registry holds and what the door recorded, in one form.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use reqwest::header::{ACCEPT, LINK};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use super::http::http_client;
use super::wait::PAUSE;

/// Every tag with its digest, by repository and tag.
pub type State = BTreeMap<(String, String), String>;

/// Every type of manifest: the registry denies having what its asker does not accept.
pub const ACCEPT_ALL: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json, \
     */*";

/// How often a registry that answers a question with 5xx, as distribution does while a tag is written, is asked anew.
const ATTEMPTS: usize = 50;

/// What the registry holds: what it lists, and of that what it really has.
pub async fn truth(registry_url: &str) -> State {
    let client = http_client();
    let mut state = State::new();
    for repository in catalog(registry_url).await {
        for tag in
            names(registry_url, &format!("/v2/{repository}/tags/list"), "tags").await.unwrap_or_default()
        {
            if let Some(digest) = digest_of(&client, registry_url, &repository, &tag).await {
                state.insert((repository.clone(), tag), digest);
            }
        }
    }
    state
}

/// The repositories that the registry lists, over all pages of its catalog.
pub async fn catalog(registry_url: &str) -> Vec<String> {
    names(registry_url, "/v2/_catalog?n=100", "repositories").await.unwrap()
}

/// The names that a listing has in this field, over all its pages; nothing if it is not there.
async fn names(registry_url: &str, path: &str, field: &str) -> Option<Vec<String>> {
    let client = http_client();
    let mut names = Vec::new();
    let mut next = Some(format!("{registry_url}{path}"));
    while let Some(url) = next {
        let response = client.get(&url).send().await.unwrap();
        if response.status() == StatusCode::NOT_FOUND {
            return None;
        }
        assert_eq!(response.status(), 200, "{url}");
        next = response.headers().get(LINK).map(|link| {
            let link = link.to_str().unwrap();
            let target = link.trim_start_matches('<').split('>').next().unwrap();
            if target.starts_with('/') { format!("{registry_url}{target}") } else { target.to_owned() }
        });
        let page: Value = response.json().await.unwrap();
        names.append(&mut texts(&page[field]));
    }
    Some(names)
}

/// The digest of a tag; a tag that is listed but not there has none.
async fn digest_of(client: &Client, base: &str, repository: &str, tag: &str) -> Option<String> {
    let url = format!("{base}/v2/{repository}/manifests/{tag}");
    for _ in 0..ATTEMPTS {
        let response = client.head(&url).header(ACCEPT, ACCEPT_ALL).send().await.unwrap();
        match response.status() {
            StatusCode::NOT_FOUND => return None,
            StatusCode::OK => {
                return Some(response.headers()["docker-content-digest"].to_str().unwrap().to_owned());
            }
            status if status.is_server_error() => tokio::time::sleep(PAUSE).await,
            status => panic!("{status} to HEAD {url}"),
        }
    }
    panic!("the registry never answered HEAD {url} but with a server error");
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// What the door recorded.
pub async fn record(door_url: &str) -> State {
    let mut state = State::new();
    for repository in all(door_url, "/api/v1/repositories?n=1000").await {
        let repository = repository["name"].as_str().unwrap();
        for tag in all(door_url, &format!("/api/v1/tags?repository={repository}&n=1000")).await {
            let text = |name: &str| tag[name].as_str().unwrap().to_owned();
            state.insert((repository.to_owned(), text("tag")), text("digest"));
        }
    }
    state
}

/// All items of a list of the API, over all its pages. `path` has a query. A repository that is gone by now has none.
pub async fn all(door_url: &str, path: &str) -> Vec<Value> {
    all_after(door_url, path, None).await
}

/// The same behind the item with this key.
pub async fn all_after(door_url: &str, path: &str, mut after: Option<String>) -> Vec<Value> {
    let client = http_client();
    let mut items = Vec::new();
    loop {
        let behind = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let url = format!("{door_url}{path}{behind}");
        let response = client.get(&url).send().await.unwrap();
        if response.status() == StatusCode::NOT_FOUND {
            return items;
        }
        assert_eq!(response.status(), 200, "{url}");
        let mut page: Value = response.json().await.unwrap();
        items.append(page["items"].as_array_mut().unwrap());
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return items,
        }
    }
}

/// Waits until the record equals what the registry holds; fails the test with the differences when it does not come to
/// that `within` the time.
pub async fn assert_in_step(door_url: &str, registry_url: &str, within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let (recorded, held) = (record(door_url).await, truth(registry_url).await);
        if recorded == held {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "record and registry differ after {within:?}:\n{}",
            differences(&recorded, &held)
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until every write's outcome is known for good and no hint waits; fails the test with the door's status when it
/// does not come to that `within` the time.
pub async fn assert_nothing_is_asked_about(door_url: &str, within: Duration) {
    let client = http_client();
    let deadline = Instant::now() + within;
    loop {
        let response = client.get(format!("{door_url}/api/v1/status")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let status: Value = response.json().await.unwrap();
        if status["open_intents"] == 0 && status["hints"]["waiting"] == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "something is asked about after {within:?}:\n{status:#}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Each difference on a line.
pub fn differences(recorded: &State, held: &State) -> String {
    let mut text = String::new();
    for (key @ (repository, tag), digest) in held {
        match recorded.get(key) {
            Some(other) if other == digest => {}
            Some(other) => {
                writeln!(text, "{repository}:{tag} is {digest}, but recorded as {other}").unwrap();
            }
            None => writeln!(text, "{repository}:{tag} is {digest}, but not recorded").unwrap(),
        }
    }
    for (repository, tag) in recorded.keys().filter(|key| !held.contains_key(*key)) {
        writeln!(text, "{repository}:{tag} is recorded, but not there").unwrap();
    }
    text
}
