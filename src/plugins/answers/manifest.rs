//! `GET` and `HEAD /v2/<name>/manifests/<reference>` from the record: by digest, since what a digest names never changes; by
//! tag where nothing but the door writes to the registry.
//!
//! What the registry decides by the `Accept` of the request (a type that was not asked for is not sent; an older type may be
//! made of a newer one) is left to it, unless the request names the very type.

use std::sync::Arc;

use http::header::{ACCEPT, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::answer::{Unanswered, headers, response};
use super::conditions;
use crate::door::Response;
use crate::oci::{Digest, Manifest, MediaType, Reference, RepositoryName, Tag};
use crate::store::Records;

/// How much memory recent manifests may take, in bytes.
const CACHED: u64 = 32 * 1024 * 1024;
/// What one takes beside its own bytes, about.
const OVERHEAD: usize = 1024;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// How a manifest was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskedBy {
    Digest,
    Tag,
}

/// The manifests of the record, the recent ones in memory.
pub(super) struct Manifests {
    records: Arc<dyn Records>,
    /// By digest, which names the same bytes in every repository.
    recent: moka::sync::Cache<Digest, Arc<Served>>,
}

/// What is served of a manifest.
#[derive(Debug)]
struct Served {
    media_type: MediaType,
    bytes: bytes::Bytes,
    /// What its head says.
    content_type: HeaderValue,
    content_digest: HeaderValue,
    entity_tag: HeaderValue,
}

impl Served {
    fn new(digest: &Digest, manifest: &Manifest) -> Result<Self, Unanswered> {
        let Manifest { bytes, document, .. } = manifest;
        Ok(Self {
            content_type: HeaderValue::from_str(document.media_type.as_str())?,
            content_digest: HeaderValue::from_str(digest.as_str())?,
            entity_tag: HeaderValue::try_from(format!("\"{digest}\""))?,
            media_type: document.media_type.clone(),
            bytes: bytes.clone(),
        })
    }
}

impl Manifests {
    pub(super) fn new(records: Arc<dyn Records>) -> Self {
        let weight = |_: &Digest, served: &Arc<Served>| {
            u32::try_from(served.bytes.len().saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
        };
        Self { records, recent: moka::sync::Cache::builder().weigher(weight).max_capacity(CACHED).build() }
    }

    pub(super) async fn answer(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        is_exclusive: bool,
        asked: &HeaderMap,
    ) -> Result<Response, Unanswered> {
        let tagged;
        let (digest, asked_by) = match reference {
            Reference::Digest(digest) => (digest, AskedBy::Digest),
            Reference::Tag(tag) if is_exclusive => {
                tagged = self.digest_of(repository, tag).await?;
                (&tagged, AskedBy::Tag)
            }
            Reference::Tag(_) => return Err(Unanswered::NotRecorded),
        };
        // While the registry denies what is recorded, it has to be asked.
        if self.records.missing().manifests > 0 || !self.records.has_manifest(repository, digest).await? {
            return Err(Unanswered::NotRecorded);
        }
        let served = self.served(repository, digest).await?;
        if !is_served_as_it_is(&served.media_type, asked_by, asked) {
            return Err(Unanswered::NotRecorded);
        }
        let is_known = conditions::has_it(asked, digest);
        let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        let mut headers = headers(served.content_type.clone());
        headers.insert(CONTENT_DIGEST, served.content_digest.clone());
        headers.insert(ETAG, served.entity_tag.clone());
        let body = if is_known { bytes::Bytes::new() } else { served.bytes.clone() };
        Ok(response(status, headers, body))
    }

    async fn digest_of(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, Unanswered> {
        match self.records.tag(repository, tag).await? {
            Some(record) if record.missing.is_none() => Ok(record.digest),
            Some(_) | None => Err(Unanswered::NotRecorded),
        }
    }

    async fn served(&self, repository: &RepositoryName, digest: &Digest) -> Result<Arc<Served>, Unanswered> {
        if let Some(served) = self.recent.get(digest) {
            return Ok(served);
        }
        let manifest = self.records.manifest_content(repository, digest).await?;
        // It may have gone since.
        let manifest = manifest.ok_or(Unanswered::NotRecorded)?;
        let served = Arc::new(Served::new(digest, &manifest)?);
        self.recent.insert(digest.clone(), Arc::clone(&served));
        Ok(served)
    }
}

/// Whether registries answer such a request with the manifest as it is (distribution 2.8 and 3.x, `GetManifest`): one of OCI's
/// if its type is asked for by name, one of Docker's also if it is asked for by digest.
fn is_served_as_it_is(media_type: &MediaType, asked_by: AskedBy, headers: &HeaderMap) -> bool {
    match media_type.as_str() {
        MediaType::DOCKER_MANIFEST | MediaType::DOCKER_LIST if asked_by == AskedBy::Digest => true,
        MediaType::OCI_MANIFEST
        | MediaType::OCI_INDEX
        | MediaType::DOCKER_MANIFEST
        | MediaType::DOCKER_LIST => {
            let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            values
                .flat_map(|value| value.split(','))
                .filter_map(|accepted| accepted.split(';').next())
                .any(|accepted| accepted.trim().eq_ignore_ascii_case(media_type.as_str()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_registry_would_refuse_or_change_it_is_asked_for() {
        use AskedBy::{Digest, Tag};
        let (oci, docker) = (MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST);
        for (media_type, asked_by, accepted, expected) in [
            (oci, Digest, oci, true),
            (oci, Digest, "", false),
            (oci, Digest, "*/*", false),
            (oci, Digest, "application/*", false),
            (oci, Digest, "text/plain, Application/vnd.oci.image.manifest.v1+json;q=0.5", true),
            (oci, Tag, oci, true),
            (oci, Tag, docker, false),
            (docker, Digest, "", true),
            (docker, Tag, "", false),
            (docker, Tag, docker, true),
            (MediaType::DOCKER_LIST, Digest, docker, true),
            (MediaType::DOCKER_LIST, Tag, docker, false),
            (MediaType::OCI_INDEX, Digest, oci, false),
            (MediaType::DOCKER_SCHEMA_1_SIGNED, Digest, MediaType::DOCKER_SCHEMA_1_SIGNED, false),
            ("application/json", Digest, "application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            if !accepted.is_empty() {
                headers.append(ACCEPT, accepted.parse().unwrap());
            }
            let is_served = is_served_as_it_is(&MediaType::from(media_type), asked_by, &headers);
            assert_eq!(is_served, expected, "{media_type} by {asked_by:?} for {accepted:?}");
        }
    }
}
