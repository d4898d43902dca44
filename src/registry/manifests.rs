//! Questions about manifests: which digest a reference has, and what it leads to.

use http::{Method, StatusCode};

use super::pull_through_cache::is_not_found_at_origin;
use super::question::Question;
use super::response::{contradicts, digest_named, is_not_found, read_manifest, refusal, whole_body};
use super::transport::Received;
use super::{MalformedAnswer, RegistryClient, RegistryError};
use crate::oci::{
    Access, Digest, MANIFEST_ACCEPT, MAXIMUM_MANIFEST_BYTES, Manifest, Reference, RepositoryName,
};

/// What a registry says of a manifest without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestHead {
    /// Its digest.
    pub digest: Digest,
}

impl RegistryClient {
    /// The digest that a reference has now. `Ok(None)` is the registry's own "not there" about this very reference.
    ///
    /// # Errors
    /// Whenever the registry gave no clear answer.
    pub async fn resolve(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<ManifestHead>, RegistryError> {
        let (asked, answer) = self.ask_about(Method::HEAD, repository, reference).await?;
        match answer.status {
            StatusCode::OK => match digest_named(&answer.headers) {
                Some(digest) if contradicts(&digest, reference) => {
                    Err(RegistryError::Malformed { asked, source: MalformedAnswer::OtherDigest(digest) })
                }
                Some(digest) => Ok(Some(ManifestHead { digest })),
                None => {
                    let manifest = self.manifest(repository, reference).await?;
                    Ok(manifest.map(|manifest| ManifestHead { digest: manifest.digest }))
                }
            },
            // A 404 without a body may not be the registry's: only the body of a GET tells.
            StatusCode::NOT_FOUND => {
                let manifest = self.manifest(repository, reference).await?;
                Ok(manifest.map(|manifest| ManifestHead { digest: manifest.digest }))
            }
            // A cache answers so when its origin does not have the manifest; only the body of a GET tells.
            StatusCode::INTERNAL_SERVER_ERROR if self.is_cache() => {
                let manifest = self.manifest(repository, reference).await?;
                Ok(manifest.map(|manifest| ManifestHead { digest: manifest.digest }))
            }
            status => Err(refusal(asked, status, &answer.headers)),
        }
    }

    /// A manifest with its bytes. `Ok(None)` is the registry's own "not there" about this very reference.
    ///
    /// # Errors
    /// Whenever the registry gave no clear answer, or one whose bytes do not have the digest asked for.
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Manifest>, RegistryError> {
        let (asked, Received { status, headers, body }) =
            self.ask_about(Method::GET, repository, reference).await?;
        let is_denied = self.is_cache() && body.as_ref().is_ok_and(|body| is_not_found_at_origin(body));
        match status {
            StatusCode::OK => {
                read_manifest(asked.clone(), reference, &headers, whole_body(&asked, body)?).map(Some)
            }
            StatusCode::NOT_FOUND if is_not_found(&whole_body(&asked, body)?) => Ok(None),
            StatusCode::NOT_FOUND => {
                Err(RegistryError::Malformed { asked, source: MalformedAnswer::ForeignNotFound })
            }
            StatusCode::INTERNAL_SERVER_ERROR if is_denied => Ok(None),
            status => Err(refusal(asked, status, &headers)),
        }
    }

    async fn ask_about(
        &self,
        method: Method,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(String, Received), RegistryError> {
        let asked = format!("{method} {repository}:{reference}");
        let path = format!("v2/{repository}/manifests/{reference}");
        let question = Question {
            method,
            accept: Some(MANIFEST_ACCEPT),
            access: Some(Access::to_pull(repository.clone())),
            limit: MAXIMUM_MANIFEST_BYTES,
            ..Question::get(&asked, &path)
        };
        let answer = self.ask(question).await?;
        Ok((asked, answer))
    }
}
