//! The rows of a record, each with its key. What a backend keeps beside them, such as indexes and sums, follows from them.

use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::{Estimate, Timestamp};
use crate::oci::{Digest, Document, ImageConfig, Reference, RepositoryName, Tag};
use crate::store::day::DayRow;
use crate::store::row::{BlobRow, HintRow, ManifestRow, RepositoryRow, TagRow};
use crate::store::tombstone::Tombstone;
use crate::store::{AuthEvent, Epoch, Event, Intent, Sequence, SweepQueue};

/// The rows of one kind. A record is written part by part in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::store) enum Part {
    Numbers,
    Epochs,
    Events,
    Intents,
    Repositories,
    Tags,
    Manifests,
    Blobs,
    Images,
    Tombstones,
    DeletedManifests,
    Days,
    Hints,
    Accounts,
    AuthEvents,
    Sweep,
    Marks,
}

impl Part {
    /// All of them, in their order.
    pub(in crate::store) const ALL: [Self; 17] = [
        Self::Numbers,
        Self::Epochs,
        Self::Events,
        Self::Intents,
        Self::Repositories,
        Self::Tags,
        Self::Manifests,
        Self::Blobs,
        Self::Images,
        Self::Tombstones,
        Self::DeletedManifests,
        Self::Days,
        Self::Hints,
        Self::Accounts,
        Self::AuthEvents,
        Self::Sweep,
        Self::Marks,
    ];
}

/// One row. It stands in a file as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::store) enum Row {
    /// What there is once.
    Numbers(Singles),
    /// The name of an epoch, and the last number before it.
    Epoch {
        before: Sequence,
        epoch: Epoch,
    },
    Event(Event),
    /// How far it is does not belong to it: who finds it does not know its outcome.
    Intent(Intent),
    Repository {
        name: RepositoryName,
        row: RepositoryRow,
    },
    Tag {
        repository: RepositoryName,
        tag: Tag,
        row: TagRow,
    },
    Manifest {
        repository: RepositoryName,
        digest: Digest,
        row: ManifestRow,
        document: Box<Document>,
        bytes: Content,
    },
    Blob {
        repository: RepositoryName,
        digest: Digest,
        row: BlobRow,
    },
    Image {
        repository: RepositoryName,
        digest: Digest,
        config: Option<Box<ImageConfig>>,
    },
    /// Of the repository itself, which is `@`, or of a tag or a manifest.
    Tombstone {
        repository: RepositoryName,
        buried: String,
        tombstone: Box<Tombstone>,
    },
    DeletedManifest {
        repository: RepositoryName,
        digest: Digest,
        at: Timestamp,
        document: Box<Document>,
        bytes: Content,
    },
    Day {
        day: u64,
        row: Box<DayRow>,
    },
    Hint {
        repository: RepositoryName,
        reference: Reference,
        row: HintRow,
    },
    Account {
        kind: String,
        key: String,
        content: Content,
    },
    AuthEvent {
        number: Sequence,
        event: AuthEvent,
    },
    /// What is kept of sweeps, by name.
    Sweep {
        name: String,
        content: Content,
    },
    /// A piece of the marks of a sweep. Pieces are numbered from 1 on.
    Marks {
        piece: u64,
        marks: Vec<u64>,
    },
}

/// What there is once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct Singles {
    pub identity: Epoch,
    /// The last number that was given out.
    pub sequence: Sequence,
    /// What was marked as missing up to this number is accepted as gone.
    pub accepted: Sequence,
    pub last_hint: u64,
    pub last_auth_event: Sequence,
    pub images_read_until: Sequence,
    pub sweeps: SweepQueue,
    pub clock: Option<Estimate>,
    pub time: Option<Timestamp>,
}

/// Any bytes: in a file a text if they are one, so that it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Content(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Shown<'a> {
    Text(std::borrow::Cow<'a, str>),
    Bytes { base64: String },
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Shown::Text(text.into()),
            Err(_) => Shown::Bytes { base64: STANDARD.encode(&self.0) },
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Shown::deserialize(deserializer)? {
            Shown::Text(text) => text.into_owned().into_bytes(),
            Shown::Bytes { base64 } => STANDARD.decode(base64).map_err(serde::de::Error::custom)?,
        }))
    }
}

