//! The limits of the door.

use std::time::Duration;

use super::RequestLimits;
use crate::registry::RegistryTimeouts;

/// How long either side may let the other wait, and how many requests there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `listen.client_timeout`.
    pub client_timeout: Duration,
    /// `limits.head_timeout`.
    pub head_timeout: Duration,
    /// `limits.idle_timeout`.
    pub idle_timeout: Duration,
    /// `limits.requests` and `limits.requests_per_address`.
    pub requests: RequestLimits,
    /// `registry.timeout` and `registry.commit_timeout`.
    pub registry: RegistryTimeouts,
}
