//! An answer from the record, or why there is none.

use http::header::{CONTENT_TYPE, InvalidHeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

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

impl From<InvalidHeaderValue> for Unanswered {
    fn from(error: InvalidHeaderValue) -> Self {
        Self::Head(error.into())
    }
}

/// The headers of an answer with a body of this type.
pub(super) fn headers(content_type: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}

pub(super) fn response(status: StatusCode, headers: HeaderMap, body: impl Into<ResponseBody>) -> Response {
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.status = status;
    head.headers = headers;
    // The door spells the names as it sends them.
    Response { head: ResponseHead::from(head), body: body.into(), origin: AnswerOrigin::Record }
}
