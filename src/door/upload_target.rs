//! Where an upload continues: the registry's `Location` is rewritten to a URL of the door, and the client's request is
//! forwarded to exactly where the registry wanted it.
//!
//! A `Location` of an upload is opaque (OCI distribution spec, "Pushing blobs"). The usual one, `/v2/<name>/blobs/uploads/<id>`
//! of the same repository, is handed out as it is, at the door's address. Any other that leads to the registry itself is
//! handed out sealed, as the name of a session (see [`TargetSeal`]). One that leads to another server is not the door's: the
//! client goes there by itself, as it would without a door.

use std::sync::Arc;

use http::Method;

use super::forward_target::ForwardTarget;
use super::sticky;
use super::uri_reference::UriReference;
use crate::auth::{SealError, SealedFor, SealedTarget, TargetSeal};
use crate::oci::{RepositoryName, Route};
use crate::registry::{Backend, Backends};

/// With what the door's own parameters begin. The registry's own have to come through whatever they are called.
pub(super) const OWN_PARAMETERS: &str = "_portreeve_";

/// Rewrites where uploads continue, and finds where they are at the registry.
#[derive(Clone)]
pub(super) struct UploadTargets {
    pub(super) seal: Arc<TargetSeal>,
    pub(super) backends: Arc<Backends>,
}

/// An answer of the registry about an upload.
pub(super) struct UpstreamAnswer<'a> {
    /// Into which repository.
    pub repository: &'a RepositoryName,
    /// Who answered.
    pub backend: &'a Arc<Backend>,
    /// Path and query that it was asked for.
    pub asked: &'a str,
    /// Scheme and authority of the door, as the client knows it; empty when nothing is known.
    pub door: &'a str,
    /// `http` or `https`, and authorities by which the registry was told that it is known.
    pub scheme: &'a str,
    pub names: &'a [&'a str],
    /// Whether it redirects: then only what leads to the registry itself is led back.
    pub redirects: bool,
}

/// An upload that continues at the door.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RewrittenUpload {
    /// The `Location` for the client.
    pub location: String,
    /// The name of the session in it.
    pub upload: String,
}

/// Why a request of an upload is not forwarded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TargetError {
    /// The door never sealed this, or not for this repository, or for a backend that is gone.
    Unknown,
    /// The client added something to a sealed target that the specification does not let it add.
    ParameterAdded,
}

impl UploadTargets {
    pub(super) fn new(seal: Arc<TargetSeal>, backends: Arc<Backends>) -> Self {
        Self { seal, backends }
    }

    /// The `Location` by which the client continues through the door; `Ok(None)` where the registry's is kept as it is.
    ///
    /// # Errors
    /// When the target cannot be sealed.
    pub(super) fn rewrite_location(
        &self,
        location: &str,
        answered: &UpstreamAnswer<'_>,
    ) -> Result<Option<RewrittenUpload>, SealError> {
        let Some(reference) = UriReference::parse(location) else { return Ok(None) };
        let target = reference.resolve(answered.asked);
        let owner = self.owner(&reference, answered);
        if answered.redirects && owner.is_none() {
            return Ok(None);
        }
        let door = if reference.authority.is_some() { answered.door } else { "" };
        if let Some(upload) = usual(answered.repository, &target) {
            // What a client made is at the door, whatever the registry calls itself.
            let location = format!("{door}{target}");
            let key = owner.unwrap_or(answered.backend).key();
            let location = if self.backends.are_several() { sticky::mark(&location, key) } else { location };
            return Ok(Some(RewrittenUpload { location, upload }));
        }
        let Some(backend) = owner.filter(|_| !is_manifest(&target)) else { return Ok(None) };
        let sealed = SealedTarget { backend: backend.key().to_string(), path_and_query: target };
        let upload = self.seal.seal(SealedFor::Upload, answered.repository, &sealed)?;
        let location = format!("{door}/v2/{}/blobs/uploads/{upload}", answered.repository);
        Ok(Some(RewrittenUpload { location, upload }))
    }

