//! Bearer tokens for a registry that verifies them itself: what the client wants of whoever makes them, which is `auth/`.

use http::HeaderValue;

use super::BackendKey;
use crate::clock::{Sample, Timestamp};
use crate::oci::Access;

/// Makes tokens in the time of each backend's clock.
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

    /// This backend refused a token; the sample is what its answer says of its clock. Whether another token would be better:
    /// one is made for another time than this one was.
    fn refused(&self, backend: &BackendKey, token: &BearerToken, sample: Option<Sample>) -> bool;

    /// The time in which samples of the registry's clock are taken.
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

/// Why there is no token: the registry has heard nothing.
#[derive(Debug, thiserror::Error)]
#[error("the door has no token for the registry: {0}")]
pub struct TokenError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
