//! What the store's tests write, and a naive model of what the record must then hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Actor, Change, Event, EventKind, Missing, RepositoryRecord, Sequence, Source};
use crate::clock::Timestamp;
use crate::oci::{
    Descriptor, Digest, Document, Manifest, ManifestKind, MediaType, Platform, RepositoryName, Tag,
};

pub(super) fn repository(name: &str) -> RepositoryName {
    RepositoryName::parse(name).unwrap()
}

pub(super) fn tag(name: &str) -> Tag {
    Tag::parse(name).unwrap()
}

pub(super) fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_milliseconds(milliseconds)
}

pub(super) fn alice() -> Actor {
    Actor {
        user: Some("alice".into()),
        address: Some([192, 0, 2, 7].into()),
        agent: Some("docker/28.0".into()),
    }
}

/// That the tag of this number was deleted.
pub(super) fn deletion_of_tag(number: usize, source: Source, time: Timestamp) -> Event {
    Event {
        sequence: Sequence::new(number as u64),
        time,
        kind: EventKind::TagDeleted,
        source,
        repository: repository("r"),
        tag: Some(tag(&format!("t{number}"))),
        digest: None,
        previous: None,
        media_type: None,
        actor: alice(),
    }
}

/// A blob whose digest and size come from its name.
pub(super) fn blob(name: &str) -> Descriptor {
    Descriptor {
        media_type: MediaType::from("application/octet-stream"),
        digest: Digest::sha256(name.as_bytes()),
        size: 1_000 + name.bytes().map(u64::from).sum::<u64>(),
        platform: None,
        artifact_type: None,
        annotations: BTreeMap::new(),
    }
}

/// An image with this configuration and these layers.
pub(super) fn image(config: &str, layers: &[&str]) -> Manifest {
    let bytes = Bytes::from(format!("{{\"config\":{config:?},\"layers\":{layers:?}}}"));
    Manifest {
        digest: Digest::sha256(&bytes),
        document: Document {
            kind: ManifestKind::Image,
            config: Some(blob(config)),
            layers: layers.iter().map(|name| blob(name)).collect(),
            artifact_type: Some(MediaType::from("application/vnd.example.config.v1+json")),
            annotations: BTreeMap::from([("org.example.name".to_owned(), config.to_owned())]),
            ..Document::unread(MediaType::OCI_MANIFEST.into(), bytes.len() as u64)
        },
        bytes,
    }
}

/// An image about another manifest.
pub(super) fn referrer(config: &str, subject: &Manifest) -> Manifest {
    let about = Descriptor {
        media_type: subject.document.media_type.clone(),
        digest: subject.digest.clone(),
        size: subject.size(),
        ..blob(config)
    };
    let mut referrer = image(config, &[]);
    referrer.document.subject = Some(about);
    referrer
}

/// An index of two platforms.
pub(super) fn index(children: [&Manifest; 2]) -> Manifest {
    let child = |manifest: &Manifest, architecture: &str| Descriptor {
        media_type: manifest.document.media_type.clone(),
        digest: manifest.digest.clone(),
        size: manifest.size(),
        platform: Some(Platform {
            os: "linux".into(),
            architecture: architecture.into(),
            variant: (architecture == "arm64").then(|| "v8".into()),
        }),
        ..blob("child")
    };
    let children = vec![child(children[0], "amd64"), child(children[1], "arm64")];
    let bytes = Bytes::from(format!("{{\"manifests\":{:?}}}", children.len()));
    Manifest {
        digest: Digest::sha256(&bytes),
        document: Document {
            media_type: MediaType::from(MediaType::OCI_INDEX),
            kind: ManifestKind::Index,
            size: bytes.len() as u64,
            config: None,
            children,
            ..image("index", &[]).document
        },
        bytes,
    }
}

pub(super) fn put(name: &str, manifest: &Manifest, tags: &[&str]) -> Change {
    Change::ManifestPut {
        repository: repository(name),
        manifest: Arc::new(manifest.clone()),
        tags: tags.iter().map(|name| tag(name)).collect(),
    }
}

pub(super) fn tag_deleted(name: &str, gone: &str) -> Change {
    Change::TagDeleted { repository: repository(name), tag: tag(gone) }
}

pub(super) fn manifest_deleted(name: &str, gone: &Manifest) -> Change {
    Change::ManifestDeleted {
        repository: repository(name),
        digest: gone.digest.clone(),
        undecided: Vec::new(),
    }
}

pub(super) fn repository_gone(name: &str) -> Change {
    Change::RepositoryGone { repository: repository(name) }
}

pub(super) fn repository_found(name: &str) -> Change {
    Change::RepositoryFound { repository: repository(name) }
}

/// What a registry holds, kept in the simplest way.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub repositories: BTreeMap<RepositoryName, ModelRepository>,
    /// When repositories that went around the door were pushed to last.
    pub past: BTreeMap<RepositoryName, Option<Timestamp>>,
}

