//! Manifests as the API tells them, whole and in lists.

use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::oci::{BuildStep, Descriptor, Digest, Document, ImageConfig, ManifestKind, MediaType, Tag};
use crate::store::{ManifestRecord, Page, Source};

/// A manifest as it is recorded, whole or in a list.
#[derive(Debug)]
pub(super) struct ManifestItem {
    pub(super) record: ManifestRecord,
    /// Not in a list, and neither are the layers.
    pub(super) referrers: Option<Referrers>,
}

/// A manifest as it is recorded. `layers`, `referrers` and `referrers_next` are not in lists.
#[derive(ToSchema)]
#[expect(dead_code, reason = "`ManifestItem` writes this; this describes it")]
pub(super) struct Manifest {
    digest: Digest,
    media_type: MediaType,
    kind: ManifestKind,
    /// In bytes.
    size: u64,
    #[schema(required)]
    config: Option<Descriptor>,
    #[schema(required = false)]
    layers: Vec<Descriptor>,
    children: Vec<Descriptor>,
    #[schema(required)]
    subject: Option<Descriptor>,
    #[schema(required)]
    artifact_type: Option<MediaType>,
    annotations: BTreeMap<String, String>,
    tags: Vec<Tag>,
    #[schema(required = false)]
    referrers: Vec<Referrer>,
    /// The `after` for the next referrers.
    referrers_next: Option<Digest>,
    /// When the door carried the push; nothing where it did not.
    #[schema(required)]
    pushed_at: Option<Timestamp>,
    /// When it was found, where the door did not carry the push.
    #[schema(required)]
    found_at: Option<Timestamp>,
    source: Source,
    /// What the configuration of an image says, once it was read.
    #[schema(required)]
    image: Option<ImageItem<'static>>,
    /// Since when the registry denies it, if it does.
    #[schema(required)]
    missing_since: Option<Timestamp>,
}

/// The first of those that refer to a manifest. Not in a list.
#[derive(Debug)]
pub(super) struct Referrers {
    pub(super) first: Vec<Referrer>,
    /// What to give as `after`, with the manifest as `subject`, for the next ones.
    pub(super) next: Option<Digest>,
}

/// A manifest whose subject is the one that is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Referrer {
    pub(super) digest: Digest,
    media_type: MediaType,
    pub(super) artifact_type: Option<MediaType>,
    pub(super) size: u64,
    pub(super) annotations: BTreeMap<String, String>,
}

impl From<ManifestRecord> for Referrer {
    fn from(record: ManifestRecord) -> Self {
        let Document { media_type, artifact_type, size, annotations, .. } = record.document;
        Self { digest: record.digest, media_type, artifact_type, size, annotations }
    }
}

impl From<Page<ManifestRecord, Digest>> for Referrers {
    fn from(page: Page<ManifestRecord, Digest>) -> Self {
        Self { first: page.items.into_iter().map(Referrer::from).collect(), next: page.next }
    }
}

impl From<ManifestRecord> for ManifestItem {
    /// As it stands in a list.
    fn from(record: ManifestRecord) -> Self {
        Self { record, referrers: None }
    }
}

impl Serialize for ManifestItem {
    /// What is not there is `null`, other than in the store.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ManifestRecord { digest, document, tags, pushed_at, found_at, source, missing, image } =
            &self.record;
        let Document {
            media_type,
            kind,
            size,
            config,
            layers,
            children,
            subject,
            artifact_type,
            annotations,
        } = document;
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("digest", digest)?;
        fields.serialize_entry("media_type", media_type)?;
        fields.serialize_entry("kind", kind)?;
        fields.serialize_entry("size", size)?;
        fields.serialize_entry("config", config)?;
        if self.referrers.is_some() {
            fields.serialize_entry("layers", layers)?;
        }
        fields.serialize_entry("children", children)?;
        fields.serialize_entry("subject", subject)?;
        fields.serialize_entry("artifact_type", artifact_type)?;
        fields.serialize_entry("annotations", annotations)?;
        fields.serialize_entry("tags", tags)?;
        if let Some(Referrers { first, next }) = &self.referrers {
            fields.serialize_entry("referrers", first)?;
            fields.serialize_entry("referrers_next", next)?;
        }
        fields.serialize_entry("pushed_at", pushed_at)?;
        fields.serialize_entry("found_at", found_at)?;
        fields.serialize_entry("source", source)?;
        let is_whole = self.referrers.is_some();
        let image = image.as_ref().map(|config| ImageItem::of(config, is_whole));
        fields.serialize_entry("image", &image)?;
        fields.serialize_entry("missing_since", &missing.map(|mark| mark.since))?;
        fields.end()
    }
}

/// What an image says of itself.
#[derive(Debug, Serialize, ToSchema)]
struct ImageItem<'a> {
    /// As `os/architecture[/variant]`.
    platform: Option<String>,
    os_version: Option<&'a str>,
    created: Option<Timestamp>,
    author: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    user: Option<&'a str>,
    working_directory: Option<&'a str>,
    entry_point: &'a [String],
    command: &'a [String],
    exposed_ports: &'a [String],
    /// Not in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<BuildStepItem<'a>>>,
    /// Whether the image says more than is kept.
    is_cut: bool,
}

/// One step of how an image was made.
#[derive(Debug, Serialize, ToSchema)]
struct BuildStepItem<'a> {
    created: Option<Timestamp>,
    command: Option<&'a str>,
    comment: Option<&'a str>,
    is_empty_layer: bool,
}

impl<'a> ImageItem<'a> {
    fn of(config: &'a ImageConfig, is_whole: bool) -> Self {
        let time = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse);
        let step = |step: &'a BuildStep| BuildStepItem {
            created: time(&step.created),
            command: step.command.as_deref(),
            comment: step.comment.as_deref(),
            is_empty_layer: step.is_empty_layer,
        };
        Self {
            platform: config.platform.as_ref().map(ToString::to_string),
            os_version: config.os_version.as_deref(),
            created: time(&config.created),
            author: config.author.as_deref(),
            labels: &config.labels,
            user: config.user.as_deref(),
            working_directory: config.working_directory.as_deref(),
            entry_point: &config.entry_point,
            command: &config.command,
            exposed_ports: &config.exposed_ports,
            history: is_whole.then(|| config.history.iter().map(step).collect()),
            is_cut: config.is_cut,
        }
    }
}
