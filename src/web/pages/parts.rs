//! What an index names: images for platforms, and what is said of them.

use super::format::{ShortDigest, Size, shortened};
use crate::oci::{Descriptor, Digest, RepositoryName};

/// What an index names.
pub(super) struct Part {
    pub name: String,
    pub digest: ShortDigest,
    /// With the blobs that it names, as far as it is recorded.
    pub size: Option<Size>,
    /// What it is, where it is no image.
    pub kind: Option<&'static str>,
    pub media_type: String,
}

/// So many characters of a platform or a type are shown.
const TEXT: usize = 100;
/// By which builders say that a part of an index is about another part.
const ABOUT: &str = "vnd.docker.reference.digest";
/// By which they say what it is.
const ABOUT_TYPE: &str = "vnd.docker.reference.type";

impl Part {
    /// As an index names it, with its bytes as far as they are recorded.
    pub(super) fn new(part: &Descriptor, repository: &RepositoryName, bytes: Option<u64>) -> Self {
        let kind = part.annotations.get(ABOUT_TYPE).map(|kind| match kind.as_str() {
            "attestation-manifest" => "Attestation",
            _ => "Artifact",
        });
        let about = part.annotations.get(ABOUT).and_then(|digest| Digest::parse(digest).ok());
        let name = match (&part.platform, about) {
            (_, Some(about)) => {
                format!("for {}", about.encoded().chars().take(12).collect::<String>())
            }
            (Some(platform), None) => shortened(&platform.to_string(), TEXT),
            (None, None) => String::new(),
        };
        Self {
            name,
            digest: if part.media_type.is_manifest() {
                ShortDigest::of(repository, &part.digest)
            } else {
                ShortDigest::from(&part.digest)
            },
            size: bytes.map(Size),
            kind,
            media_type: shortened(part.media_type.as_str(), TEXT),
        }
    }
}
