//! Content descriptors (OCI image specification): what a manifest says of the blobs and manifests that it names.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::oci::{Digest, MediaType};

/// A content descriptor (OCI image spec).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Media type of the target.
    pub media_type: MediaType,
    /// Digest of the target.
    pub digest: Digest,
    /// Size of the target in bytes.
    pub size: u64,
    /// The platform, where an index names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Artifact type, where an index names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// Annotations of the reference itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A platform, as in `linux/arm64/v8`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, as `GOOS`.
    pub os: String,
    /// Architecture, as `GOARCH`.
    pub architecture: String,
    /// Variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// What an allocation takes beside what is asked for, about.
const ALLOCATION: usize = 16;

/// What texts by name take in memory, about.
pub(super) fn texts_bytes(texts: &BTreeMap<String, String>) -> usize {
    let text = |text: &String| size_of::<String>() + ALLOCATION + text.len();
    // The nodes of a tree are half empty at worst.
    texts.iter().map(|(name, value)| 2 * size_of::<String>() + text(name) + text(value)).sum()
}

impl Descriptor {
    /// What it takes in memory, about.
    pub(super) fn parsed_bytes(&self) -> usize {
        let platform = self.platform.as_ref().map_or(0, |platform| {
            let variant = platform.variant.as_ref().map_or(0, String::len);
            3 * ALLOCATION + platform.os.len() + platform.architecture.len() + variant
        });
        let artifact_type = self.artifact_type.as_ref().map_or(0, |it| it.as_str().len());
        // A list that grows has room for twice as many.
        2 * size_of::<Self>()
            + 3 * ALLOCATION
            + self.media_type.as_str().len()
            + self.digest.as_str().len()
            + artifact_type
            + platform
            + texts_bytes(&self.annotations)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}
