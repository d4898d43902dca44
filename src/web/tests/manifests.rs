//! A manifest as it is shown. Reading manifests is bounded: in how many answers do so at a time, and in how many parts each looks at.

use super::*;
use crate::web::manifest_reader::{ManifestReader, WholeSize};
use crate::web::manifest_turns::ManifestTurns;

/// An index of these manifests, each of which stands there as often as it is named.
async fn push_index(store: &MemoryStore, text: &'static str, parts: &[String]) {
    let mut index = manifest(text);
    index.document.kind = ManifestKind::Index;
    index.document.media_type = MediaType::OCI_INDEX.into();
    let part = |name: &String| Descriptor { media_type: MediaType::OCI_MANIFEST.into(), ..descriptor(name) };
    index.document.children = parts.iter().map(part).collect();
    push(store, &app(), index, &[text]).await;
}

/// So many images of seven bytes, each with a layer of its own of ten bytes.
async fn push_parts(store: &MemoryStore, begin: &str, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("{begin}-{number:06}")).collect();
    for name in &names {
        let mut image = manifest("part");
        image.digest = digest(name);
        image.document.layers = vec![Descriptor { size: 10, ..descriptor(&format!("layer of {name}")) }];
        push(store, &app(), image, &[]).await;
    }
    names
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
async fn the_size_of_an_index_counts_each_part_once_and_looks_at_a_bounded_number() {
    let store = Arc::new(MemoryStore::default());
    let few = push_parts(&store, "few", 3).await;
    let thrice: Vec<String> = few.iter().cycle().take(3_000).cloned().collect();
    push_index(&store, "thrice", &thrice).await;
    let many = push_parts(&store, "many", 100).await;
    push_index(&store, "many", &many).await;
    let state = web(&store, ServiceState::Ready);
    let mut reader = ManifestReader::wait(&state).await.unwrap();
    let size = reader.size_of(&app(), &digest("thrice")).await.unwrap();
    assert_eq!(size, Some(WholeSize { bytes: 7 + 3 * 17, is_least: false }));
    let document = reader.one(&app(), Reference::Digest(digest("many"))).await.unwrap().record.document;
    let sizes = reader.sizes(&app(), &document).await.unwrap();
    assert_eq!(sizes.whole, WholeSize { bytes: 7 + 64 * 17, is_least: true });
    assert_eq!(sizes.parts.len(), 64);
    assert_eq!(sizes.parts[&digest("many-000000")], 17);
}

#[tokio::test]
async fn all_sizes_of_one_answer_have_one_budget() {
    let store = Arc::new(MemoryStore::default());
    let parts = push_parts(&store, "part", 60).await;
    const INDEXES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    for name in INDEXES {
        push_index(&store, name, &parts).await;
    }
    let state = web(&store, ServiceState::Ready);
    let mut reader = ManifestReader::wait(&state).await.unwrap();
    let mut known = Vec::new();
    for name in INDEXES {
        known.push(reader.size_of(&app(), &digest(name)).await.unwrap());
    }
    let whole = WholeSize { bytes: 7 + 60 * 17, is_least: false };
    assert_eq!(known[..8], [Some(whole); 8], "61 manifests are read for each");
    assert!(known[8].is_some_and(|size| size.is_least && size.bytes < whole.bytes), "{known:?}");
    assert_eq!(known[9..], [None; 3]);
    drop(reader);
    let (status, page) = ask(&state, "/ui/repository?name=team/app").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(page.matches(">at least</span>").count(), 4, "{page}");
}

async fn ask(state: &WebState, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = door_router(state.clone()).oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn who_reads_manifests_waits_for_a_turn_and_is_told_when_none_comes() {
    let store = filled().await;
    let full =
        WebState { manifest_turns: Arc::new(ManifestTurns::none()), ..web(&store, ServiceState::Ready) };
    for path in ["/api/v1/manifests?repository=team/app", "/api/v1/manifests?repository=team/app&tag=latest"]
    {
        let (status, body) = ask(&full, path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {body}");
        assert!(body.contains("too_many_manifests"), "{path}: {body}");
    }
    for page in [
        "/ui/manifest?repository=team/app&tag=latest",
        "/ui/compare?repository=team/app&from=latest&to=latest",
        "/ui/repository?name=team/app",
    ] {
        let (status, body) = ask(&full, page).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{page}: {body}");
        assert!(body.contains("Too many answers about manifests are being made"), "{page}: {body}");
    }
    // Turns are given back: more answers are made, one after the other, than there are turns.
    let state = web(&store, ServiceState::Ready);
    for _ in 0..12 {
        let (status, body) = ask(&state, "/ui/manifest?repository=team/app&tag=latest").await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
}
