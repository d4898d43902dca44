//! What the tests put into their stores.

use super::*;
use crate::clock::Timestamp;
use crate::oci::{
    Descriptor, Digest, Document, ImageConfig, Manifest, ManifestKind, MediaType, Platform, Reference, Tag,
};
use crate::store::{
    Actor, Change, Guard, Images as _, Ledger as _, Outcome, Pull, Pulls as _, ReadImage, Source, Write,
};

/// Names that have one another in them.
pub(super) const REPOSITORIES: [&str; 5] = ["a", "a/b", "a-b", "b/a-a", "b/abcdef"];
/// The same of tags; one of them reads like a digest.
const TAGS: [&str; 6] = ["v1", "v1.2", "1v", "latest", "abcdef", "a-a"];

pub(super) fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

pub(super) fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

pub(super) fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_milliseconds(milliseconds)
}

/// The digest of what is pushed to a repository at a time.
pub(super) fn digest(repository: &str, now: u64) -> Digest {
    manifest(&format!("{repository} {now}")).digest
}

/// The part of an index for a platform.
fn child(architecture: &str, variant: Option<&str>) -> Descriptor {
    Descriptor {
        media_type: MediaType::OCI_MANIFEST.into(),
        digest: Digest::sha256(b"child"),
        size: 5,
        platform: Some(Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }),
        artifact_type: None,
        annotations: Default::default(),
    }
}

