//! Search, and lists of tags over all repositories: what is answered, and to whom.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};

use super::*;
use crate::auth::{Token, Viewer};
use crate::oci::Access;

/// The bearer of a token with this access.
pub(super) fn bearer(subject: Option<&str>, access: Vec<Access>) -> Viewer {
    let (id, subject) = ("id".to_owned(), subject.map(str::to_owned));
    Viewer::Bearer(Arc::new(Token { subject, access, id, origin: None, made: time(), expires: time() }))
}

async fn body(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// Asks as this caller, whom the gate has let in.
pub(super) async fn ask(state: &WebState, viewer: &Viewer, path: &str) -> (StatusCode, Value) {
    let uri: axum::http::Uri = path.parse().unwrap();
    let (state, viewer) = (State(state.clone()), viewer.clone());
    let query = RawQuery(uri.query().map(str::to_owned));
    match uri.path() {
        "/api/v1/search" => {
            body(super::super::search::find(state, viewer, query).await.into_response()).await
        }
        "/api/v1/tags" => body(super::super::tags::list(state, viewer, query).await.into_response()).await,
        "/api/v1/repositories" => {
            body(super::super::repositories::list(state, viewer, query).await.into_response()).await
        }
        other => panic!("{other} is not asked here"),
    }
}

/// All parts of an answer, one after another.
pub(super) async fn all_parts(state: &WebState, viewer: &Viewer, path: &str, limit: usize) -> Vec<Value> {
    let (mut parts, mut after) = (Vec::new(), String::new());
    loop {
        let (status, part) = ask(state, viewer, &format!("{path}&n={limit}{after}")).await;
        assert_eq!(status, StatusCode::OK, "{path}: {part}");
        let next = part["next"].as_str().map(str::to_owned);
        parts.push(part);
        let Some(next) = next else { return parts };
        after =
            format!("&after={}", url::form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>());
    }
}

/// What may be seen, and if that is wanted much that may not be: before, between and behind it.
pub(super) async fn store(has_secrets: bool) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    for repository in ["a/secret", "open/app", "open/secret", "z/secret-app"] {
        if has_secrets || repository == "open/app" {
            push(&store, &name(repository), manifest("image"), &["v1", "v2", "v3"]).await;
            push(&store, &name(repository), manifest("other image"), &["w1"]).await;
            pull(&store, &name(repository), Some("v2"), 1).await;
        }
    }
    store
}

#[tokio::test]
async fn to_each_caller_it_is_as_if_what_they_may_not_pull_were_not_there() {
    let whole = web(&store(true).await, ServiceState::Ready);
    let open = web(&store(false).await, ServiceState::Ready);
    let viewer = bearer(Some("bob"), vec![Access::to_pull(name("open/app"))]);
    let image = digest("image");
    let mut paths = Vec::new();
    for query in
        ["app", "v", "secret", "1", "a", "open/", "secret:v1", "z/secret-app:v", &image.as_str()[..15]]
    {
        paths.push(format!("/api/v1/search?q={query}"));
    }
    paths.push(format!("/api/v1/search?q={}", image.encoded()));
    for sort in ["name", "pushed_at", "last_pull", "size"] {
        for order in ["asc", "desc"] {
            paths.push(format!("/api/v1/tags?sort={sort}&order={order}"));
        }
    }
    paths.push(format!("/api/v1/tags?digest={image}"));
    paths.push("/api/v1/tags?pulled_before=2026-01-01T00:00:00Z".to_owned());
    for sort in ["name", "last_push", "last_pull", "size", "tags"] {
        paths.push(format!("/api/v1/repositories?sort={sort}"));
        paths.push(format!("/api/v1/repositories?q=e&order=desc&sort={sort}"));
    }
    for path in &paths {
        for limit in [1, 2, 100] {
            let seen = all_parts(&whole, &viewer, path, limit).await;
            let expected = all_parts(&open, &Viewer::Unrestricted, path, limit).await;
            // Not the items alone: also how many parts there are, and where each ends.
            assert_eq!(seen, expected, "{path} n={limit}");
            assert!(!serde_json::to_string(&seen).unwrap().contains("secret"), "{path}");
        }
    }
    for nobody in [Viewer::Anonymous, bearer(None, Vec::new()), bearer(Some("eve"), vec![Access::Catalog])] {
        for path in &paths {
            let seen = all_parts(&whole, &nobody, path, 1).await;
            assert_eq!(seen, [json!({"items": [], "next": null})], "{path}");
        }
    }
    let administrator = bearer(Some("root"), vec![Access::Admin]);
    let (_, all) = ask(&whole, &administrator, "/api/v1/tags?n=100").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 16);
}

