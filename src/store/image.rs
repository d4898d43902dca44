//! What is read of images beside their manifests.

use crate::oci::{Descriptor, Digest, Document, ImageConfig, MediaType, RepositoryName};

/// A manifest of which an event tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundImage {
    /// In which repository.
    pub repository: RepositoryName,
    /// Which manifest.
    pub digest: Digest,
}

/// An image whose configuration is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadImage {
    /// In which repository.
    pub repository: RepositoryName,
    /// Its manifest.
    pub digest: Digest,
    /// Its configuration.
    pub config: Descriptor,
}

/// An image whose configuration was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadImage {
    /// In which repository.
    pub repository: RepositoryName,
    /// Its manifest.
    pub digest: Digest,
    /// What it says; nothing where it cannot be had, which is not tried again.
    pub config: Option<ImageConfig>,
}

/// The configuration that a manifest names, if it is that of an image.
pub(super) fn config_of(document: &Document) -> Option<&Descriptor> {
    document.config.as_ref().filter(|config| ImageConfig::is_of(&config.media_type))
}

/// The platform of an image, as lists of tags show it.
pub(super) fn platform_of(config: Option<&ImageConfig>) -> Option<String> {
    config.and_then(|config| config.platform.as_ref()).map(ToString::to_string)
}

/// Whether a manifest of this type may be a single image.
pub(super) fn may_be_image(media_type: &MediaType) -> bool {
    matches!(media_type.as_str(), MediaType::OCI_MANIFEST | MediaType::DOCKER_MANIFEST)
}