/// A manifest that differs by its text, also in size and platforms.
fn manifest(text: &str) -> Manifest {
    let bytes = text.to_owned();
    let mut document = Document::unread(MediaType::OCI_INDEX.into(), bytes.len() as u64);
    document.kind = ManifestKind::Index;
    document.children = match text.bytes().map(u64::from).sum::<u64>() % 3 {
        0 => Vec::new(),
        1 => vec![child("amd64", None)],
        _ => vec![child("amd64", None), child("arm64", Some("v8"))],
    };
    document.annotations =
        [("team".to_owned(), text.to_owned()), ("other".to_owned(), "x".to_owned())].into();
    Manifest { digest: Digest::sha256(bytes.as_bytes()), bytes: bytes.into(), document }
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Something is there, as the door carried it or as it was found.
    Put { repository: &'static str, text: String, tags: Vec<&'static str>, source: Source },
    /// A tag is not.
    TagDeleted { repository: &'static str, tag: &'static str, source: Source },
    /// A manifest is not.
    ManifestDeleted { repository: &'static str, text: String, undecided: Vec<&'static str>, source: Source },
    /// A repository is found that holds nothing.
    Found { repository: &'static str },
    /// A repository is not there.
    Gone { repository: &'static str },
    /// Somebody pulls.
    Pulled { repository: &'static str, tag: Option<&'static str> },
}

/// Any of them.
pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let repository = || prop::sample::select(REPOSITORIES.to_vec());
    let tag = || prop::sample::select(TAGS.to_vec());
    let tags = move || prop::collection::vec(tag(), 0..4);
    let text = || prop::sample::select(vec!["one", "two", "three", "four"]).prop_map(str::to_owned);
    let source =
        || prop::sample::select(vec![Source::Observed, Source::Verified, Source::Swept, Source::Hinted]);
    prop_oneof![
        8 => (repository(), text(), tags(), source())
            .prop_map(|(repository, text, tags, source)| Step::Put { repository, text, tags, source }),
        3 => (repository(), tag(), source())
            .prop_map(|(repository, tag, source)| Step::TagDeleted { repository, tag, source }),
        2 => (repository(), text(), tags(), source())
            .prop_map(|(repository, text, undecided, source)| Step::ManifestDeleted { repository, text, undecided, source }),
        1 => repository().prop_map(|repository| Step::Found { repository }),
        1 => repository().prop_map(|repository| Step::Gone { repository }),
        3 => (repository(), prop::option::of(tag())).prop_map(|(repository, tag)| Step::Pulled { repository, tag }),
    ]
}

/// Has it happen.
pub(super) async fn take(store: &MemoryStore, step: &Step, now: u64) {
    let all = |tags: &[&str]| tags.iter().map(|text| tag(text)).collect::<Vec<_>>();
    let (change, source) = match step {
        Step::Put { repository, text, tags, source } => {
            let (repository, manifest, tags) = (name(repository), Arc::new(manifest(text)), all(tags));
            (Change::ManifestPut { repository, manifest, tags }, *source)
        }
        Step::TagDeleted { repository, tag: gone, source } => {
            (Change::TagDeleted { repository: name(repository), tag: tag(gone) }, *source)
        }
        Step::ManifestDeleted { repository, text, undecided, source } => {
            let (repository, digest, undecided) = (name(repository), manifest(text).digest, all(undecided));
            (Change::ManifestDeleted { repository, digest, undecided }, *source)
        }
        Step::Found { repository } => {
            (Change::RepositoryFound { repository: name(repository) }, Source::Swept)
        }
        Step::Gone { repository } => (Change::RepositoryGone { repository: name(repository) }, Source::Swept),
        Step::Pulled { repository, tag } => return pull(store, repository, *tag, now).await,
    };
    record(store, change, source, now).await;
}

async fn record(store: &MemoryStore, change: Change, source: Source, now: u64) {
    if source == Source::Observed {
        let write = Write::Delete { reference: Reference::Tag(tag("any")) };
        let intent = store.begin(name("any"), write, Actor::default(), at(now)).await.unwrap();
        store.settle(&intent, Outcome::Applied(vec![change]), at(now)).await.unwrap();
    } else {
        let reference = Some(Reference::Tag(tag("none")));
        let guard = Guard { reference, since: store.sequence().await.unwrap(), lease: None };
        store.record(vec![change], source, guard, at(now)).await.unwrap();
    }
}

/// The client pushes something new under these tags.
pub(super) async fn push(store: &MemoryStore, repository: &str, tags: &[&str], now: u64) {
    let change = Change::ManifestPut {
        repository: name(repository),
        manifest: Arc::new(manifest(&format!("{repository} {now}"))),
        tags: tags.iter().map(|text| tag(text)).collect(),
    };
    record(store, change, Source::Observed, now).await;
}

/// The client pushes an index whose platforms have names of so many bytes.
pub(super) async fn push_large(store: &MemoryStore, repository: &str, tags: &[&str], bytes: usize) {
    let mut manifest = manifest("large");
    manifest.document.children = vec![child(&"x".repeat(bytes), None)];
    let tags = tags.iter().map(|text| tag(text)).collect();
    let change = Change::ManifestPut { repository: name(repository), manifest: Arc::new(manifest), tags };
    record(store, change, Source::Observed, 1).await;
}

/// The manifest of a single image.
fn image() -> Manifest {
    let mut image = manifest("image");
    image.document.media_type = MediaType::OCI_MANIFEST.into();
    image.document.kind = ManifestKind::Image;
    image.document.children = Vec::new();
    image.document.annotations = [("own".to_owned(), "x".to_owned())].into();
    image
}

/// The client pushes a single image.
pub(super) async fn push_image(store: &MemoryStore, repository: &str, tags: &[&str]) {
    let tags = tags.iter().map(|text| tag(text)).collect();
    let change = Change::ManifestPut { repository: name(repository), manifest: Arc::new(image()), tags };
    record(store, change, Source::Observed, 1).await;
}

/// What that image says is read.
pub(super) async fn read_image(store: &MemoryStore, repository: &str) {
    let platform =
        Platform { os: "linux".to_owned(), architecture: "arm64".to_owned(), variant: Some("v8".to_owned()) };
    let labels = [("team".to_owned(), "blue".to_owned())].into();
    let config = Some(ImageConfig { platform: Some(platform), labels, ..ImageConfig::default() });
    let read = ReadImage { repository: name(repository), digest: image().digest, config };
    let until = store.sequence().await.unwrap();
    store.keep_images(vec![read], until).await.unwrap();
}

/// The client deletes a tag.
pub(super) async fn remove(store: &MemoryStore, repository: &str, gone: &str, now: u64) {
    let change = Change::TagDeleted { repository: name(repository), tag: tag(gone) };
    record(store, change, Source::Observed, now).await;
}

/// Somebody pulls.
pub(super) async fn pull(store: &MemoryStore, repository: &str, pulled: Option<&str>, now: u64) {
    let pull = Pull {
        repository: name(repository),
        tag: pulled.map(tag),
        count: 1,
        last_pull: Some(at(now)),
        last_seen: at(now),
    };
    store.record_pulls(vec![pull]).await.unwrap();
}
