//! The door's credentials for the registry.

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AGE, DATE};
use http::{HeaderMap, HeaderValue};

use super::{Backend, BearerToken, BearerTokens, TokenError};
use crate::clock::{Sample, Timestamp};
use crate::oci::Access;
use crate::telemetry::CounterFamily;

pub(super) static CLOCK_CORRECTIONS: CounterFamily = CounterFamily {
    name: "portreeve_registry_clock_corrections_total",
    help: "How often the registry refused what the door showed it because its clock had been set",
    labels: &[],
};

/// The door's credentials for the registry.
pub enum RegistryCredentials {
    /// None.
    None,
    /// A name and a password, as `Authorization`; another one from when it is [replaced](Self::replace_basic).
    Basic(ArcSwap<HeaderValue>),
    /// Tokens that the door issues, in the registry's time.
    Token(Box<dyn BearerTokens>),
}

impl std::fmt::Debug for RegistryCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::Basic(_) => "Basic(…)",
            Self::Token(_) => "Token(…)",
        })
    }
}

impl RegistryCredentials {
    /// A name and a password (RFC 7617).
    pub fn basic(username: &str, password: &str) -> Self {
        // Base64 is always a header's value.
        basic_authorization(username, password)
            .map_or(Self::None, |value| Self::Basic(ArcSwap::from_pointee(value)))
    }

    /// From now on another name and password, where it is a name and a password.
    pub fn replace_basic(&self, username: &str, password: &str) {
        if let (Self::Basic(kept), Some(value)) = (self, basic_authorization(username, password)) {
            kept.store(Arc::new(value));
        }
    }

    /// Whether the door has credentials of its own.
    pub const fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }
}

fn basic_authorization(username: &str, password: &str) -> Option<HeaderValue> {
    let text = format!("Basic {}", STANDARD.encode(format!("{username}:{password}")));
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The door's credentials for one request. A token is issued when the request is sent to a backend, in the backend's own time,
/// however long the request has waited.
#[derive(Clone, Debug)]
pub struct RequestCredentials {
    credentials: Arc<RegistryCredentials>,
    subject: Option<String>,
    access: Vec<Access>,
}

/// The credentials that a backend was sent.
pub struct SentCredentials {
    /// The `Authorization` of the request, if it has one.
    pub authorization: Option<HeaderValue>,
    token: Option<(BearerToken, Timestamp)>,
}

impl RequestCredentials {
    /// By these, for a request of `subject`, or of the door itself, that needs this access.
    pub fn new(credentials: Arc<RegistryCredentials>, subject: Option<String>, access: Vec<Access>) -> Self {
        Self { credentials, subject, access }
    }

    /// The same for a request that needs another access.
    #[must_use]
    pub fn for_access(&self, access: Access) -> Self {
        let Self { credentials, subject, access: _ } = self.clone();
        Self { credentials, subject, access: vec![access] }
    }

    /// What this backend is to be sent now.
    ///
    /// # Errors
    /// When a token cannot be signed.
    pub fn issue(&self, backend: &Backend) -> Result<SentCredentials, TokenError> {
        match &*self.credentials {
            RegistryCredentials::None => Ok(SentCredentials { authorization: None, token: None }),
            RegistryCredentials::Basic(value) => {
                Ok(SentCredentials { authorization: Some(HeaderValue::clone(&value.load())), token: None })
            }
            RegistryCredentials::Token(tokens) => {
                let token = tokens.token(backend.key(), self.subject.as_deref(), &self.access)?;
                let authorization = Some(token.authorization.clone());
                Ok(SentCredentials { authorization, token: Some((token, tokens.steady())) })
            }
        }
    }

    /// Whether a request whose credentials the backend refused with this answer is to be repeated: the backend's clock is
    /// another than was thought, and what it refused it has not done. Corrects what is known of that clock.
    pub fn is_worth_retrying(&self, backend: &Backend, sent: &SentCredentials, answer: &HeaderMap) -> bool {
        let (RegistryCredentials::Token(tokens), Some((token, sent))) = (&*self.credentials, &sent.token)
        else {
            return false;
        };
        let sample = date(answer).map(|date| Sample { sent: *sent, received: tokens.steady(), date });
        let is_worth_retrying = tokens.refused(backend.key(), token, sample);
        if is_worth_retrying {
            CLOCK_CORRECTIONS.with([]).increment(1);
        }
        is_worth_retrying
    }
}

/// The `Date` of an answer; nothing if a cache has kept it for a while (RFC 9111 section 5.1).
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    if headers.get(AGE).is_some_and(|age| age.as_bytes() != b"0") {
        return None;
    }
    let date = headers.get(DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok().map(Timestamp::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_a_cache_has_kept_says_nothing_of_the_registrys_clock() {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        let written = Some(Timestamp::from_milliseconds(784_111_777_000));
        assert_eq!(date(&headers), written);
        headers.insert(AGE, HeaderValue::from_static("0"));
        assert_eq!(date(&headers), written);
        headers.insert(AGE, HeaderValue::from_static("3600"));
        assert_eq!(date(&headers), None);
    }
}
