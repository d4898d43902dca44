//! Error codes and bodies of the distribution specification.

use http::StatusCode;
use serde::Serialize;

/// The error codes that the door itself answers with, of the OCI distribution spec ("Error Codes") and of distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// `BLOB_UNKNOWN`
    BlobUnknown,
    /// `BLOB_UPLOAD_INVALID`
    BlobUploadInvalid,
    /// `BLOB_UPLOAD_UNKNOWN`
    BlobUploadUnknown,
    /// `DIGEST_INVALID`
    DigestInvalid,
    /// `MANIFEST_INVALID`
    ManifestInvalid,
    /// `MANIFEST_UNKNOWN`
    ManifestUnknown,
    /// `NAME_INVALID`
    NameInvalid,
    /// `PAGINATION_NUMBER_INVALID`: of distribution 3, for an `n` that is no number.
    PaginationNumberInvalid,
    /// `SIZE_INVALID`
    SizeInvalid,
    /// `TAG_INVALID`
    TagInvalid,
    /// `UNAUTHORIZED`
    Unauthorized,
    /// `DENIED`
    Denied,
    /// `UNSUPPORTED`
    Unsupported,
    /// `TOOMANYREQUESTS`
    TooManyRequests,
    /// `UNAVAILABLE`: the door or the registry cannot serve this now; trying again later may help.
    Unavailable,
    /// `NOT_FOUND`: a path under `/v2/` that names nothing the specification knows.
    NotFound,
    /// `UNKNOWN`: the door itself failed.
    Unknown,
}

impl ErrorCode {
    /// The code as it stands in the body.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unavailable => "UNAVAILABLE",
            Self::NotFound => "NOT_FOUND",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The HTTP status that goes with the code unless the place where it arises knows better.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BlobUnknown | Self::BlobUploadUnknown | Self::ManifestUnknown | Self::NotFound => {
                StatusCode::NOT_FOUND
            }
            Self::BlobUploadInvalid
            | Self::DigestInvalid
            | Self::ManifestInvalid
            | Self::NameInvalid
            | Self::PaginationNumberInvalid
            | Self::TagInvalid => StatusCode::BAD_REQUEST,
            Self::SizeInvalid => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// When to come again after a 503 of the door's own that does not know better (RFC 9110 section 10.2.3): what is unavailable
/// (a full disk, a busy queue) rarely comes back at once, and clients that push should not wait for long.
pub const RETRY_AFTER_SECONDS: u64 = 5;

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The body of an error answer: `{"errors":[{"code","message","detail"}]}`.
#[derive(Debug, Serialize)]
pub struct ErrorBody {
    errors: [ErrorEntry; 1],
}

#[derive(Debug, Serialize)]
struct ErrorEntry {
    code: ErrorCode,
    message: String,
    detail: serde_json::Value,
}

impl ErrorBody {
    /// One error with a message for the person at the client.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { errors: [ErrorEntry { code, message: message.into(), detail: serde_json::Value::Null }] }
    }

    /// The body as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The code of the first error in such a body, whoever made it; none if it is no such body.
pub fn first_error_code(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        code: String,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    body.errors.into_iter().next().map(|entry| entry.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_shape_of_the_specification() {
        let body = ErrorBody::new(ErrorCode::NameInvalid, "a \"quoted\"\nname");
        let expected = r#"{"errors":[{"code":"NAME_INVALID","message":"a \"quoted\"\nname","detail":null}]}"#;
        assert_eq!(String::from_utf8(body.to_json()).unwrap(), expected);
    }

    #[test]
    fn a_code_goes_with_the_status_of_the_specification() {
        for (code, text, status) in [
            (ErrorCode::ManifestUnknown, "MANIFEST_UNKNOWN", 404),
            (ErrorCode::DigestInvalid, "DIGEST_INVALID", 400),
            (ErrorCode::SizeInvalid, "SIZE_INVALID", 413),
            (ErrorCode::Unauthorized, "UNAUTHORIZED", 401),
            (ErrorCode::Denied, "DENIED", 403),
            (ErrorCode::Unsupported, "UNSUPPORTED", 405),
            (ErrorCode::TooManyRequests, "TOOMANYREQUESTS", 429),
            (ErrorCode::Unavailable, "UNAVAILABLE", 503),
        ] {
            assert_eq!((code.as_str(), code.status().as_u16()), (text, status));
        }
    }
}
