//! Lists of repositories and of tags.

use super::*;

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
