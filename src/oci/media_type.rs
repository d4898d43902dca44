//! Media types of manifests.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A media type as a manifest or a `Content-Type` header names it, without parameters. Unknown ones are kept as
/// they are: the record holds whatever a registry accepts. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(Arc<str>);

impl MediaType {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI artifact manifest (withdrawn from the specification, still met).
    pub const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
    /// Docker image manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker schema 1.
    pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
    /// Docker schema 1, signed.
    pub const DOCKER_SCHEMA_1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

    /// Takes the media type out of a `Content-Type` value: parameters are cut off, white space is trimmed, and upper
    /// case becomes lower case, as media types do not differ by case and Go's registries read them so.
    pub fn from_header(value: &str) -> Self {
        let media_type = value.split(';').next().unwrap_or_default().trim();
        if media_type.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Self(media_type.to_ascii_lowercase().into());
        }
        Self(media_type.into())
    }

    /// The media type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is that of a manifest, so that a registry can be asked for one by the digest.
    pub fn is_manifest(&self) -> bool {
        MANIFEST_TYPES.contains(&self.as_str())
    }

    /// The types of manifests that are known.
    pub const fn of_manifests() -> &'static [&'static str] {
        &MANIFEST_TYPES
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self::from_header(text)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Every media type of a manifest.
const MANIFEST_TYPES: [&str; 7] = [
    MediaType::OCI_MANIFEST,
    MediaType::OCI_INDEX,
    MediaType::OCI_ARTIFACT,
    MediaType::DOCKER_MANIFEST,
    MediaType::DOCKER_LIST,
    MediaType::DOCKER_SCHEMA_1,
    MediaType::DOCKER_SCHEMA_1_SIGNED,
];

/// The `Accept` value that names every manifest type: registries answer 404 to a narrower question about a manifest
/// that is there, so no question about presence may be asked without it.
pub const MANIFEST_ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.artifact.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v1+prettyjws, \
    application/vnd.docker.distribution.manifest.v1+json, \
    application/json, */*";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_without_parameters_and_case() {
        for header in ["a/b+json", " A/b+JSON ; charset=utf-8", "a/B+json;x;y"] {
            assert_eq!(MediaType::from_header(header).as_str(), "a/b+json");
        }
    }

    #[test]
    fn every_manifest_type_is_asked_for() {
        for media_type in MANIFEST_TYPES {
            assert!(MANIFEST_ACCEPT.split(", ").any(|accepted| accepted == media_type), "{media_type}");
        }
    }

    #[test]
    fn only_the_types_of_manifests_are_those_of_manifests() {
        for media_type in
            ["application/vnd.OCI.image.manifest.v1+json; charset=utf-8", MediaType::DOCKER_LIST]
        {
            assert!(MediaType::from_header(media_type).is_manifest(), "{media_type}");
        }
        for media_type in [
            "",
            "application/json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.buildkit.cacheconfig.v0",
            "application/vnd.oci.image.manifest.v2+json",
        ] {
            assert!(!MediaType::from_header(media_type).is_manifest(), "{media_type}");
        }
    }
}