/// Where a row stands within its part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Key<'a> {
    Only,
    Number(u64),
    Name(&'a str),
    Names(&'a str, &'a str),
}

impl Row {
    /// The part that it belongs to.
    pub(in crate::store) const fn part(&self) -> Part {
        match self {
            Self::Numbers(_) => Part::Numbers,
            Self::Epoch { .. } => Part::Epochs,
            Self::Event(_) => Part::Events,
            Self::Intent(_) => Part::Intents,
            Self::Repository { .. } => Part::Repositories,
            Self::Tag { .. } => Part::Tags,
            Self::Manifest { .. } => Part::Manifests,
            Self::Blob { .. } => Part::Blobs,
            Self::Image { .. } => Part::Images,
            Self::Tombstone { .. } => Part::Tombstones,
            Self::DeletedManifest { .. } => Part::DeletedManifests,
            Self::Day { .. } => Part::Days,
            Self::Hint { .. } => Part::Hints,
            Self::Account { .. } => Part::Accounts,
            Self::AuthEvent { .. } => Part::AuthEvents,
            Self::Sweep { .. } => Part::Sweep,
            Self::Marks { .. } => Part::Marks,
        }
    }

    /// Its place there.
    pub(in crate::store) fn key(&self) -> Key<'_> {
        match self {
            Self::Numbers(_) => Key::Only,
            Self::Epoch { before, .. } => Key::Number(before.get()),
            Self::Event(event) => Key::Number(event.sequence.get()),
            Self::Intent(intent) => Key::Number(intent.sequence.get()),
            Self::Repository { name, .. } => Key::Name(name.as_str()),
            Self::Tag { repository, tag, .. } => Key::Names(repository.as_str(), tag.as_str()),
            Self::Manifest { repository, digest, .. }
            | Self::Blob { repository, digest, .. }
            | Self::Image { repository, digest, .. }
            | Self::DeletedManifest { repository, digest, .. } => {
                Key::Names(repository.as_str(), digest.as_str())
            }
            Self::Tombstone { repository, buried, .. } => Key::Names(repository.as_str(), buried),
            Self::Day { day, .. } => Key::Number(*day),
            Self::Hint { repository, reference, .. } => Key::Names(repository.as_str(), reference.as_str()),
            Self::Account { kind, key, .. } => Key::Names(kind, key),
            Self::AuthEvent { number, .. } => Key::Number(number.get()),
            Self::Sweep { name, .. } => Key::Name(name),
            Self::Marks { piece, .. } => Key::Number(*piece),
        }
    }

    /// Whether it comes behind another one, in the order in which records are written.
    pub(in crate::store) fn is_behind(&self, other: &Self) -> bool {
        self.part().cmp(&other.part()).then_with(|| self.key().cmp(&other.key())) == Ordering::Greater
    }

    /// The two names of its key, or as much of them as there is.
    pub(in crate::store) fn names(&self) -> (&str, &str) {
        match self.key() {
            Key::Names(first, second) => (first, second),
            Key::Name(name) => (name, ""),
            Key::Only | Key::Number(_) => ("", ""),
        }
    }

    /// The number of its key.
    pub(in crate::store) fn number(&self) -> Option<u64> {
        match self.key() {
            Key::Number(number) => Some(number),
            Key::Only | Key::Name(_) | Key::Names(..) => None,
        }
    }

    /// What of it no backend could keep.
    pub(in crate::store) fn fault(&self) -> Option<&'static str> {
        let has_nul = |text: &str| text.contains('\0');
        match self {
            Self::Numbers(singles) if singles.sequence.get() > MAXIMUM => Some("a number that is too large"),
            Self::Tombstone { buried, .. } if buried != "@" && Reference::parse(buried).is_err() => {
                Some("a tombstone of nothing")
            }
            Self::Account { kind, .. } if has_nul(kind) => Some("a kind of account with a NUL in it"),
            Self::Sweep { name, .. } if has_nul(name) => Some("a name with a NUL in it"),
            _ => self.number().is_some_and(|number| number > MAXIMUM).then_some("a number that is too large"),
        }
    }
}

/// The largest number that every backend keeps in its order.
const MAXIMUM: u64 = i64::MAX as u64;
