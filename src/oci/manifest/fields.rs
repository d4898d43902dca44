//! The JSON of the known manifest types, as far as it is read. Only `Manifest::parse` calls this.
//!
//! Lenient where registries are (a list that Go wrote as `null`, a descriptor without size or media type, a field that
//! only newer specifications know in a shape that they do not): whether such a manifest is good enough is the registry's to
//! judge, and what is not told is recorded as absent. Strict where a document could pass for something else
//! (CVE-2021-41190), or be read in two ways.

use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny};

use super::descriptor::{Descriptor, Platform};
use super::document::{Document, ManifestKind};
use super::loose::{LooseText, LooseTexts};
use super::unambiguous;
use crate::oci::text::excerpt;
use crate::oci::{Digest, MediaType};

/// The types whose documents are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownType {
    /// OCI image manifest.
    Manifest,
    /// OCI index.
    Index,
    /// OCI artifact manifest.
    Artifact,
    /// Docker schema 2.
    DockerManifest,
    /// Docker manifest list.
    DockerList,
}

impl KnownType {
    pub(super) fn of(media_type: &str) -> Option<Self> {
        match media_type {
            MediaType::OCI_MANIFEST => Some(Self::Manifest),
            MediaType::OCI_INDEX => Some(Self::Index),
            MediaType::OCI_ARTIFACT => Some(Self::Artifact),
            MediaType::DOCKER_MANIFEST => Some(Self::DockerManifest),
            MediaType::DOCKER_LIST => Some(Self::DockerList),
            _ => None,
        }
    }

    pub(super) const fn is_index(self) -> bool {
        matches!(self, Self::Index | Self::DockerList)
    }
}

/// What a document says of its own type: its `mediaType`, and which of the telling fields it has.
#[derive(Debug, Deserialize)]
pub(super) struct Outline {
    #[serde(rename = "mediaType")]
    pub(super) media_type: Option<String>,
    #[serde(rename = "schemaVersion")]
    schema_version: Option<i64>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
    blobs: Option<IgnoredAny>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<IgnoredAny>,
}

impl Outline {
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        // serde would fill the struct from an array as well.
        let is_object = bytes.trim_ascii_start().first() == Some(&b'{');
        is_object.then(|| serde_json::from_slice(bytes).ok()).flatten()
    }

    /// Whether it has a `schemaVersion` and the members of some kind of manifest.
    pub(super) fn is_manifest(&self) -> bool {
        let has_members = [&self.layers, &self.manifests, &self.blobs, &self.fs_layers];
        self.schema_version.is_some() && has_members.into_iter().any(Option::is_some)
    }

    /// The type that the shape suggests, for a document that does not name its own.
    pub(super) fn suggests(&self) -> Option<&'static str> {
        match (&self.config, &self.layers, &self.manifests) {
            (Some(_), Some(_), None) => Some(MediaType::OCI_MANIFEST),
            (None, None, Some(_)) => Some(MediaType::OCI_INDEX),
            _ => None,
        }
    }
}

/// The top level of every known type together; which fields may be there is checked afterwards.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    schema_version: Option<i64>,
    media_type: Option<String>,
    config: Option<DescriptorFields>,
    layers: Option<Vec<DescriptorFields>>,
    blobs: Option<Vec<DescriptorFields>>,
    manifests: Option<Vec<DescriptorFields>>,
    fs_layers: Option<IgnoredAny>,
    subject: Option<SubjectFields>,
    #[serde(default)]
    artifact_type: LooseText,
    #[serde(default)]
    annotations: LooseTexts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorFields {
    media_type: Option<MediaType>,
    digest: Digest,
    #[serde(default, deserialize_with = "size")]
    size: u64,
    platform: Option<PlatformFields>,
    #[serde(default)]
    artifact_type: LooseText,
    #[serde(default)]
    annotations: LooseTexts,
}

/// A subject; one without a digest is none to registries that know of subjects, and nothing to others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubjectFields {
    media_type: Option<MediaType>,
    digest: Option<Digest>,
    #[serde(default, deserialize_with = "size")]
    size: u64,
    platform: Option<PlatformFields>,
    #[serde(default)]
    artifact_type: LooseText,
    #[serde(default)]
    annotations: LooseTexts,
}

/// A size is an `int64` (OCI image spec): a larger one is refused by Go, and so it is here. One that is not told, or
/// cannot be, is 0.
fn size<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size: Option<i64> = Option::deserialize(deserializer)?;
    Ok(size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default())
}

