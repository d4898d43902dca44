//! Why a request is not forwarded.

use std::borrow::Cow;

use crate::oci::ErrorCode;

/// Why a request is not forwarded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct Refused {
    /// The specification's code.
    pub code: ErrorCode,
    /// For the person at the client: what was wrong and what would be right.
    pub message: Cow<'static, str>,
    /// For [`ErrorCode::Unsupported`]: the methods that this path takes.
    pub allow: Option<&'static str>,
}

pub(super) fn refuse(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Refused {
    Refused { code, message: message.into(), allow: None }
}

/// Refuses a method that a path does not take.
pub(super) fn unsupported(allow: &'static str) -> Refused {
    let message = format!("this path takes {allow} only");
    Refused { code: ErrorCode::Unsupported, message: message.into(), allow: Some(allow) }
}
