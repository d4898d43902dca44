//! Redirects of a pull that lead to the registry itself, at a path that the door does not have: its own file store, or a
//! gateway's prefix. The client stays on the path that it asked for; where that leads travels sealed in its query (see
//! [`TargetSeal`](crate::auth::TargetSeal)), bound to the repository. A redirect to another server, such as object storage, is the client's to follow.

use std::sync::Arc;

use http::Method;

use super::forward_target::ForwardTarget;
use super::upload_target::{OWN_PARAMETERS, TargetError, UploadTargets, UpstreamAnswer};
use super::uri_reference::UriReference;
use crate::auth::{SealError, SealedFor, SealedTarget};
use crate::oci::Route;

const PARAMETER: &str = "_portreeve_target=";

impl UploadTargets {
    /// The `Location` by which a client follows a redirect through the door; `Ok(None)` where the redirect needs none, since
    /// it leads elsewhere or to something that the door has. `path` is what the client asked for.
    ///
    /// # Errors
    /// When the target cannot be sealed.
    pub(super) fn rewrite_redirect(
        &self,
        location: &str,
        answered: &UpstreamAnswer<'_>,
        path: &str,
    ) -> Result<Option<String>, SealError> {
        let Some(reference) = UriReference::parse(location) else { return Ok(None) };
        let Some(backend) = self.owner(&reference, answered) else { return Ok(None) };
        let target = reference.resolve(answered.asked);
        let (target_path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target.as_str(), None),
        };
        let is_plain = !target.contains(OWN_PARAMETERS);
        if is_plain && Route::parse(&Method::GET, target_path, query).is_ok() {
            return Ok(None);
        }
        let sealed = SealedTarget { backend: backend.key().to_string(), path_and_query: target };
        let sealed = self.seal.seal(SealedFor::Pull, answered.repository, &sealed)?;
        let door = if reference.authority.is_some() { answered.door } else { "" };
        Ok(Some(format!("{door}{path}?{PARAMETER}{sealed}")))
    }

    /// Where a pull that follows such a redirect is forwarded to; `Ok(None)` for any other pull.
    ///
    /// # Errors
    /// When the door never sealed the target, or not for this repository.
    pub(super) fn target_of_pull(
        &self,
        route: &Route,
        path_and_query: &str,
    ) -> Result<Option<ForwardTarget>, TargetError> {
        let (Route::BlobRead { repository, .. } | Route::ManifestRead { repository, .. }) = route else {
            return Ok(None);
        };
        let Some((_, query)) = path_and_query.split_once('?') else { return Ok(None) };
        let Some(sealed) = query.strip_prefix(PARAMETER) else { return Ok(None) };
        let target = self.seal.open(SealedFor::Pull, repository, sealed).ok_or(TargetError::Unknown)?;
        let backend = self.backends.with_key(&target.backend).ok_or(TargetError::Unknown)?;
        let path_and_query = target.path_and_query;
        Ok(Some(ForwardTarget { backend: Some(Arc::clone(backend)), path_and_query }))
    }
}
