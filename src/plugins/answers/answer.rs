//! An answer from the record, or why there is none.

use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::door::{AnswerOrigin, BoxError, Refusal, Response, ResponseBody, ResponseHead};
use crate::store::StoreError;

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Why there is no answer from the record.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// The record does not have it, or is not sure of it.
    #[error("the record does not have it")]
    NotRecorded,
    /// The record cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The request is wrong.
    #[error("the request is wrong")]
    Refused(Refusal),
    /// The answer cannot be put into words.
    #[error("the answer cannot be made")]
    Head(#[source] BoxError),
}

impl From<Box<pingora_core::Error>> for Unanswered {
    fn from(error: Box<pingora_core::Error>) -> Self {
        Self::Head(error)
    }
}

/// The head of an answer with a body of this type.
pub(super) fn head(status: StatusCode, content_type: HeaderValue) -> Result<ResponseHead, Unanswered> {
    // The door spells the names as it sends them.
    let mut head = ResponseHead::build_no_case(status, Some(8))?;
    head.insert_header(CONTENT_TYPE, content_type)?;
    head.insert_header(API_VERSION, HeaderValue::from_static("registry/2.0"))?;
    head.insert_header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))?;
    Ok(head)
}

pub(super) fn response(head: ResponseHead, body: impl Into<ResponseBody>) -> Response {
    Response { head, body: body.into(), origin: AnswerOrigin::Record }
}
