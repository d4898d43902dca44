//! The catalog with rules: each caller sees the names of what they may pull, and those of all with `catalog` alone.

use reqwest::StatusCode;
use serde_json::Value;

use super::reasons::robot;
use crate::support::door::Door;
use crate::support::guard::{Guard, grants, password, token};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;

const RULES: &str = r#"[
    { who = "admin", actions = ["admin"] },
    { who = "alice", actions = ["catalog"] },
    { who = "reader", repositories = ["team/**", "home/${user}/**"], actions = "pull" },
    { who = "mounter", repositories = "**", actions = ["push", "delete"] },
    { who = "stranger", repositories = "**", actions = "pull" },
    { who = "stranger", actions = "catalog", deny = true },
    { who = "anonymous", repositories = "public/**", actions = "pull" },
    { who = "*", repositories = "team/secret", actions = "*", deny = true },
]"#;

const ALL: &str = "home/mounter/x home/reader/x private/a public/a team/a team/b team/secret";

/// A registry with all of them, and a door with rules.
async fn filled(guard: &Guard, set: &[(&str, &str)]) -> (Registry, Door) {
    let registry = Registry::start().await;
    for repository in ALL.split(' ') {
        Image::small(1).push(&registry.url(), repository, "v1").await;
    }
    let mut builder = guard
        .door(registry.url())
        .set("AUTH__RULES", RULES.replace('\n', " "))
        .set("SERVER__SOCKET", guard.path("socket").to_str().unwrap())
        .store(guard.path("store.redb"));
    for (key, value) in set {
        builder = builder.set(key, *value);
    }
    (registry, builder.start().await)
}

/// A deep sweep, as an administrator asks for it.
pub(crate) async fn sweep(door: &Door) {
    let ask = |method, path: &str| {
        let request = http_client().request(method, format!("{}{path}", door.url()));
        request.basic_auth("admin", Some(password("admin")))
    };
    let asked = ask(reqwest::Method::POST, "/api/v1/sync").json(&serde_json::json!({"deep": true}));
    let number = asked.send().await.unwrap().json::<Value>().await.unwrap()["sweep"].as_u64();
    crate::support::wait::until("the sweep ends", std::time::Duration::from_secs(60), async || {
        let status = ask(reqwest::Method::GET, "/api/v1/status").send().await.unwrap();
        let status: Value = status.json().await.unwrap();
        assert!(status["sweep"]["last"].is_null() || status["sweep"]["last"]["outcome"] == "complete");
        status["sweep"]["last"]["number"].as_u64() >= number && number.is_some()
    })
    .await;
}

