//! Questions about blobs that are small: the configurations of images.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::question::Question;
use super::response::{is_not_found, refusal, whole_body};
use super::transport::{Received, Request, RequestTimeout};
use super::{MalformedAnswer, RegistryClient, RegistryError};
use crate::oci::{Access, Digest, RepositoryName};

impl RegistryClient {
    /// A blob of at most `limit` bytes. `Ok(None)` is the registry's own "not there".
    ///
    /// Where the registry names a place of its storage instead, it is fetched from there, without credentials.
    ///
    /// # Errors
    /// Whenever the registry gave no clear answer, or one whose bytes do not have the digest asked for.
    pub async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Option<Bytes>, RegistryError> {
        let asked = format!("GET blob {digest} of {repository}");
        let path = format!("v2/{repository}/blobs/{digest}");
        let access = Some(Access::to_pull(repository.clone()));
        let answer = self.ask(Question { access, limit, ..Question::get(&asked, &path) }).await?;
        let Received { status, headers, body } = match storage_place(&answer) {
            Some(url) => self.fetch_from_storage(&asked, url, limit).await?,
            None => answer,
        };
        match status {
            StatusCode::OK => {
                let bytes = whole_body(&asked, body)?;
                match digest.matches(&bytes) {
                    Some(false) => {
                        let source = MalformedAnswer::OtherBytes(digest.clone());
                        Err(RegistryError::Malformed { asked, source })
                    }
                    Some(true) | None => Ok(Some(bytes)),
                }
            }
            StatusCode::NOT_FOUND if is_not_found(&whole_body(&asked, body)?) => Ok(None),
            status => Err(refusal(asked, status, &headers)),
        }
    }

    async fn fetch_from_storage(
        &self,
        asked: &str,
        url: String,
        limit: usize,
    ) -> Result<Received, RegistryError> {
        let request = Request {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            limit,
            timeout: RequestTimeout::Answer,
        };
        let answer = self.transport().send(request).await;
        answer.map_err(|source| RegistryError::Unreachable { asked: asked.to_owned(), source })
    }
}

/// Where the registry says that the blob is: a whole URL, as storage has it.
fn storage_place(answer: &Received) -> Option<String> {
    if !answer.status.is_redirection() {
        return None;
    }
    let place = Url::parse(answer.headers.get(LOCATION)?.to_str().ok()?).ok()?;
    matches!(place.scheme(), "http" | "https").then(|| place.into())
}
