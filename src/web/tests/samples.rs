//! What the tests put into their stores.

use super::*;
use crate::oci::Document;
use crate::store::{Actor, Guard, Outcome, Pull, Pulls as _, Recorded};

pub(super) fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

pub(super) fn app() -> RepositoryName {
    name("team/app")
}

pub(super) fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

pub(super) fn time() -> Timestamp {
    Timestamp::from_milliseconds(1_000)
}

/// Who pushes and deletes.
pub(super) fn client() -> Actor {
    Actor {
        user: Some("alice".to_owned()),
        address: Some("192.0.2.1".parse().unwrap()),
        agent: Some("docker".to_owned()),
    }
}

pub(super) fn descriptor(text: &str) -> Descriptor {
    Descriptor {
        media_type: "application/x".into(),
        digest: digest(text),
        size: text.len() as u64,
        platform: None,
        artifact_type: None,
        annotations: Default::default(),
    }
}

/// An image of seven bytes that names nothing.
pub(super) fn manifest(text: &'static str) -> Manifest {
    Manifest {
        bytes: text.into(),
        digest: digest(text),
        document: Document {
            kind: ManifestKind::Image,
            ..Document::unread(MediaType::OCI_MANIFEST.into(), 7)
        },
    }
}

/// A store with one image that was pushed to [`app`].
pub(super) async fn filled() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    push(&store, &app(), manifest("image"), &["latest"]).await;
    store
}

async fn carry(store: &MemoryStore, write: Write, change: Change, repository: &RepositoryName) {
    let intent = store.begin(repository.clone(), write, client(), time()).await.unwrap();
    store.settle(&intent, Outcome::Applied(vec![change]), time()).await.unwrap();
}

/// The client pushes a manifest through the door.
pub(super) async fn push(
    store: &MemoryStore,
    repository: &RepositoryName,
    manifest: Manifest,
    tags: &[&str],
) {
    let tags: Vec<Tag> = tags.iter().map(|tag| Tag::parse(tag).unwrap()).collect();
    let write = Write::Put { digest: manifest.digest.clone(), tags: tags.clone() };
    let put = Change::ManifestPut { repository: repository.clone(), manifest: Arc::new(manifest), tags };
    carry(store, write, put, repository).await;
}

/// The client deletes a tag through the door.
pub(super) async fn delete(store: &MemoryStore, repository: &RepositoryName, tag: &str) {
    let tag = Tag::parse(tag).unwrap();
    let write = Write::Delete { reference: Reference::Tag(tag.clone()) };
    carry(store, write, Change::TagDeleted { repository: repository.clone(), tag }, repository).await;
}

/// A sweep finds something.
pub(super) async fn find(store: &MemoryStore, change: Change) {
    let guard = Guard { reference: None, since: store.sequence().await.unwrap(), lease: None };
    let recorded = store.record(vec![change], Source::Swept, guard, time()).await.unwrap();
    assert_ne!(recorded, Recorded::Superseded);
}

/// Somebody pulls.
pub(super) async fn pull(store: &MemoryStore, repository: &RepositoryName, tag: Option<&str>, count: u64) {
    let tag = tag.map(|tag| Tag::parse(tag).unwrap());
    let pull =
        Pull { repository: repository.clone(), tag, count, last_pull: Some(time()), last_seen: time() };
    store.record_pulls(vec![pull]).await.unwrap();
}
