//! What refers to a manifest, named by what it is.

use super::super::error::ApiError;
use super::super::manifests::Referrer;
use super::super::parameters::Parameters;
use super::super::state::WebState;
use super::super::tags::{self, TagItem};
use super::artifact_kind::ArtifactKind;
use super::format::{ShortDigest, Size};
use super::history::linked_digest;
use super::links;
use super::visit::Visit;
use crate::oci::{Digest, RepositoryName};

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
            about: artifact_type.map(|it| it.to_string()).unwrap_or_default(),
            digest: linked_digest(repository, &digest),
            size: None,
        }
    }
}

/// What refers to a manifest by a tag that is made of its digest, as cosign wrote before there were referrers.
pub(super) async fn named_by_tags(
    state: &WebState,
    visit: &Visit,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Vec<ReferrerRow>, ApiError> {
    let start = digest.to_string().replace(':', "-");
    let asked = Parameters::default().or("q", &start).or("n", "10");
    let list = tags::sorted(state, &visit.viewer, Some(repository.clone()), &asked).await?;
    let row = |tag: TagItem| {
        let kind = match tag.tag.as_str().strip_prefix(&*start)? {
            ".sig" => ArtifactKind::Signature,
            ".att" => ArtifactKind::Attestation,
            ".sbom" => ArtifactKind::Sbom,
            _ => return None,
        };
        Some(ReferrerRow {
            kind,
            about: "by its tag, as cosign 2 wrote it".to_owned(),
            digest: ShortDigest::from(&tag.digest).leading_to(links::tag(repository, &tag.tag)),
            size: Some(Size(tag.bytes)),
        })
    };
    Ok(list.items.into_iter().filter_map(|item| row(item.tag)).collect())
}