/// A repository of the model.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelRepository {
    pub manifests: BTreeMap<Digest, Arc<Manifest>>,
    pub tags: BTreeMap<Tag, Digest>,
    pub last_push: Option<Timestamp>,
}

impl Model {
    /// Applies a change. Answers how many events it has to make.
    pub fn apply(&mut self, change: &Change, source: Source, now: Timestamp) -> usize {
        let observed = source == Source::Observed;
        match change {
            Change::ManifestPut { repository, manifest, tags } => {
                let held = self.known(repository);
                let digest = &manifest.digest;
                let is_new = held.manifests.insert(digest.clone(), Arc::clone(manifest)).is_none();
                let tags: BTreeSet<&Tag> = tags.iter().collect();
                let mut events = usize::from(tags.is_empty() && (observed || is_new));
                for tag in tags {
                    let before = held.tags.insert(tag.clone(), digest.clone());
                    events += usize::from(observed || is_new || before.as_ref() != Some(digest));
                }
                if observed {
                    held.last_push = Some(now);
                }
                events
            }
            // What was deleted through the door is told of, whether or not the record had it.
            Change::TagDeleted { repository, tag } => {
                let held = self.repositories.get_mut(repository);
                usize::from(held.is_some_and(|held| held.tags.remove(tag).is_some()) || observed)
            }
            Change::ManifestDeleted { repository, digest, undecided } => {
                let nothing = usize::from(observed);
                let Some(held) = self.repositories.get_mut(repository) else { return nothing };
                // Tags of it may have stayed when it was deleted before.
                if held.manifests.remove(digest).is_none() && !observed {
                    return 0;
                }
                let before = held.tags.len();
                held.tags.retain(|tag, pointed| pointed != digest || undecided.contains(tag));
                1 + before - held.tags.len()
            }
            Change::RepositoryFound { repository } => {
                let known = self.repositories.contains_key(repository);
                self.known(repository);
                usize::from(!known)
            }
            Change::RepositoryGone { repository } => {
                let Some(gone) = self.repositories.remove(repository) else { return 0 };
                self.past.remove(repository);
                if !observed {
                    self.past.insert(repository.clone(), gone.last_push);
                }
                1
            }
            Change::ReferenceMissing { .. } | Change::ReferencePresent { .. } => 0,
        }
    }

    fn known(&mut self, repository: &RepositoryName) -> &mut ModelRepository {
        let past = self.past.remove(repository).flatten();
        let new = || ModelRepository { last_push: past, ..ModelRepository::default() };
        self.repositories.entry(repository.clone()).or_insert_with(new)
    }

    /// What the record must say about each repository, counted from scratch.
    pub fn records(&self) -> Vec<RepositoryRecord> {
        let record = |(name, held): (&RepositoryName, &ModelRepository)| {
            let manifests = held.manifests.values();
            let blobs: BTreeMap<&Digest, u64> = manifests
                .clone()
                .flat_map(|manifest| manifest.document.layers.iter().chain(&manifest.document.config))
                .map(|blob| (&blob.digest, blob.size))
                .collect();
            RepositoryRecord {
                name: name.clone(),
                tags: held.tags.len() as u64,
                manifests: held.manifests.len() as u64,
                bytes: manifests.map(|manifest| manifest.size()).sum::<u64>() + blobs.values().sum::<u64>(),
                last_push: held.last_push,
                last_pull: None,
                pulls: 0,
                missing: Missing::default(),
            }
        };
        self.repositories.iter().map(record).collect()
    }
}

/// Any change about a few repositories, tags and manifests that share layers, and any way of learning it.
pub(super) fn any_change() -> impl Strategy<Value = (Change, Source)> {
    let name = prop::sample::select(vec!["a", "a/b", "a-b"]);
    let tags = prop::collection::vec(prop::sample::select(vec!["t1", "t2", "t3"]), 0..4);
    let undecided = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(prop::sample::select(vec!["t1", "t2", "t3"]), 1..3),
    ];
    let one_tag = prop::sample::select(vec!["t1", "t2", "t3"]);
    let first = image("one", &["base", "x"]);
    let second = image("two", &["base", "x", "x", "y"]);
    let about = referrer("three", &first);
    let both = index([&first, &second]);
    let manifest = prop::sample::select(vec![first, second, about, both]);
    let source =
        prop::sample::select(vec![Source::Observed, Source::Verified, Source::Swept, Source::Hinted]);
    let change = prop_oneof![
        6 => (name.clone(), manifest.clone(), tags).prop_map(|(name, manifest, tags)| put(name, &manifest, &tags)),
        3 => (name.clone(), one_tag).prop_map(|(name, tag)| tag_deleted(name, tag)),
        3 => (name.clone(), manifest, undecided).prop_map(|(name, manifest, undecided)| Change::ManifestDeleted {
            repository: repository(name),
            digest: manifest.digest,
            undecided: undecided.into_iter().map(tag).collect(),
        }),
        1 => name.clone().prop_map(repository_found),
        1 => name.prop_map(repository_gone),
    ];
    (change, source)
}
