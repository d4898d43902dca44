//! URLs in the registry's answers are rewritten to the door's, whatever the registry calls itself; and a request that follows
//! one of them is forwarded to where it leads.

use std::sync::Arc;

use http::header::{LINK, LOCATION};
use http::{HeaderValue, StatusCode};

use super::context::Context;
use super::forward_target::ForwardTarget;
use super::link_header::LinkRewriter;
use super::public_address::PublicAddress;
use super::upload_target::{RewrittenUpload, TargetError, UploadTargets, UpstreamAnswer, is_at};
use super::uri_reference::UriReference;
use super::{Exchange, Refusal, ResponseHead, location_header};
use crate::auth::{SealError, TargetSeal};
use crate::oci::{ErrorCode, Route};
use crate::registry::Backends;

/// Rewrites URLs between client, door and registry.
pub(super) struct UrlRewriter {
    address: PublicAddress,
    backends: Arc<Backends>,
    targets: UploadTargets,
}

impl UrlRewriter {
    /// For a door at this address. The seal hides targets of the registry's own in URLs of the door.
    pub(super) fn new(address: PublicAddress, backends: Arc<Backends>, seal: Arc<TargetSeal>) -> Self {
        let targets = UploadTargets::new(seal, Arc::clone(&backends));
        Self { address, backends, targets }
    }

    /// The address by which clients know the door.
    pub(super) fn address(&self) -> &PublicAddress {
        &self.address
    }

    /// Rewrites `Location` and `Link` of the registry's answers, so that they lead to the door.
    ///
    /// # Errors
    /// When an upload cannot continue through the door.
    pub(super) fn rewrite(&self, context: &mut Context, head: &mut ResponseHead) -> Result<(), Refusal> {
        if !head.headers.contains_key(LINK) && !head.headers.contains_key(LOCATION) {
            return Ok(());
        }
        let Some(exchange) = context.exchange.as_mut().filter(|exchange| exchange.forwarding.is_forwarded)
        else {
            return Ok(());
        };
        let Some(route) = exchange.route() else { return Ok(()) };
        let asked = match &context.target {
            Some(target) => target.path_and_query.as_str(),
            None => exchange.forwarded_path_and_query(),
        };
        let door = self.address.origin_for(&exchange.client);
        if head.headers.contains_key(LINK) {
            self.rewrite_links(route, &door, head)?;
        }
        let Some(location) =
            head.headers.get(LOCATION).and_then(|location| std::str::from_utf8(location.as_bytes()).ok())
        else {
            return Ok(());
        };
        let names: Vec<&str> =
            exchange.client.host.as_deref().into_iter().chain(self.address.authority()).collect();
        let answered =
            context.backend.as_ref().zip(route.repository()).map(|(backend, repository)| UpstreamAnswer {
                repository,
                backend,
                asked,
                door: &door,
                scheme: exchange.client.scheme.as_str(),
                names: &names,
                redirects: head.status.is_redirection(),
            });
        let plain = || {
            let is_own = |reference: &UriReference<'_>| self.is_own(reference);
            location_header::rewritten(head.status, location, asked, route.repository(), &door, is_own)
        };
        let (rewritten, upload) = match (Continuation::of(route, head.status), &answered) {
            (Continuation::Upload, Some(answered)) => {
                match self.targets.rewrite_location(location, answered).map_err(not_rewritten)? {
                    Some(RewrittenUpload { location, upload }) => (Some(location), Some(upload)),
                    None => (None, None),
                }
            }
            (Continuation::Pull, Some(answered)) => {
                let sealed = self.targets.rewrite_redirect(location, answered, exchange.path());
                (sealed.map_err(not_rewritten)?.or_else(plain), None)
            }
            _ => (plain(), None),
        };
        exchange.forwarding.upload = upload;
        match rewritten {
            // pingora keeps the spelling of strings only.
            Some(rewritten) => head.insert_header("Location", rewritten).map_err(no_sense),
            None => Ok(()),
        }
    }

    fn rewrite_links(&self, route: &Route, door: &str, head: &mut ResponseHead) -> Result<(), Refusal> {
        let path = route.path();
        let list = match route {
            Route::Catalog | Route::Tags { .. } | Route::Referrers { .. } => Some(path.as_str()),
            _ => None,
        };
        let links =
            LinkRewriter { list, door, is_own: |reference: &UriReference<'_>| self.is_own(reference) };
        let values: Vec<HeaderValue> = head.headers.get_all(LINK).iter().cloned().collect();
        let rewritten: Vec<Option<String>> =
            values.iter().map(|value| links.rewritten(std::str::from_utf8(value.as_bytes()).ok()?)).collect();
        if rewritten.iter().all(Option::is_none) {
            return Ok(());
        }
        head.remove_header(&LINK);
        // pingora keeps the spelling of strings only.
        for (value, rewritten) in values.into_iter().zip(rewritten) {
            match rewritten {
                Some(rewritten) => head.append_header("Link", rewritten),
                None => head.append_header("Link", value),
            }
            .map_err(no_sense)?;
        }
        Ok(())
    }

    /// Whether a reference names the registry itself.
    fn is_own(&self, reference: &UriReference<'_>) -> bool {
        self.backends.all().iter().any(|backend| is_at(reference, backend))
    }

    /// Where a request that follows a rewritten URL is forwarded to, if that is not as it came.
    ///
    /// # Errors
    /// When it must not be forwarded: the URL was not made by a door, or not for this repository.
    pub(super) fn target(&self, exchange: &Exchange) -> Result<Option<ForwardTarget>, Refusal> {
        let Some(route) = exchange.route() else { return Ok(None) };
        let asked = exchange.forwarded_path_and_query();
        let Some((repository, upload)) = route.upload() else {
            return self.targets.target_of_pull(route, asked).map_err(|_| {
                Refusal::new(ErrorCode::BlobUnknown, "there is no such place in this repository; pull again")
            });
        };
        self.targets.target_of_upload(repository, upload.as_str(), asked).map_err(|error| match error {
            TargetError::Unknown => Refusal::new(
                ErrorCode::BlobUploadUnknown,
                "there is no such upload in this repository; begin a new one",
            ),
            TargetError::ParameterAdded => Refusal::new(
                ErrorCode::BlobUploadInvalid,
                "nothing but `digest` may be added to the URL of this upload",
            ),
        })
    }
}

/// What continues at an answer's `Location`.
enum Continuation {
    /// An upload.
    Upload,
    /// A pull.
    Pull,
    /// Neither.
    None,
}

impl Continuation {
    fn of(route: &Route, status: StatusCode) -> Self {
        let is_redirect = status.is_redirection();
        // Only these keep method and body, and an upload session takes no POST.
        let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        match route {
            // What was made has a place of its own.
            _ if status == StatusCode::CREATED => Self::None,
            Route::Upload { .. } if keeps_method || !is_redirect => Self::Upload,
            Route::UploadStart { .. } if !is_redirect => Self::Upload,
            Route::BlobRead { .. } | Route::ManifestRead { .. } if is_redirect => Self::Pull,
            _ => Self::None,
        }
    }
}

fn not_rewritten(error: SealError) -> Refusal {
    let message = format!("the registry's `Location` cannot be led back to the door: {error}");
    Refusal::new(ErrorCode::Unavailable, message).with_status(StatusCode::BAD_GATEWAY).because(error)
}

fn no_sense(error: impl Into<super::BoxError>) -> Refusal {
    Refusal::new(ErrorCode::Unavailable, "the registry's answer makes no sense")
        .with_status(StatusCode::BAD_GATEWAY)
        .because(error)
}
