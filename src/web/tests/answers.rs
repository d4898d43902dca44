//! What holds for every answer: errors that say why, methods, callers from elsewhere, and what is kept.

use super::*;

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
