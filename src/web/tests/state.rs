//! The state of the door: what is told of it, to whom it listens, and what it measures.

use super::*;

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
