//! Names of upload sessions.

use super::refused::{Refused, refuse};
use crate::oci::ErrorCode;
use crate::oci::text::excerpt;

/// The name of an upload session: opaque, chosen by the registry, one path segment of `[a-zA-Z0-9-_.=]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadId(String);

impl UploadId {
    /// The longest name, in bytes. Distribution uses UUIDs; the door's own, which carry a registry's target, are longer.
    pub const MAXIMUM_BYTES: usize = 8 * 1024;

    pub(super) fn parse(text: &str) -> Result<Self, Refused> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=');
        if !text.is_empty() && text.len() <= Self::MAXIMUM_BYTES && text.bytes().all(is_allowed) {
            return Ok(Self(text.to_owned()));
        }
        let message =
            format!("`{}` is no upload session: letters, digits, `-`, `_`, `.` and `=`", excerpt(text));
        Err(refuse(ErrorCode::BlobUploadInvalid, message))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
