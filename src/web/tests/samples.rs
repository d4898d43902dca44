//! What the tests put into their stores.

use super::*;
use crate::oci::{Descriptor, Document, ManifestKind, MediaType};
use crate::store::{Actor, EventKind, Source};

pub(super) fn app() -> RepositoryName {
    RepositoryName::parse("team/app").unwrap()
}

pub(super) fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

pub(super) fn time() -> Timestamp {
    Timestamp::from_milliseconds(1_000)
}

pub(super) fn repository(name: &str) -> RepositoryRecord {
    RepositoryRecord {
        name: RepositoryName::parse(name).unwrap(),
        tags: 1,
        manifests: 2,
        bytes: 3,
        last_push: Some(time()),
        last_pull: None,
        pulls: 4,
        missing: Default::default(),
    }
}

pub(super) fn tag(name: &str) -> TagRecord {
    TagRecord {
        tag: Tag::parse(name).unwrap(),
        digest: digest("image"),
        media_type: MediaType::OCI_INDEX.into(),
        bytes: 9,
        platforms: vec!["linux/amd64".to_owned()],
        pushed_at: time(),
        pushed_by: Some("alice".to_owned()),
        source: Source::Observed,
        sequence: Sequence::new(1),
        last_pull: Some(time()),
        pulls: 5,
        missing: None,
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

pub(super) fn manifest(text: &str) -> ManifestRecord {
    ManifestRecord {
        digest: digest(text),
        document: Document {
            kind: ManifestKind::Image,
            ..Document::unread(MediaType::OCI_MANIFEST.into(), 7)
        },
        tags: Vec::new(),
        pushed_at: time(),
        source: Source::Swept,
        missing: None,
    }
}

pub(super) fn event(sequence: u64) -> Event {
    Event {
        sequence: Sequence::new(sequence),
        time: time(),
        kind: EventKind::TagDeleted,
        source: Source::Verified,
        repository: app(),
        tag: Some(Tag::parse("latest").unwrap()),
        digest: Some(digest("image")),
        previous: None,
        media_type: None,
        actor: Actor {
            user: None,
            address: Some("192.0.2.1".parse().unwrap()),
            agent: Some("docker".to_owned()),
        },
    }
}