#[tokio::test]
async fn a_search_shows_what_the_lists_show() {
    let store = store(false).await;
    let (status, body) = get(&store, "/api/v1/search?q=open/app").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&body["items"][0]["kind"], &body["items"][0]["name"]),
        (&json!("repository"), &json!("open/app"))
    );
    assert_eq!((&body["items"][0]["tags"], &body["next"]), (&json!(4), &Value::Null));
    let (_, body) = get(&store, "/api/v1/search?q=w1").await;
    let (_, listed) = get(&store, "/api/v1/tags?repository=open/app&after=v3").await;
    let mut tag = listed["items"][0].clone();
    tag["repository"] = json!("open/app");
    let (_, sorted) =
        get(&store, "/api/v1/tags?repository=open/app&sort=name&n=1&after=name:0:open/app:v3").await;
    assert_eq!(sorted["items"], json!([tag]));
    tag["kind"] = json!("tag");
    assert_eq!(body, json!({"items": [tag], "next": null}));
    // Who pushed is told to callers who have logged in.
    let state = web(&store, ServiceState::Ready);
    for (subject, pushed_by) in [(None, Value::Null), (Some("bob"), json!("alice"))] {
        let viewer = bearer(subject, vec![Access::to_pull(name("open/app"))]);
        for path in ["/api/v1/search?q=w1", "/api/v1/tags?sort=size&n=1"] {
            let (_, body) = ask(&state, &viewer, path).await;
            assert_eq!(body["items"][0]["pushed_by"], pushed_by, "{path}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_looked_for_says_why() {
    let filled = filled().await;
    for (path, status, code, message) in [
        ("/api/v1/search", 400, "missing_parameter", "`q` is missing"),
        ("/api/v1/search?q=", 400, "invalid_parameter", "`q` is wrong: it is empty"),
        ("/api/v1/search?q=a@b", 400, "invalid_parameter", "behind `@`"),
        ("/api/v1/search?q=a&after=x", 400, "invalid_parameter", "`after` is wrong: it is no `next`"),
        ("/api/v1/tags?sort=age", 400, "invalid_parameter", "`name`, `pushed_at`, `last_pull` or `size`"),
        ("/api/v1/repositories?sort=size&after=app", 400, "invalid_parameter", "`after` is wrong"),
        ("/api/v1/repositories?sort=age", 400, "invalid_parameter", "`size` or `tags`"),
        (
            "/api/v1/repositories?group_by=tag",
            400,
            "invalid_parameter",
            "`group_by` is wrong: it can be `namespace`",
        ),
        ("/api/v1/repositories?group_by=namespace&sort=age", 400, "invalid_parameter", "`size` or `tags`"),
        (
            "/api/v1/repositories?group_by=namespace&after=team/app",
            400,
            "invalid_parameter",
            "`after` is wrong",
        ),
        (
            "/api/v1/repositories?group_by=namespace&after=size:0:team",
            400,
            "invalid_parameter",
            "`after` is wrong",
        ),
        (
            "/api/v1/repositories?group_by=namespace&after=namespace:size:0:team",
            400,
            "invalid_parameter",
            "`after` is wrong",
        ),
        ("/api/v1/repositories?after=namespace:name:0:team", 400, "invalid_parameter", "`after` is wrong"),
        (
            "/api/v1/repositories?sort=size&after=namespace:size:0:team",
            400,
            "invalid_parameter",
            "`after` is wrong",
        ),
        ("/api/v1/tags?order=up", 400, "invalid_parameter", "`asc` or `desc`"),
        ("/api/v1/tags?pulled_before=now", 400, "invalid_parameter", "RFC 3339"),
        ("/api/v1/tags?sort=size&after=name:0:a:b", 400, "invalid_parameter", "`after` is wrong"),
        ("/api/v1/tags?repository=nowhere&sort=size", 404, "repository_unknown", "`nowhere` is not known"),
    ] {
        let (answered, body) = get(&filled, path).await;
        assert_eq!(answered.as_u16(), status, "{path}: {body}");
        assert_eq!(body["error"]["code"], code, "{path}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(message), "{path}: {body}");
    }
    let mut state = web(&filled, ServiceState::Ready);
    state.search = Arc::new(Search::new(Arc::clone(&state.store), 10));
    let (status, body) = ask(&state, &Viewer::Unrestricted, "/api/v1/search?q=a").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("search_unavailable"))
    );
}
