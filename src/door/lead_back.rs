//! Where the registry's answers lead: back to the door, whatever the registry calls itself; and where an upload that goes
//! on leads from there.

use std::borrow::Cow;

use http::header::{LINK, LOCATION};
use http::{HeaderValue, StatusCode};

use super::context::{Context, UploadSession};
use super::link::Links;
use super::service::Service;
use super::upload_target::{Answered, Continued, NotOnward, is_at};
use super::uri_reference::UriReference;
use super::{Client, Exchange, Refusal, ResponseHead, location};
use crate::auth::SealError;
use crate::oci::{ErrorCode, Route};

/// By which names client, door and registry know each other.
#[derive(Debug, Default)]
pub struct Naming {
    /// Scheme and authority by which clients know the door, where that is configured; from each request otherwise.
    pub external: Option<String>,
    /// Whether the registry sees the name by which the client knows the door as its `Host`, instead of its own.
    pub keeps_host: bool,
}

impl Naming {
    /// Scheme and authority of the door, as this client knows it; empty when the client named none.
    fn door(&self, client: &Client) -> Cow<'_, str> {
        match (&self.external, &client.host) {
            (Some(external), _) => Cow::Borrowed(external),
            (None, Some(host)) => Cow::Owned(format!("{}://{host}", client.scheme)),
            (None, None) => Cow::Borrowed(""),
        }
    }

    /// The authority by which clients know the door, where that is configured.
    fn external_authority(&self) -> Option<&str> {
        self.external
            .as_deref()
            .and_then(|external| external.split_once("://"))
            .map(|(_, authority)| authority)
    }

    /// What the registry sees as `Host`, if not its own name.
    pub(super) fn host_for_registry(&self, client: &Client) -> Option<String> {
        if !self.keeps_host {
            return None;
        }
        self.external_authority().map(str::to_owned).or_else(|| client.host.clone())
    }
}

impl Service {
    /// Makes `Location` and `Link` of the registry's answers lead back to the door.
    ///
    /// # Errors
    /// When an upload cannot go on through the door.
    pub(super) fn lead_back(&self, context: &mut Context, head: &mut ResponseHead) -> Result<(), Refusal> {
        if !head.headers.contains_key(LINK) && !head.headers.contains_key(LOCATION) {
            return Ok(());
        }
        let Some(exchange) = context.exchange.as_mut().filter(|exchange| exchange.onward.went) else {
            return Ok(());
        };
        let Some(route) = exchange.route() else { return Ok(()) };
        let door = self.naming.door(&exchange.client);
        let is_own = |reference: &UriReference<'_>| {
            self.backends.all().iter().any(|backend| is_at(reference, backend))
        };
        let asked = match &context.session {
            Some(session) => session.path_and_query.as_str(),
            None => exchange.onward_path_and_query(),
        };
        if head.headers.contains_key(LINK) {
            let path = route.path();
            let list = match route {
                Route::Catalog | Route::Tags { .. } | Route::Referrers { .. } => Some(path.as_str()),
                _ => None,
            };
            lead_links_back(&Links { list, door: &door, is_own }, head)?;
        }
        let Some(location) =
            head.headers.get(LOCATION).and_then(|location| std::str::from_utf8(location.as_bytes()).ok())
        else {
            return Ok(());
        };
        let is_redirect = head.status.is_redirection();
        // Only these keep method and body, and a session takes no POST.
        let keeps_method =
            matches!(head.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        let continues = match route {
            // What was made has a place of its own.
            _ if head.status == StatusCode::CREATED => Continues::Not,
            Route::Upload { .. } if keeps_method || !is_redirect => Continues::Upload,
            Route::UploadStart { .. } if !is_redirect => Continues::Upload,
            Route::BlobRead { .. } | Route::ManifestRead { .. } if is_redirect => Continues::Pull,
            _ => Continues::Not,
        };
        let names: Vec<&str> =
            exchange.client.host.as_deref().into_iter().chain(self.naming.external_authority()).collect();
        let answered =
            context.backend.as_ref().zip(route.repository()).map(|(backend, repository)| Answered {
                repository,
                backend,
                asked,
                door: &door,
                scheme: exchange.client.scheme.as_str(),
                names: &names,
                redirects: is_redirect,
            });
        let (rewritten, upload) = match (continues, &answered) {
            (Continues::Upload, Some(answered)) => {
                match self.uploads.lead_back(location, answered).map_err(not_led_back)? {
                    Some(Continued { location, upload }) => (Some(location), Some(upload)),
                    None => (None, None),
                }
            }
            (Continues::Pull, Some(answered)) => {
                let back =
                    self.uploads.redirect_back(location, answered, exchange.path()).map_err(not_led_back)?;
                let plain = || {
                    let repository = Some(answered.repository);
                    location::rewritten(head.status, location, asked, repository, &door, is_own)
                };
                (back.or_else(plain), None)
            }
            _ => {
                let repository = route.repository();
                (location::rewritten(head.status, location, asked, repository, &door, is_own), None)
            }
        };
        exchange.onward.upload = upload;
        match rewritten {
            // pingora keeps the spelling of strings only.
            Some(rewritten) => head.insert_header("Location", rewritten).map_err(no_sense),
            None => Ok(()),
        }
    }

    /// How a request goes on that follows where an answer has led, if that is not as it came.
    ///
    /// # Errors
    /// When it must not: what it follows was not made by a door, or not for this.
    pub(super) fn lead_on(&self, exchange: &Exchange) -> Result<Option<UploadSession>, Refusal> {
        let Some(route) = exchange.route() else { return Ok(None) };
        let asked = exchange.onward_path_and_query();
        let Some((repository, upload)) = route.upload() else {
            return self.uploads.follow(route, asked).map_err(|_| {
                Refusal::new(ErrorCode::BlobUnknown, "there is no such place in this repository; pull again")
            });
        };
        self.uploads.lead_on(repository, upload.as_str(), asked).map_err(|error| match error {
            NotOnward::Unknown => Refusal::new(
                ErrorCode::BlobUploadUnknown,
                "there is no such upload in this repository; begin a new one",
            ),
            NotOnward::Added => Refusal::new(
                ErrorCode::BlobUploadInvalid,
                "nothing but `digest` may be added to the URL of this upload",
            ),
        })
    }
}

/// What an answer's `Location` says.
enum Continues {
    /// Where an upload goes on.
    Upload,
    /// Where a pull goes on.
    Pull,
    /// Something else.
    Not,
}

fn lead_links_back<F>(links: &Links<'_, F>, head: &mut ResponseHead) -> Result<(), Refusal>
where
    F: Fn(&UriReference<'_>) -> bool,
{
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

fn not_led_back(error: SealError) -> Refusal {
    let message = format!("the registry's `Location` cannot be led back to the door: {error}");
    Refusal::new(ErrorCode::Unavailable, message).with_status(StatusCode::BAD_GATEWAY).because(error)
}

fn no_sense(error: impl Into<super::BoxError>) -> Refusal {
    Refusal::new(ErrorCode::Unavailable, "the registry's answer makes no sense")
        .with_status(StatusCode::BAD_GATEWAY)
        .because(error)
}
