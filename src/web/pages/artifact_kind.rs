//! What a manifest is, in words that people use, by what it and its parts say of themselves. It is for showing alone: nothing is
//! decided by it.

use std::collections::BTreeMap;

use crate::oci::{Document, ImageConfig, ManifestKind, MediaType};

/// What a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArtifactKind {
    /// An image for one platform.
    Image,
    /// Images for several.
    Images,
    /// A chart of Helm's.
    Chart,
    /// What signs another manifest.
    Signature,
    /// What another is made of.
    Sbom,
    /// How another was built.
    Provenance,
    /// Known flaws of another.
    Vulnerabilities,
    /// Anything else that is said of another.
    Attestation,
    /// Anything else.
    Artifact,
}

/// By parts of media types and of types of predicates; the first that fits counts.
const KINDS: [(&str, ArtifactKind); 18] = [
    ("cosign/sign/", ArtifactKind::Signature),
    ("cyclonedx", ArtifactKind::Sbom),
    ("spdx", ArtifactKind::Sbom),
    ("syft", ArtifactKind::Sbom),
    ("sbom", ArtifactKind::Sbom),
    ("slsa.dev/provenance", ArtifactKind::Provenance),
    ("slsa-provenance", ArtifactKind::Provenance),
    ("provenance", ArtifactKind::Provenance),
    ("vuln", ArtifactKind::Vulnerabilities),
    ("sarif", ArtifactKind::Vulnerabilities),
    ("openvex", ArtifactKind::Vulnerabilities),
    ("cncf.notary.signature", ArtifactKind::Signature),
    ("cosign.artifact.sig", ArtifactKind::Signature),
    ("simplesigning", ArtifactKind::Signature),
    ("in-toto", ArtifactKind::Attestation),
    ("dsse", ArtifactKind::Attestation),
    ("attestation", ArtifactKind::Attestation),
    // A bundle that does not say otherwise signs.
    ("sigstore.bundle", ArtifactKind::Signature),
];

/// Annotations that say of what type the predicate of an attestation is.
const PREDICATES: [&str; 4] =
    ["dev.sigstore.bundle.predicateType", "in-toto.io/predicate-type", "predicateType", "predicate-type"];
/// An annotation of a bundle that says what is in it.
const BUNDLE_CONTENT: &str = "dev.sigstore.bundle.content";

impl ArtifactKind {
    /// What a document is.
    pub(super) fn of(document: &Document) -> Self {
        let says = document.layers.iter().find_map(|layer| {
            let cosign = ["simplesigning", "in-toto", "dsse", "dev.cosign"];
            cosign.iter().any(|part| layer.media_type.as_str().contains(part)).then_some(&layer.media_type)
        });
        if let Some(media_type) = says {
            return Self::about(Some(media_type), &document.annotations);
        }
        if document.config.as_ref().is_some_and(|config| config.media_type.as_str().contains("helm.config")) {
            return Self::Chart;
        }
        match document.kind {
            ManifestKind::Opaque => Self::Image,
            ManifestKind::Index if document.artifact_type.is_none() => Self::Images,
            ManifestKind::Image
                if document.config.as_ref().is_some_and(|config| ImageConfig::is_of(&config.media_type))
                    && document.artifact_type.as_ref().is_none_or(ImageConfig::is_of) =>
            {
                Self::Image
            }
            ManifestKind::Index | ManifestKind::Image => {
                Self::about(document.artifact_type.as_ref(), &document.annotations)
            }
        }
    }

    /// What something is that has this type and these annotations.
    pub(super) fn about(artifact_type: Option<&MediaType>, annotations: &BTreeMap<String, String>) -> Self {
        let predicate = PREDICATES.iter().find_map(|name| annotations.get(*name)).map(String::as_str);
        let content = annotations.get(BUNDLE_CONTENT).map(String::as_str);
        let texts = [predicate, content, artifact_type.map(MediaType::as_str)];
        let known = |text: &str| KINDS.iter().find(|(part, _)| text.contains(part)).map(|(_, kind)| *kind);
        texts.into_iter().flatten().find_map(known).unwrap_or(Self::Artifact)
    }

    /// In words.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Image => "Image",
            Self::Images => "Image index",
            Self::Chart => "Helm chart",
            Self::Signature => "Signature",
            Self::Sbom => "SBOM",
            Self::Provenance => "Provenance",
            Self::Vulnerabilities => "Vulnerability report",
            Self::Attestation => "Attestation",
            Self::Artifact => "Artifact",
        }
    }

    /// Whether it is run.
    pub(super) const fn is_image(self) -> bool {
        matches!(self, Self::Image | Self::Images)
    }

    /// Its icon.
    pub(super) const fn icon(self) -> &'static str {
        match self {
            Self::Image | Self::Images => "box",
            Self::Chart | Self::Artifact => "package",
            Self::Signature => "shield-check",
            Self::Sbom | Self::Provenance | Self::Vulnerabilities | Self::Attestation => "file-text",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refers_to_an_image_is_named_by_its_predicate_before_its_envelope() {
        for (artifact_type, annotations, expected) in [
            ("application/vnd.dev.sigstore.bundle.v0.3+json", &[][..], ArtifactKind::Signature),
            (
                "application/vnd.dev.sigstore.bundle.v0.3+json",
                &[("dev.sigstore.bundle.content", "dsse-envelope")],
                ArtifactKind::Attestation,
            ),
            (
                "application/vnd.dev.sigstore.bundle.v0.3+json",
                &[
                    ("dev.sigstore.bundle.content", "dsse-envelope"),
                    ("dev.sigstore.bundle.predicateType", "https://cyclonedx.org/bom"),
                ],
                ArtifactKind::Sbom,
            ),
            (
                "application/vnd.dev.sigstore.bundle.v0.3+json",
                &[
                    ("dev.sigstore.bundle.content", "dsse-envelope"),
                    ("dev.sigstore.bundle.predicateType", "https://sigstore.dev/cosign/sign/v1"),
                ],
                ArtifactKind::Signature,
            ),
            ("application/spdx+json", &[], ArtifactKind::Sbom),
            ("application/vnd.cncf.notary.signature", &[], ArtifactKind::Signature),
            ("application/vnd.dev.cosign.artifact.sig.v1+json", &[], ArtifactKind::Signature),
            (
                "application/vnd.in-toto+json",
                &[("in-toto.io/predicate-type", "https://slsa.dev/provenance/v1")],
                ArtifactKind::Provenance,
            ),
            ("application/vnd.in-toto+json", &[], ArtifactKind::Attestation),
            ("application/x", &[], ArtifactKind::Artifact),
        ] {
            let annotations =
                annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let kind = ArtifactKind::about(Some(&artifact_type.into()), &annotations);
            assert_eq!(kind, expected, "{artifact_type} {annotations:?}");
        }
    }
}
