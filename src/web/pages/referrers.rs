//! What refers to a manifest, named by what it is.

use super::super::error::ApiError;
use super::super::manifest_item::Referrer;
use super::super::state::WebState;
use super::super::tags;
use super::artifact_kind::ArtifactKind;
use super::format::{ShortDigest, Size, shortened};
use super::links;
use super::visit::Visit;
use crate::oci::{Digest, RepositoryName, Tag};

/// So many characters of a type are shown.
const TYPE: usize = 100;

/// What refers to the manifest.
pub(super) struct ReferrerRow {
    pub kind: ArtifactKind,
    pub about: String,
    pub digest: ShortDigest,
    pub size: Option<Size>,
}

impl ReferrerRow {
    /// As the API shows it.
    pub(super) fn new(referrer: Referrer, repository: &RepositoryName) -> Self {
        let Referrer { digest, artifact_type, annotations, .. } = referrer;
        Self {
            kind: ArtifactKind::about(artifact_type.as_ref(), &annotations),
            about: artifact_type.map(|it| shortened(it.as_str(), TYPE)).unwrap_or_default(),
            digest: ShortDigest::of(repository, &digest),
            size: None,
        }
    }
}

/// By how the tag ends that refers to a manifest, and what it is then.
const ENDS: [(&str, ArtifactKind); 3] =
    [(".sig", ArtifactKind::Signature), (".att", ArtifactKind::Attestation), (".sbom", ArtifactKind::Sbom)];

/// What refers to a manifest by a tag that is made of its digest, as cosign wrote before there were referrers.
pub(super) async fn named_by_tags(
    state: &WebState,
    visit: &Visit,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Vec<ReferrerRow>, ApiError> {
    let start = digest.to_string().replace(':', "-");
    let mut rows = Vec::new();
    for (end, kind) in ENDS {
        // A digest may be longer than a tag can be.
        let Ok(tag) = Tag::parse(&format!("{start}{end}")) else { continue };
        let found = tags::one(state, &visit.viewer, repository, &tag).await;
        rows.extend(ApiError::nothing_if_unknown(found)?.map(|found| ReferrerRow {
            kind,
            about: "by its tag, as cosign 2 wrote it".to_owned(),
            digest: ShortDigest::from(&found.digest).leading_to(links::tag(repository, &found.tag)),
            size: Some(Size(found.bytes)),
        }));
    }
    Ok(rows)
}
