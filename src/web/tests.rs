//! Tests over the routers, with a store in memory that each test fills.

mod events;
mod manifests;
mod namespaces;
mod openapi;
mod pages;
mod samples;
mod search;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use self::samples::{
    app, client, delete, descriptor, digest, filled, find, manifest, name, pull, push, time,
};
use super::*;
use crate::clock::Timestamp;
use crate::oci::{
    Descriptor, Digest, Manifest, ManifestKind, MediaType, Platform, Reference, RepositoryName, Tag,
};
use crate::registry::{Backends, HttpTransport, RegistrySettings};
use crate::search::{MEMORY, Search};
use crate::store::{Change, Events as _, Ledger as _, MemoryStore, Source, Store, StoreTrouble, Write};
use crate::sync::{EngineSettings, JudgeSettings, RemovalLimit, SweepSettings, SyncEngine, Transports};
use crate::telemetry::Metrics;

/// A door in a given state.
struct Door(ServiceState);

impl StatusSource for Door {
    fn state(&self) -> ServiceState {
        self.0
    }

    fn registry(&self) -> RegistryStatus {
        let backend = BackendStatus {
            url: "http://127.0.0.1:5001".to_owned(),
            healthy: true,
            foreign: None,
            latency_milliseconds: Some(1.25),
        };
        let reachable = self.0 != ServiceState::Degraded;
        RegistryStatus {
            reachable,
            trouble: (!reachable).then_some("the registry cannot be reached".into()),
            backends: vec![backend],
            clock: None,
        }
    }

    fn verifications(&self) -> VerificationStatus {
        VerificationStatus { pending: 1, completed: 2, failed: 3 }
    }
}

fn web(store: &Arc<MemoryStore>, state: ServiceState) -> WebState {
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    let backends = Arc::new(Backends::new([]));
    let timeout = Duration::from_secs(1);
    let access = RegistrySettings::new(backends, timeout);
    let transport = Arc::new(HttpTransport::new(timeout, None).unwrap());
    let settings = EngineSettings {
        registry: access,
        judge: JudgeSettings {
            settling: Duration::ZERO,
            removal_limit: RemovalLimit { percent: 100, always: 1 },
            removal_patience: Duration::ZERO,
        },
        retention_clock: None,
        sweep: SweepSettings {
            interval: Duration::ZERO,
            deep_interval: Duration::ZERO,
            concurrency: NonZeroUsize::MIN,
            seed: 1,
        },
        last_pass: Duration::ZERO,
    };
    let transports = Transports { requests: Arc::clone(&transport) as _, sweeps: transport };
    let engine = SyncEngine::new(Arc::clone(&store), settings, transports);
    let notifications = Some(NotificationSecret::new("0123456789abcdef"));
    let feed = Arc::new(EventFeed::new(Arc::clone(&store) as _, NonZeroUsize::MIN));
    WebState {
        gate: None,
        accounts: Arc::new(crate::auth::Accounts::new(
            Arc::clone(&store) as _,
            Arc::new(crate::auth::Journal::new(crate::clock::Clock::SYSTEM, Duration::ZERO)),
            crate::clock::Clock::SYSTEM,
        )),
        search: Arc::new(Search::new(Arc::clone(&store), MEMORY)),
        store,
        writes: Writes { deleter: engine.deleter(), undeleter: engine.undeleter(), credentials: None },
        sweeper: engine.sweeper,
        hints: engine.hints,
        largest_blobs: Arc::default(),
        manifest_turns: Arc::default(),
        namespaces: Arc::default(),
        pulls: engine.pulls,
        notifications,
        status: Arc::new(Door(state)),
        pages: Some(PageSettings::default()),
        metrics: Metrics::install().unwrap(),
        feed,
    }
}

