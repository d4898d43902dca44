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

/// Why a registry does not let the door in, as its answer to `GET /v2/` with the door's credentials shows. Its words are those of
/// log, status, `/readyz` and `portreeve check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsProblem {
    /// It refuses the door's credentials.
    #[error("the registry does not take the door's credentials ({0} to /v2/); see registry.auth")]
    Refused(StatusCode),
    /// It wants credentials, and the door has none.
    #[error("the registry wants credentials ({0} to /v2/); set registry.auth, so that the door has some")]
    Missing(StatusCode),
}

impl CredentialsProblem {
    /// What an answer with this status says, asked with credentials or, where the door has none, without. None where it lets the
    /// door in, or says nothing of that.
    pub fn of(status: StatusCode, has_credentials: bool) -> Option<Self> {
        match (status, has_credentials) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, true) => Some(Self::Refused(status)),
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, false) => Some(Self::Missing(status)),
            _ => None,
        }
    }
}
