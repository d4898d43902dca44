//! Numbers of the whole record: what is wrong with it, what happened, and what is large.

use super::*;

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
    let in_first_hour = |count: u64| [vec![count], vec![0; 23]].concat();
    let day = json!({
        "day": "1970-01-01", "pushes": 3, "pulls": 4, "deletions": 0,
        "pushes_by_hour": in_first_hour(3), "pulls_by_hour": in_first_hour(4),
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