    /// The backend that a reference leads to; none if it leads to another server.
    pub(super) fn owner<'a>(
        &'a self,
        reference: &UriReference<'_>,
        answered: &UpstreamAnswer<'a>,
    ) -> Option<&'a Arc<Backend>> {
        let named = self.backends.all().iter().find(|backend| is_at(reference, backend));
        let answers = || {
            reference.authority.is_none()
                || answered.names.iter().any(|name| reference.is_at(answered.scheme, name))
        };
        named.or_else(|| answers().then_some(answered.backend))
    }

    /// Where a request of an upload is forwarded to, if that is not as it came. `path_and_query` is the client's.
    ///
    /// # Errors
    /// When it must not be forwarded at all.
    pub(super) fn target_of_upload(
        &self,
        repository: &RepositoryName,
        upload: &str,
        path_and_query: &str,
    ) -> Result<Option<ForwardTarget>, TargetError> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        if TargetSeal::is_sealed(upload) {
            let target = self.seal.open(SealedFor::Upload, repository, upload).ok_or(TargetError::Unknown)?;
            let backend = self.backends.with_key(&target.backend).ok_or(TargetError::Unknown)?;
            let path_and_query = with_digest(target.path_and_query, query)?;
            return Ok(Some(ForwardTarget { backend: Some(Arc::clone(backend)), path_and_query }));
        }
        if !self.backends.are_several() {
            return Ok(None);
        }
        let (rest, key) = sticky::unmark(query);
        let separator = if rest.is_empty() { "" } else { "?" };
        Ok(Some(ForwardTarget {
            backend: key.and_then(|key| self.backends.with_key(key)).cloned(),
            path_and_query: format!("{path}{separator}{rest}"),
        }))
    }
}

/// Whether the reference names this backend.
pub(super) fn is_at(reference: &UriReference<'_>, backend: &Backend) -> bool {
    reference.is_at(backend.url().scheme(), backend.authority())
}

/// The session's name, if the target has the usual shape and can be told from everything that is the door's own.
fn usual(repository: &RepositoryName, target: &str) -> Option<String> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let Ok(Route::Upload { repository: named, upload, .. }) = Route::parse(&Method::GET, path, query) else {
        return None;
    };
    // Empty parameters would not be there any more when the door's own are taken off again.
    let is_whole = query.is_none_or(|query| query.split('&').all(|parameter| !parameter.is_empty()));
    let is_plain = is_whole && !TargetSeal::is_sealed(upload.as_str()) && !target.contains(OWN_PARAMETERS);
    (named == *repository && is_plain).then(|| upload.as_str().to_owned())
}

/// Whether a registry or a gateway could take the target for that of a manifest: the door writes manifests only by its own
/// client, so that each is recorded.
fn is_manifest(target: &str) -> bool {
    let mut path = target.split('?').next().unwrap_or_default().to_owned();
    // Each round makes it shorter.
    while let Some(decoded) = decoded(&path) {
        path = decoded;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split(['/', '\\']) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    segments.iter().rev().nth(1).is_some_and(|segment| *segment == "manifests")
}

/// The text with its percent-encoding taken off once; nothing if it has none.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let digits = tail.first_chunk::<2>().filter(|_| *byte == b'%');
        let value = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    (bytes.len() < text.len()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The registry's target with what the client added behind: the digest of a final PUT, and nothing else. With anything
/// more it could turn a target into another one, past what the client is authorized for.
fn with_digest(mut target: String, added: &str) -> Result<String, TargetError> {
    for parameter in added.split('&').filter(|parameter| !parameter.is_empty()) {
        if !parameter.starts_with("digest=") || parameter.contains(';') {
            return Err(TargetError::ParameterAdded);
        }
        match target.chars().last() {
            Some('?' | '&') if target.contains('?') => {}
            _ if target.contains('?') => target.push('&'),
            _ => target.push('?'),
        }
        target.push_str(parameter);
    }
    Ok(target)
}

#[cfg(test)]
#[path = "upload_target/tests.rs"]
mod tests;