/// Asks the door's router.
async fn get(store: &Arc<MemoryStore>, path: &str) -> (StatusCode, Value) {
    let router = door_router(web(store, ServiceState::Ready));
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn repositories_are_listed_in_pages() {
    let store = Arc::new(MemoryStore::default());
    for repository in ["a", "b/a", "c"] {
        push(&store, &name(repository), manifest("image"), &["v1"]).await;
    }
    pull(&store, &name("a"), None, 4).await;
    let (status, body) = get(&store, "/api/v1/repositories?n=2").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["next"], "b/a");
    assert_eq!(
        body["items"][0],
        json!({
            "name": "a", "tags": 1, "manifests": 1, "bytes": 7,
            "last_push": "1970-01-01T00:00:01.000Z", "last_pull": "1970-01-01T00:00:01.000Z", "pulls": 4,
            "missing": {"tags": 0, "manifests": 0},
        })
    );
    let (_, body) = get(&store, "/api/v1/repositories?n=2&after=b%2Fa").await;
    assert_eq!((&body["items"][0]["name"], &body["next"]), (&json!("c"), &Value::Null));
    let (_, body) = get(&store, "/api/v1/repositories?q=a").await;
    assert_eq!(body["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn repositories_of_one_namespace_are_listed() {
    let store = Arc::new(MemoryStore::default());
    for repository in ["a", "b", "b-c/a", "b/a", "b/c/d", "c/b/a"] {
        push(&store, &name(repository), manifest("image"), &["v1"]).await;
    }
    let names = async |query: &str| {
        let (status, body) = get(&store, &format!("/api/v1/repositories?{query}")).await;
        let items = body["items"].as_array().cloned().unwrap_or_default();
        let names: Vec<String> = items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect();
        (status, names.join(" "))
    };
    for (query, expected) in [
        ("namespace=b", "b/a b/c/d"),
        ("namespace=b&order=desc", "b/c/d b/a"),
        ("namespace=b&q=c", "b/c/d"),
        ("namespace=", "a b"),
        ("namespace=none", ""),
    ] {
        assert_eq!(names(query).await, (StatusCode::OK, expected.to_owned()), "{query}");
    }
    for wrong in ["namespace=b/c", "namespace=b&group_by=namespace"] {
        assert_eq!(names(wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn tags_are_listed_with_what_is_known_of_their_manifests() {
    let store = Arc::new(MemoryStore::default());
    let mut index = manifest("image");
    index.document.media_type = MediaType::OCI_INDEX.into();
    index.document.kind = ManifestKind::Index;
    index.document.children = vec![Descriptor {
        platform: Some(Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None }),
        ..descriptor("child")
    }];
    push(&store, &app(), index, &["v1", "v2"]).await;
    pull(&store, &app(), Some("v1"), 5).await;
    let (status, body) = get(&store, "/api/v1/tags?repository=team/app&n=1").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body,
        json!({
            "items": [{
                "tag": "v1", "digest": digest("image"), "media_type": MediaType::OCI_INDEX, "bytes": 7,
                "platforms": ["linux/amd64"], "pushed_at": "1970-01-01T00:00:01.000Z", "found_at": null,
                "pushed_by": "alice",
                "last_pull": "1970-01-01T00:00:01.000Z", "pulls": 5,
                "last_seen": "1970-01-01T00:00:01.000Z", "source": "observed",
                "missing_since": null,
            }],
            "next": "v1",
        })
    );
    // Behind the last one of a repository that is there, there is an end, not an error.
    let (status, body) = get(&store, "/api/v1/tags?repository=team/app&after=v2").await;
    assert_eq!((status, body), (StatusCode::OK, json!({"items": [], "next": null})));
}

#[tokio::test]
async fn a_manifest_is_shown_with_its_parts_and_referrers() {
    let mut image = manifest("image");
    image.document.config = Some(descriptor("config"));
    image.document.layers = vec![descriptor("layer")];
    image.document.children = vec![Descriptor {
        platform: Some(Platform { os: "linux".to_owned(), architecture: "arm64".to_owned(), variant: None }),
        ..descriptor("child")
    }];
    image.document.annotations = [("a".to_owned(), "b".to_owned())].into();
    let mut signature = manifest("signature");
    signature.document.subject = Some(descriptor("image"));
    signature.document.artifact_type = Some("application/signature".into());
    let store = Arc::new(MemoryStore::default());
    for (manifest, tags) in [(image, vec![Tag::parse("v1").unwrap()]), (signature, Vec::new())] {
        find(&store, Change::ManifestPut { repository: app(), manifest: Arc::new(manifest), tags }).await;
    }
    let path = format!("/api/v1/manifests?repository=team/app&digest={}", digest("image"));
    let (status, body) = get(&store, &path).await;
    assert_eq!(status, StatusCode::OK);
    let shown = json!({
        "digest": digest("image"), "media_type": MediaType::OCI_MANIFEST, "kind": "image", "size": 7,
        "config": {"media_type": "application/x", "digest": digest("config"), "size": 6},
        "layers": [{"media_type": "application/x", "digest": digest("layer"), "size": 5}],
        "children": [{
            "media_type": "application/x", "digest": digest("child"), "size": 5,
            "platform": {"os": "linux", "architecture": "arm64"},
        }],
        "subject": null, "artifact_type": null, "annotations": {"a": "b"}, "tags": ["v1"],
        "referrers": [{
            "digest": digest("signature"), "media_type": MediaType::OCI_MANIFEST,
            "artifact_type": "application/signature", "size": 7, "annotations": {},
        }],
        "referrers_next": null,
        "pushed_at": null, "found_at": "1970-01-01T00:00:01.000Z", "source": "swept", "image": null,
        "missing_since": null,
    });
    assert_eq!(body, shown);
    // A list leaves out what may be long.
    let mut listed = shown;
    for left_out in ["layers", "referrers", "referrers_next"] {
        listed.as_object_mut().unwrap().remove(left_out);
    }
    let (status, body) = get(&store, "/api/v1/manifests?repository=team/app").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body["items"].as_array().unwrap().contains(&listed), "{body}");
    assert_eq!(body["next"], Value::Null);
    let path = format!("/api/v1/manifests?repository=team/app&subject={}", digest("image"));
    let (status, body) = get(&store, &path).await;
    assert_eq!((status, body["items"].as_array().unwrap().len()), (StatusCode::OK, 1));
    assert_eq!(body["items"][0]["digest"], json!(digest("signature")));
}

#[tokio::test]
async fn events_are_listed_oldest_first_behind_a_position() {
    let store = filled().await;
    delete(&store, &app(), "latest").await;
    push(&store, &app(), manifest("image"), &["latest"]).await;
    let epoch = store.history().await.unwrap().epoch;
    let (status, body) = get(&store, "/api/v1/events?after=2&n=1").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body,
        json!({
            "items": [{
                "sequence": 4, "time": "1970-01-01T00:00:01.000Z", "kind": "tag_deleted", "source": "observed",
                "repository": "team/app", "tag": "latest", "digest": digest("image"), "previous": null,
                "media_type": null, "actor": {"user": "alice", "address": "192.0.2.1", "agent": "docker"},
            }],
            "next": "4", "epoch": epoch,
        })
    );
    let (status, body) = get(&store, "/api/v1/events?repository=other").await;
    assert_eq!((status, body), (StatusCode::OK, json!({"items": [], "next": null, "epoch": epoch})));
}

#[tokio::test]
async fn a_position_in_another_history_is_refused() {
    let store = filled().await;
    let (last, ours) = (store.sequence().await.unwrap(), store.history().await.unwrap().epoch);
    let (behind, other) = (last.next(), "00000000000000000000000000000003");
    for (query, status) in [
        (format!("after={last}&epoch={ours}"), StatusCode::OK),
        (format!("epoch={ours}"), StatusCode::OK),
        (format!("after={behind}&epoch={ours}"), StatusCode::CONFLICT),
        (format!("after=1&epoch={other}"), StatusCode::CONFLICT),
        ("after=1&epoch=2".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        let (answered, body) = get(&store, &format!("/api/v1/events?{query}")).await;
        assert_eq!(answered, status, "{query}: {body}");
        if status == StatusCode::CONFLICT {
            assert_eq!(body["error"]["code"], "history_replaced", "{query}");
        }
    }
}

#[tokio::test]
async fn the_status_shows_store_and_registry() {
    let store = filled().await;
    store
        .begin(app(), Write::Delete { reference: Reference::Digest(digest("image")) }, client(), time())
        .await
        .unwrap();
    let history = store.history().await.unwrap();
    let (status, mut body) = get(&store, "/api/v1/status").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body["sweep"]["numbered_since"].take().is_string());
    assert_eq!(
        body,
        json!({
            "state": "ready", "version": env!("CARGO_PKG_VERSION"),
            "store": {
                "identity": history.identity, "epoch": history.epoch,
                "writable": true, "trouble": null, "repositories": 1, "tags": 1, "manifests": 1, "events": 1,
                "missing": {"tags": 0, "manifests": 0},
            },
            "registry": {
                "reachable": true, "trouble": null,
                "backends": [{"url": "http://127.0.0.1:5001", "healthy": true, "latency_milliseconds": 1.25}],
                "clock": null,
            },
            "open_intents": 1, "verifications": {"pending": 1, "completed": 2, "failed": 3},
            "hints": {"waiting": 0},
            "sweep": {
                "running": null, "last": null, "past": {"recent": [], "days": []}, "next_at": null,
                "numbered_since": null,
            },
        })
    );
    store.set_trouble(Some(StoreTrouble::Replaced));
    let (_, body) = get(&store, "/api/v1/status").await;
    assert_eq!((&body["state"], &body["store"]["writable"]), (&json!("degraded"), &json!(false)));
    let trouble = body["store"]["trouble"].as_str().unwrap();
    assert!(trouble.contains("another file is at its path"), "{trouble}");
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let unknown = format!("/api/v1/manifests?repository=team/app&digest={}", digest("unknown"));
    let nowhere = format!("/api/v1/manifests?repository=nowhere&digest={}", digest("unknown"));
    let store = filled().await;
    let digest_in_list = format!("/api/v1/manifests?repository=team/app&digest={}&n=1", digest("image"));
    for (path, status, code, message) in [
        ("/api/v1/repositories?n=0", 400, "invalid_parameter", "a whole number from 1 to 1000"),
        ("/api/v1/repositories?n=1001", 400, "invalid_parameter", "a whole number from 1 to 1000"),
        ("/api/v1/repositories?n=ten", 400, "invalid_parameter", "a whole number from 1 to 1000"),
        ("/api/v1/repositories?n=", 400, "invalid_parameter", "a whole number from 1 to 1000"),
        ("/api/v1/repositories?n=1&n=2", 400, "invalid_parameter", "`n` is wrong: it is given twice"),
        ("/api/v1/repositories?after=A", 400, "invalid_parameter", "`A` is no path component"),
        (
            "/api/v1/repositories?name=a",
            400,
            "unknown_parameter",
            "`name` is not a parameter here; known are `q`",
        ),
        ("/api/v1/status?x=1", 400, "unknown_parameter", "`x` is not a parameter here; there are none"),
        (
            "/api/v1/tags?repository=A",
            400,
            "invalid_parameter",
            "`repository` is wrong: `A` is no path component",
        ),
        (
            "/api/v1/tags?repository=team/app&after=-",
            400,
            "invalid_parameter",
            "`after` is wrong: `-` is no tag",
        ),
        ("/api/v1/manifests", 400, "missing_parameter", "`repository` is missing"),
        ("/api/v1/tags?repository=nowhere", 404, "repository_unknown", "`nowhere` is not known"),
        (
            "/api/v1/manifests?repository=team/app&digest=md5:x",
            400,
            "invalid_parameter",
            "`md5` is not registered",
        ),
        ("/api/v1/manifests?repository=nowhere", 404, "repository_unknown", "`nowhere`"),
        (&nowhere, 404, "repository_unknown", "`nowhere`"),
        (&unknown, 404, "manifest_unknown", "`team/app` has no manifest sha256:"),
        (&digest_in_list, 400, "invalid_parameter", "`n` is wrong"),
        ("/api/v1/events?after=x", 400, "invalid_parameter", "`after` is wrong"),
        ("/api/v1/nothing", 404, "not_found", "nothing at this path"),
        ("/api/v1/repositories/team/app", 404, "not_found", "nothing at this path"),
    ] {
        let (answered, body) = get(&store, path).await;
        assert_eq!(answered.as_u16(), status, "{path}: {body}");
        assert_eq!(body["error"]["code"], code, "{path}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(message), "{path}: {body}");
        assert_eq!(body.as_object().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_an_empty_one() {
    for path in ["/api/v1/repositories", "/api/v1/tags?repository=team/app", "/api/v1/status"] {
        let store = filled().await;
        store.close();
        let (status, body) = get(&store, path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(body["error"]["code"], "store_unavailable", "{path}");
    }
}

#[tokio::test]
async fn another_method_is_refused_with_those_that_are_allowed() {
    let router = door_router(web(&Arc::new(MemoryStore::default()), ServiceState::Ready));
    let request = Request::builder().method(Method::POST).uri("/api/v1/tags").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET,HEAD,DELETE");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["code"], "method_not_allowed");
}

#[tokio::test]
async fn a_page_of_another_site_reads_as_everybody_does_and_changes_nothing() {
    for (method, path, site, expected) in [
        (Method::POST, "/api/v1/tags/delete?repository=a", "cross-site", StatusCode::FORBIDDEN),
        (Method::POST, "/api/v1/sync", "cross-site", StatusCode::FORBIDDEN),
        (Method::DELETE, "/api/v1/nothing", "same-site", StatusCode::FORBIDDEN),
        (Method::POST, "/api/v1/tags/delete?repository=a", "same-origin", StatusCode::BAD_REQUEST),
        (Method::GET, "/api/v1/tags", "cross-site", StatusCode::OK),
    ] {
        let router = door_router(web(&Arc::new(MemoryStore::default()), ServiceState::Ready));
        let request = Request::builder().method(method.clone()).uri(path).header("sec-fetch-site", site);
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), expected, "{method} {path} {site}");
    }
}

#[tokio::test]
async fn no_answer_is_kept_or_guessed_at() {
    for path in ["/api/v1/status", "/api/v1/nothing", "/readyz", "/", "/api/v1/tags"] {
        let router = door_router(web(&Arc::new(MemoryStore::default()), ServiceState::Ready));
        let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
    }
}

#[tokio::test]
async fn both_listeners_tell_whether_they_live_and_are_ready() {
    for (state, unwritable, expected) in [
        (ServiceState::Ready, false, Ok(())),
        (ServiceState::Starting, false, Err("starting")),
        (ServiceState::Stopping, true, Err("stopping")),
        (ServiceState::Degraded, false, Err("degraded: the registry")),
        (ServiceState::Ready, true, Err("degraded: the store")),
    ] {
        for router in [door_router, admin_router] {
            let store = Arc::new(MemoryStore::default());
            store.set_trouble(unwritable.then_some(StoreTrouble::Replaced));
            let router = router(web(&store, state));
            let alive =
                router.clone().oneshot(Request::get("/healthz").body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(alive.status(), StatusCode::OK);
            let ready = router.oneshot(Request::get("/readyz").body(Body::empty()).unwrap()).await.unwrap();
            let status = ready.status();
            let comes_again = ready.headers().contains_key("retry-after");
            assert_eq!(comes_again, status == StatusCode::SERVICE_UNAVAILABLE);
            let body = ready.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert_eq!(text.lines().count(), 1);
            match expected {
                Ok(()) => assert_eq!(status, StatusCode::OK),
                Err(reason) => {
                    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                    assert!(text.starts_with(reason), "{text}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_the_registry_denies_is_told_and_leaves_the_door_ready() {
    let store = Arc::new(MemoryStore::default());
    for repository in ["lost", "whole"] {
        push(&store, &name(repository), manifest("image"), &["a", "b", "c"]).await;
    }
    for reference in ["a", "b", "c", digest("image").as_str()] {
        let (repository, reference) = (name("lost"), Reference::parse(reference).unwrap());
        find(&store, Change::ReferenceMissing { repository, reference }).await;
    }
    let router = door_router(web(&store, ServiceState::Ready));
    let ready = router.oneshot(Request::get("/readyz").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    let body = ready.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"degraded: the registry denies"), "{body:?}");
    let (_, status) = get(&store, "/api/v1/status").await;
    assert_eq!(status["state"], "degraded");
    assert_eq!(status["store"]["missing"], json!({"tags": 3, "manifests": 1}));
    let (status, body) = get(&store, "/api/v1/removals").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["items"], json!([{"repository": "lost", "tags": 3, "manifests": 1}]));
    let state = web(&store, ServiceState::Ready);
    let request = Request::post("/api/v1/removals/accept").body(Body::empty()).unwrap();
    let accepted = door_router(state).oneshot(request).await.unwrap();
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn metrics_are_on_the_admin_listener_only() {
    let state = web(&Arc::new(MemoryStore::default()), ServiceState::Ready);
    let request = || Request::get("/metrics").body(Body::empty()).unwrap();
    let response = admin_router(state.clone()).oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8(body.to_vec()).unwrap().contains("portreeve_build_info{version="));
    let response = door_router(state).oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

async fn post_sync(state: &WebState, body: &'static str) -> (StatusCode, Value) {
    let request = Request::post("/api/v1/sync").body(Body::from(body)).unwrap();
    let response = door_router(state.clone()).oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_sweep_is_asked_for_by_post_and_those_who_ask_meanwhile_get_the_same_one() {
    let state = web(&Arc::new(MemoryStore::default()), ServiceState::Ready);
    for body in ["", "{}", r#"{"deep": true}"#] {
        let (status, body) = post_sync(&state, body).await;
        let since = state.sweeper.status().await.unwrap().numbered_since;
        let accepted = json!({"sweep": 1, "since": 0, "numbered_since": since});
        assert_eq!((status, body), (StatusCode::ACCEPTED, accepted));
    }
    for body in ["deep", r#"{"deep": 1}"#, r#"{"depp": true}"#, "[]", "[true, false]", "null"] {
        let (status, answer) = post_sync(&state, body).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_body")),
            "{body}"
        );
    }
    assert_eq!(
        get(&Arc::new(MemoryStore::default()), "/api/v1/sync").await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn what_is_wrong_is_counted_by_kind_and_listed() {
    let store = Arc::new(MemoryStore::default());
    let mut index = manifest("index");
    index.document.kind = ManifestKind::Index;
    index.document.children =
        vec![Descriptor { media_type: MediaType::OCI_MANIFEST.into(), ..descriptor("child") }];
    push(&store, &app(), index, &["v1"]).await;
    push(&store, &name("other"), manifest("image"), &[]).await;
    let (status, body) = get(&store, "/api/v1/health").await;
    let counts = json!({
        "missing_children": 1, "missing_subject": 0, "lost_tag": 0, "empty_repository": 0, "untagged": 1,
    });
    assert_eq!((status, body), (StatusCode::OK, counts));
    let (_, body) = get(&store, "/api/v1/health?kind=missing_children").await;
    let item =
        json!({"repository": "team/app", "tag": null, "digest": digest("index"), "lacks": [digest("child")]});
    assert_eq!(body, json!({"items": [item], "next": null}));
    let after = format!("/api/v1/health?kind=untagged&n=1&after=other@{}", digest("image"));
    let (status, body) = get(&store, &after).await;
    assert_eq!((status, body), (StatusCode::OK, json!({"items": [], "next": null})));
    for wrong in ["kind=x", "n=5", "after=a", "kind=untagged&after=@", "kind=untagged&n=0"] {
        let (status, body) = get(&store, &format!("/api/v1/health?{wrong}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}: {body}");
    }
}

#[tokio::test]
async fn statistics_tell_what_happened_and_what_is_large() {
    let store = Arc::new(MemoryStore::default());
    for (repository, layer) in [("a", "large layer"), ("b", "large layer"), ("c", "layer")] {
        let mut image = manifest("image");
        image.document.layers = vec![descriptor(layer)];
        push(&store, &name(repository), image, &["v1"]).await;
    }
    pull(&store, &name("a"), Some("v1"), 4).await;
    let (status, body) = get(&store, "/api/v1/statistics?days=7").await;
    assert_eq!(status, StatusCode::OK);
    let totals = json!({"repositories": 3, "tags": 3, "manifests": 3, "bytes": 21 + 11 + 11 + 5});
    assert_eq!(body["totals"], totals);
    let day = json!({
        "day": "1970-01-01", "pushes": 3, "pulls": 4, "deletions": 0,
        "repositories": 3, "tags": 3, "manifests": 3, "bytes": 48,
    });
    assert_eq!((&body["days"], &body["events"]), (&json!([day]), &json!(3)));
    let blob = |layer: &str, size: usize, repository: &str| json!({"digest": digest(layer), "size": size, "repository": repository, "manifests": 1});
    let largest = json!([blob("large layer", 11, "a"), blob("layer", 5, "c")]);
    assert_eq!(body["largest_blobs"], largest);
    assert_eq!(body["health"]["untagged"], 0);
    for wrong in ["days=0", "days=401", "days=x", "n=5"] {
        let (status, _) = get(&store, &format!("/api/v1/statistics?{wrong}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}
