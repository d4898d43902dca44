//! Sending the door's own answers: pages, carried writes, errors.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use pingora_core::Result;
use pingora_proxy::Session;

use super::{AnswerOrigin, Refusal, Response, ResponseHead, body, header_names};
use crate::oci::{ErrorBody, RETRY_AFTER_SECONDS};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Sends a whole answer. What the client still sends of its body is thrown away within bounds; beyond them the
/// connection ends with the answer.
///
/// # Errors
/// When the client is gone.
pub(super) async fn send(session: &mut Session, response: Response) -> Result<()> {
    let Response { mut head, body, origin: _ } = response;
    // From a client that stalls nothing more is awaited.
    let is_stalled = head.status == StatusCode::REQUEST_TIMEOUT;
    let is_reusable = !is_stalled && body::drain(session).await;
    if !is_reusable {
        session.set_keepalive(None);
    }
    if !head.status.is_informational()
        && head.status != StatusCode::NO_CONTENT
        && !head.headers.contains_key(CONTENT_LENGTH)
    {
        head.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    }
    let has_body = !body.is_empty() && session.req_header().method != Method::HEAD;
    session.write_response_header(Box::new(header_names::with_canonical_names(&head)?), !has_body).await?;
    if has_body {
        session.write_response_body(Some(body), true).await?;
    }
    if !is_reusable && !is_stalled {
        body::linger(session).await;
    }
    Ok(())
}

/// The answer that a refusal becomes (OCI distribution spec, "Error Codes").
pub(super) fn refusal(refusal: &Refusal) -> Result<Response> {
    let body = ErrorBody::new(refusal.code, refusal.message.clone()).to_json();
    let mut head = ResponseHead::build(refusal.status, Some(5))?;
    head.insert_header(CONTENT_TYPE, "application/json")?;
    head.insert_header(API_VERSION, "registry/2.0")?;
    head.insert_header("x-content-type-options", "nosniff")?;
    if let Some(allow) = refusal.allow {
        head.insert_header(ALLOW, allow)?;
    }
    for (name, value) in &refusal.headers {
        head.append_header(name, value.clone())?;
    }
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE && !head.headers.contains_key(RETRY_AFTER) {
        head.insert_header(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))?;
    }
    Ok(Response { head, body: Bytes::from(body), origin: AnswerOrigin::Door })
}
