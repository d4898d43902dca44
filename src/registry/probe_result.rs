//! What a probe of a backend shows.

use http::StatusCode;

use super::connection_fault::ConnectionFault;

/// What is behind a backend's URL, as its answer to `GET /v2/` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// A registry, whether or not it lets the door in.
    Registry,
    /// Something that fails with this status.
    Failing(StatusCode),
    /// Something that answers with this status, but not as a registry does.
    Foreign(StatusCode),
    /// Nothing that can be talked to, and why, as far as that is known.
    Silent(Option<ConnectionFault>),
}

impl ProbeResult {
    /// Whether it is a registry that can be asked.
    pub const fn is_registry(self) -> bool {
        matches!(self, Self::Registry)
    }
}
