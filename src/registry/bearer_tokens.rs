//! Bearer tokens for a registry that verifies them itself: what the client needs of their issuer, which `auth/` provides.

use http::HeaderValue;

use super::BackendKey;
use crate::clock::{Sample, Timestamp};
use crate::oci::Access;

/// Issues tokens in the time of each backend's clock.
pub trait BearerTokens: Send + Sync {
    /// A token that this backend accepts now, for a request of `subject`, or of the door itself, that needs this access.
    ///
    /// # Errors
    /// When it cannot be signed.
    fn token(
        &self,
        backend: &BackendKey,
        subject: Option<&str>,
        access: &[Access],
    ) -> Result<BearerToken, TokenError>;

    /// Notes that this backend refused a token; the sample is what its answer says of its clock. Answers whether the backend
    /// may take another token: it would be made for another time than this one was.
    fn refused(&self, backend: &BackendKey, token: &BearerToken, sample: Option<Sample>) -> bool;

    /// The time by the clock by which samples of the registry's clock are taken.
    fn steady(&self) -> Timestamp;
}

/// A token for one backend of the registry.
#[derive(Clone, Debug)]
pub struct BearerToken {
    /// The `Authorization` that shows it, marked as sensitive.
    pub authorization: HeaderValue,
    /// How far ahead the backend's clock was thought to be, in milliseconds.
    pub offset: i64,
}

/// Why there is no token. Nothing was sent to the registry.
#[derive(Debug, thiserror::Error)]
#[error("the door has no token for the registry: {0}")]
pub struct TokenError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
