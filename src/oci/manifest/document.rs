//! What a manifest says, whatever its type: shared by what is pushed, the record and the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::descriptor::{Descriptor, Platform, texts_bytes};
use crate::oci::{Digest, MediaType};

/// What a manifest says. A type that is not known, and schema 1, have empty fields ([`ManifestKind::Opaque`]).
///
/// The store keeps it as JSON: a field that is added needs a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// From `Content-Type`, else from the document's own `mediaType`.
    pub media_type: MediaType,
    /// What kind of document it is.
    pub kind: ManifestKind,
    /// How long it is, in bytes.
    pub size: u64,
    /// The configuration blob of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Descriptor>,
    /// The layers of an image, or the blobs of an artifact, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Descriptor>,
    /// What an index or list names, in order: manifests, and whatever else; see [`Document::child_manifests`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Descriptor>,
    /// The manifest that this one is about (OCI 1.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// `artifactType`, or for an image manifest without one the media type of its configuration (OCI 1.1 referrers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The document's own annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What kind of document a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestKind {
    /// One image or artifact: OCI image manifest, Docker schema 2, OCI artifact manifest.
    Image,
    /// Several: OCI index, Docker manifest list.
    Index,
    /// Schema 1 or an unknown type: kept, not read.
    Opaque,
}

impl Document {
    /// One of which only its type and its length in bytes are known.
    pub const fn unread(media_type: MediaType, size: u64) -> Self {
        Self {
            media_type,
            kind: ManifestKind::Opaque,
            size,
            config: None,
            layers: Vec::new(),
            children: Vec::new(),
            subject: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The blobs that it names directly, each once, with their sizes.
    pub fn blobs(&self) -> BTreeMap<&Digest, u64> {
        self.layers.iter().chain(&self.config).map(|blob| (&blob.digest, blob.size)).collect()
    }

    /// Those of its children that are manifests, in order. The OCI image specification lets an index name anything
    /// (image-index.md, "manifests": unknown media types are no error): a cache of BuildKit names its layers, and who asks
    /// a registry for one of them as a manifest is answered with an error.
    pub fn child_manifests(&self) -> impl Iterator<Item = &Digest> {
        self.children.iter().filter(|child| child.media_type.is_manifest()).map(|child| &child.digest)
    }

    /// About how much memory it takes, in bytes.
    pub fn parsed_bytes(&self) -> usize {
        let descriptors = self.layers.iter().chain(&self.children).chain(&self.config).chain(&self.subject);
        descriptors.map(Descriptor::parsed_bytes).sum::<usize>() + texts_bytes(&self.annotations)
    }

    /// The platforms that an index names, without the unknown ones that attestations carry.
    pub fn platforms(&self) -> impl Iterator<Item = &Platform> {
        self.children
            .iter()
            .filter_map(|child| child.platform.as_ref())
            .filter(|platform| platform.os != "unknown")
    }
}