/// The names in a list of `field`, or the status of a refusal.
async fn names(request: reqwest::RequestBuilder, field: &str) -> Result<String, StatusCode> {
    let response = request.send().await.unwrap();
    if response.status() != StatusCode::OK {
        return Err(response.status());
    }
    let list: Value = response.json().await.unwrap();
    let name = |item: &Value| item["name"].as_str().or(item.as_str()).unwrap().to_owned();
    Ok(list[field].as_array().unwrap().iter().map(name).collect::<Vec<_>>().join(" "))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_sees_what_they_may_pull_and_with_the_privilege_the_names_of_all() {
    let guard = Guard::new();
    let (_registry, door) = filled(&guard, &[]).await;
    sweep(&door).await;
    let of_reader = "home/reader/x public/a team/a team/b";
    for (user, expected) in [
        ("alice", Ok(ALL)),
        // Who may administer the door sees all that it shows.
        ("admin", Ok(ALL)),
        ("reader", Ok(of_reader)),
        ("mounter", Ok("public/a")),
        ("stranger", Err(StatusCode::UNAUTHORIZED)),
        ("", Ok("public/a")),
    ] {
        let expected = expected.map(str::to_owned);
        let scoped = token(&door.url(), user, &["registry:catalog:*"]).await;
        let narrow = token(&door.url(), user, &["repository:team/a:pull"]).await;
        for (path, field) in [("/v2/_catalog", "repositories"), ("/api/v1/repositories", "items")] {
            let get = || http_client().get(format!("{}{path}", door.url()));
            // Clients of a registry ask for a token with more in it when they hear 401, and only then.
            let denied = match path {
                "/api/v1/repositories" if !user.is_empty() => StatusCode::FORBIDDEN,
                _ => StatusCode::UNAUTHORIZED,
            };
            let expected = expected.clone().map_err(|_| denied);
            if !user.is_empty() {
                let shown = names(get().basic_auth(user, Some(password(user))), field).await;
                assert_eq!(shown, expected, "{user} by password, {path}");
            }
            if user == "admin" {
                // Its token is for the catalog alone, and the rules allow it no pull.
                continue;
            }
            let shown = names(get().bearer_auth(&scoped), field).await;
            assert_eq!(shown, expected, "{user} by token, {path}");
            let narrow = names(get().bearer_auth(&narrow), field).await;
            assert_eq!(narrow, Err(denied), "{user} by a token for something else, {path}");
            assert_eq!(names(get(), field).await, Err(StatusCode::UNAUTHORIZED), "without credentials");
        }
    }
    let granted = grants(&token(&door.url(), "reader", &["registry:catalog:*"]).await);
    assert_eq!(granted["registry:catalog"], ["pull"]);
    let (_, secret) = robot(&guard, "ci", &[]).await;
    for (path, field) in [("/v2/_catalog", "repositories"), ("/api/v1/repositories", "items")] {
        let request = http_client().get(format!("{}{path}", door.url())).basic_auth("ci", Some(&secret));
        assert_eq!(names(request, field).await.unwrap(), "team/a team/b", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn search_and_lists_over_all_repositories_show_what_the_caller_may_pull_and_nothing_else() {
    let guard = Guard::new();
    let (_registry, door) = filled(&guard, &[]).await;
    sweep(&door).await;
    let paths = [
        "/api/v1/search?q=v1",
        "/api/v1/tags",
        "/api/v1/tags?sort=size&order=asc",
        "/api/v1/repositories?sort=name",
    ];
    for (user, expected) in [
        ("admin", Ok(ALL)),
        ("reader", Ok("home/reader/x public/a team/a team/b")),
        // The names of all repositories are no tags.
        ("alice", Ok("public/a")),
        ("mounter", Ok("public/a")),
        ("stranger", Err(StatusCode::FORBIDDEN)),
        ("", Ok("public/a")),
    ] {
        let scoped = token(&door.url(), user, &["registry:catalog:*"]).await;
        for path in paths {
            let request = http_client().get(format!("{}{path}", door.url()));
            let request = match user {
                "admin" | "alice" => request.basic_auth(user, Some(password(user))),
                _ => request.bearer_auth(&scoped),
            };
            let shown = repositories(request).await;
            assert_eq!(shown.as_deref().map_err(|status| *status), expected, "{user}, {path}");
        }
    }
    let ask = |path: &str| http_client().get(format!("{}{path}", door.url()));
    for path in paths {
        assert_eq!(
            repositories(ask(path)).await,
            Err(StatusCode::UNAUTHORIZED),
            "without credentials, {path}"
        );
    }
    let secret = "/api/v1/tags?repository=team/secret";
    for path in [
        secret,
        "/api/v1/tags?repository=team/secret&sort=size",
        "/api/v1/tags?repository=team/a&repository=team/secret",
    ] {
        let request = ask(path).basic_auth("reader", Some(password("reader")));
        assert!(repositories(request).await.is_err(), "{path}");
    }
}

/// The repositories of which something is in a list, in order, or the status of a refusal.
async fn repositories(request: reqwest::RequestBuilder) -> Result<String, StatusCode> {
    let response = request.send().await.unwrap();
    if response.status() != StatusCode::OK {
        return Err(response.status());
    }
    let list: Value = response.json().await.unwrap();
    let name = |item: &Value| item["repository"].as_str().or(item["name"].as_str()).unwrap().to_owned();
    let mut names: Vec<String> = list["items"].as_array().unwrap().iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    assert!(list["next"].is_null());
    Ok(names.join(" "))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_positions_tell_nothing_of_what_may_not_be_pulled() {
    let guard = Guard::new();
    let (_registry, door) = filled(&guard, &[]).await;
    sweep(&door).await;
    let mut next = Some("/v2/_catalog?n=1".to_owned());
    let mut found = Vec::new();
    while let Some(path) = next {
        let request = http_client().get(format!("{}{path}", door.url()));
        let response = request.basic_auth("reader", Some(password("reader"))).send().await.unwrap();
        next = response.headers().get("link").map(|link| {
            let link = link.to_str().unwrap().strip_prefix('<').unwrap();
            link.split_once('>').unwrap().0.to_owned()
        });
        let list: Value = response.json().await.unwrap();
        found.extend(
            list["repositories"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()),
        );
        assert_eq!(next.is_some(), found.len() < 4, "there is no further page that has nothing");
    }
    assert_eq!(found, ["home/reader/x", "public/a", "team/a", "team/b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_registry_answers_the_catalog_needs_the_privilege() {
    let guard = Guard::new();
    let (_registry, door) = filled(&guard, &[("ANSWERS__FROM", "registry")]).await;
    sweep(&door).await;
    for user in ["reader", "mounter", ""] {
        let token = token(&door.url(), user, &["registry:catalog:*"]).await;
        let request = http_client().get(format!("{}/v2/_catalog", door.url())).bearer_auth(token);
        assert_eq!(names(request, "repositories").await, Err(StatusCode::UNAUTHORIZED), "{user}");
    }
    let request = http_client().get(format!("{}/v2/_catalog", door.url()));
    let mut all: Vec<String> = names(request.basic_auth("alice", Some(password("alice"))), "repositories")
        .await
        .unwrap()
        .split(' ')
        .map(str::to_owned)
        .collect();
    all.sort_unstable();
    assert_eq!(all.join(" "), ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_user_is_gone_lists_nothing() {
    let guard = Guard::new();
    let (_registry, mut door) = filled(&guard, &[]).await;
    sweep(&door).await;
    let token = token(&door.url(), "reader", &["registry:catalog:*"]).await;
    guard.write_users(&["admin"]);
    door.restart().await;
    for path in ["/v2/_catalog", "/api/v1/repositories"] {
        let request = http_client().get(format!("{}{path}", door.url())).bearer_auth(&token);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}
