//! What namespaces hold: what is answered, to whom, and for how long.

use super::search::{all_parts, ask, bearer, store};
use super::*;
use crate::auth::Viewer;
use crate::oci::Access;

const BY_SIZE: &str = "/api/v1/repositories?group_by=namespace&sort=size";

/// What is answered, without how old it is.
async fn items(state: &WebState, viewer: &Viewer, path: &str, limit: usize) -> Vec<Value> {
    let mut parts = all_parts(state, viewer, path, limit).await;
    for part in &mut parts {
        assert!(part["age_seconds"].take().is_u64(), "{path}: {part}");
    }
    parts
}

async fn push_layers(store: &Arc<MemoryStore>, repository: &str, text: &'static str, layers: &[&str]) {
    let mut image = manifest(text);
    image.document.layers = layers.iter().map(|layer| descriptor(layer)).collect();
    push(store, &name(repository), image, &["v1"]).await;
}

#[tokio::test]
async fn what_repositories_of_a_namespace_share_is_counted_once() {
    let store = Arc::new(MemoryStore::default());
    push_layers(&store, "team/app", "image", &["base layer", "app"]).await;
    push_layers(&store, "team/other", "other", &["base layer", "other layer"]).await;
    push_layers(&store, "team/copy/deep", "image", &["base layer", "app"]).await;
    push_layers(&store, "team", "image", &["base layer"]).await;
    push_layers(&store, "tea", "image", &["base layer"]).await;
    pull(&store, &name("team/app"), Some("v1"), 3).await;
    pull(&store, &name("team/other"), None, 4).await;
    let (status, body) = get(&store, "/api/v1/repositories?group_by=namespace").await;
    let time = "1970-01-01T00:00:01.000Z";
    let team = json!({
        "namespace": "team", "repositories": 3, "tags": 3, "manifests": 3, "bytes": 7 + 7 + 10 + 3 + 11,
        "last_push": time, "last_pull": time, "pulls": 7,
    });
    let none = json!({
        "namespace": "", "repositories": 2, "tags": 2, "manifests": 2, "bytes": 7 + 10,
        "last_push": time, "last_pull": null, "pulls": 0,
    });
    assert_eq!(
        (status, body),
        (StatusCode::OK, json!({"items": [none, team], "next": null, "age_seconds": 0}))
    );
    for (query, expected) in [("q=ea", vec!["team"]), ("q=team/app", vec![]), ("sort=tags", vec!["team", ""])]
    {
        let (_, body) = get(&store, &format!("/api/v1/repositories?group_by=namespace&{query}")).await;
        let told: Vec<_> = body["items"].as_array().unwrap().iter().map(|item| &item["namespace"]).collect();
        assert_eq!(told, expected, "{query}");
    }
}

#[tokio::test]
async fn to_each_caller_namespaces_hold_what_they_may_pull_alone() {
    let whole = web(&store(true).await, ServiceState::Ready);
    let open = web(&store(false).await, ServiceState::Ready);
    let viewer = bearer(Some("bob"), vec![Access::to_pull(name("open/app"))]);
    let all = items(&whole, &Viewer::Unrestricted, BY_SIZE, 9).await;
    assert_eq!(all[0]["items"].as_array().unwrap().len(), 3);
    for sort in ["name", "last_push", "last_pull", "size", "tags"] {
        for order in ["asc", "desc"] {
            let path = format!("/api/v1/repositories?group_by=namespace&sort={sort}&order={order}");
            for limit in [1, 9] {
                let seen = items(&whole, &viewer, &path, limit).await;
                let expected = items(&open, &Viewer::Unrestricted, &path, limit).await;
                assert_eq!(seen, expected, "{path} n={limit}");
                assert_eq!(seen[0]["items"][0]["repositories"], 1);
            }
        }
    }
    for nobody in [Viewer::Anonymous, bearer(None, Vec::new()), bearer(Some("eve"), vec![Access::Catalog])] {
        assert_eq!(items(&whole, &nobody, BY_SIZE, 9).await[0]["items"], json!([]));
    }
    // Those who see all of it are told the same, whatever others were told.
    let administrator = bearer(Some("root"), vec![Access::Admin]);
    assert_eq!(items(&whole, &administrator, BY_SIZE, 9).await, all);
}

#[tokio::test(start_paused = true)]
async fn what_was_found_is_told_with_its_age_for_five_minutes_to_those_with_the_same_rights() {
    let store = Arc::new(MemoryStore::default());
    push_layers(&store, "a/b", "image", &["base layer"]).await;
    let state = web(&store, ServiceState::Ready);
    let told = async |viewer: &Viewer| {
        let (status, body) = ask(&state, viewer, BY_SIZE).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        (body["items"].as_array().unwrap().len(), body["age_seconds"].as_u64().unwrap())
    };
    let of = |subject, names: &[&str]| {
        bearer(Some(subject), names.iter().map(|repository| Access::to_pull(name(repository))).collect())
    };
    let (one, both) = (["a/b"], ["a/b", "c/d"]);
    assert_eq!(told(&of("bob", &both)).await, (1, 0));
    assert_eq!(told(&of("bob", &one)).await, (1, 0));
    push_layers(&store, "c/d", "other", &[]).await;
    tokio::time::advance(Duration::from_secs(299)).await;
    assert_eq!(told(&of("bob", &both)).await, (1, 299));
    assert_eq!(told(&of("eve", &both)).await, (1, 299), "of equal rights");
    assert_eq!(told(&Viewer::Unrestricted).await, (2, 0));
    assert_eq!(told(&of("bob", &one)).await, (1, 299));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(told(&of("bob", &both)).await, (2, 0));
    assert_eq!(told(&of("bob", &one)).await, (1, 0));
    assert_eq!(told(&Viewer::Unrestricted).await, (2, 1));
}

#[tokio::test]
async fn who_leaves_while_namespaces_are_read_has_not_asked_in_vain() {
    let store = Arc::new(MemoryStore::default());
    push_layers(&store, "a/b", "image", &["base layer"]).await;
    let state = web(&store, ServiceState::Ready);
    {
        let mut asking = Box::pin(ask(&state, &Viewer::Unrestricted, BY_SIZE));
        assert!(futures_util::poll!(&mut asking).is_pending());
    }
    push_layers(&store, "c/d", "other", &[]).await;
    let (_, body) = ask(&state, &Viewer::Unrestricted, BY_SIZE).await;
    let (_, again) = ask(&state, &Viewer::Unrestricted, BY_SIZE).await;
    assert_eq!(body["items"], again["items"]);
}