#[derive(Deserialize)]
struct PlatformFields {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

impl Document {
    /// Reads a document of this type. `Ok(Err(other))` when it calls itself something else.
    ///
    /// # Errors
    /// When it is not JSON, not of the type's shape, or could be read in two ways.
    pub(super) fn parse(
        bytes: &[u8],
        known: KnownType,
        media_type: &MediaType,
    ) -> Result<Result<Self, MediaType>, serde_json::Error> {
        // Go reads what is no UTF-8 as U+FFFD.
        let text = String::from_utf8_lossy(bytes);
        unambiguous::check(text.as_bytes())?;
        let fields: Fields = serde_json::from_str(&text)?;
        // An empty `mediaType` is none to Go.
        if let Some(own) =
            fields.media_type.as_deref().filter(|own| !own.is_empty() && *own != media_type.as_str())
        {
            return Ok(Err(MediaType::from(excerpt(own).as_str())));
        }
        if fields.schema_version.is_some_and(|version| version != 2) {
            return Err(serde_json::Error::custom("`schemaVersion` must be 2"));
        }
        let foreign = [
            ("config", fields.config.is_some(), known.is_index() || known == KnownType::Artifact),
            ("layers", fields.layers.is_some(), known.is_index() || known == KnownType::Artifact),
            ("blobs", fields.blobs.is_some(), known.is_index()),
            ("fsLayers", fields.fs_layers.is_some(), true),
            ("manifests", fields.manifests.is_some(), !known.is_index()),
        ];
        if let Some((name, ..)) =
            foreign.into_iter().find(|(_, is_there, is_foreign)| *is_there && *is_foreign)
        {
            let message = format!("`{name}` belongs to another type of document");
            return Err(serde_json::Error::custom(message));
        }
        if matches!(known, KnownType::Manifest | KnownType::DockerManifest) && fields.config.is_none() {
            return Err(serde_json::Error::missing_field("config"));
        }
        let layers = if known == KnownType::Artifact { fields.blobs } else { fields.layers };
        let config = fields.config.map(Descriptor::from);
        let artifact_type = match (fields.artifact_type.media_type(), &config) {
            (None, Some(config)) => filled(Some(config.media_type.clone())),
            (artifact_type, _) => artifact_type,
        };
        // Docker's types know no subject, so registries list no referrer for one.
        let is_docker = matches!(known, KnownType::DockerManifest | KnownType::DockerList);
        Ok(Ok(Self {
            media_type: media_type.clone(),
            kind: if known.is_index() { ManifestKind::Index } else { ManifestKind::Image },
            size: bytes.len() as u64,
            config,
            layers: descriptors(layers),
            children: descriptors(fields.manifests),
            subject: fields.subject.filter(|_| !is_docker).and_then(SubjectFields::into_descriptor),
            artifact_type,
            annotations: fields.annotations.0,
        }))
    }
}

impl From<DescriptorFields> for Descriptor {
    fn from(fields: DescriptorFields) -> Self {
        Self {
            media_type: told(fields.media_type),
            digest: fields.digest,
            size: fields.size,
            platform: fields.platform.and_then(PlatformFields::into_platform),
            artifact_type: fields.artifact_type.media_type(),
            annotations: fields.annotations.0,
        }
    }
}

impl SubjectFields {
    fn into_descriptor(self) -> Option<Descriptor> {
        let Self { media_type, digest, size, platform, artifact_type, annotations } = self;
        let digest = digest?;
        Some(DescriptorFields { media_type, digest, size, platform, artifact_type, annotations }.into())
    }
}

impl PlatformFields {
    /// `None` for an empty object, which some clients write for "any".
    fn into_platform(self) -> Option<Platform> {
        let platform = Platform {
            os: self.os.unwrap_or_default(),
            architecture: self.architecture.unwrap_or_default(),
            variant: self.variant.filter(|variant| !variant.is_empty()),
        };
        (!platform.os.is_empty() || !platform.architecture.is_empty()).then_some(platform)
    }
}

fn descriptors(fields: Option<Vec<DescriptorFields>>) -> Vec<Descriptor> {
    fields.into_iter().flatten().map(Descriptor::from).collect()
}

/// A type that is not told is the empty one.
fn told(media_type: Option<MediaType>) -> MediaType {
    media_type.unwrap_or_else(|| MediaType::from(""))
}

fn filled(media_type: Option<MediaType>) -> Option<MediaType> {
    media_type.filter(|media_type| !media_type.as_str().is_empty())
}
