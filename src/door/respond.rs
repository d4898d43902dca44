//! Sending the door's own answers: pages, carried writes, errors.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderValue, Method, StatusCode, Version};
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::{AnswerOrigin, BoxError, Refusal, Response, ResponseBody, ResponseHead, body, header_names};
use crate::oci::{ErrorBody, RETRY_AFTER_SECONDS};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Sends a whole answer. What the client still sends of its body is thrown away within bounds; beyond them the
/// connection ends with the answer.
///
/// # Errors
/// When the client is gone.
pub(super) async fn send(session: &mut Session, response: Response) -> Result<()> {
    let Response { mut head, body, origin: _ } = response;
    let length = match &body {
        ResponseBody::Whole(bytes) => Some(bytes.len() as u64),
        ResponseBody::Pieces(_) => None,
    };
    // From a client that stalls nothing more is awaited.
    let is_stalled = head.status == StatusCode::REQUEST_TIMEOUT;
    let is_reusable = !is_stalled && body::drain(session).await;
    if !is_reusable {
        session.set_keepalive(None);
    }
    tell_end(session, &mut head, length)?;
    let has_body = length != Some(0) && session.req_header().method != Method::HEAD;
    session.write_response_header(Box::new(header_names::with_canonical_names(&head)?), !has_body).await?;
    match body {
        _ if !has_body => {}
        ResponseBody::Whole(bytes) => session.write_response_body(Some(bytes), true).await?,
        ResponseBody::Pieces(pieces) => send_pieces(session, pieces).await?,
    }
    if !is_reusable && !is_stalled {
        body::linger(session).await;
    }
    Ok(())
}

/// Puts into a head where the body ends, which is so long if that is known.
pub(super) fn tell_end(session: &Session, head: &mut ResponseHead, length: Option<u64>) -> Result<()> {
    match length {
        Some(length) if has_length(head) && !head.headers.contains_key(CONTENT_LENGTH) => {
            head.insert_header(CONTENT_LENGTH, HeaderValue::from(length))
        }
        None if session.req_header().version == Version::HTTP_11 => {
            head.insert_header(TRANSFER_ENCODING, "chunked")
        }
        // An older client is told the end by that of the connection.
        Some(_) | None => Ok(()),
    }
}

/// Whether an answer with this head says how long it is (RFC 9110 section 8.6). One that says "not modified" does so of the
/// body that it has not.
fn has_length(head: &ResponseHead) -> bool {
    !head.status.is_informational()
        && head.status != StatusCode::NO_CONTENT
        && head.status != StatusCode::NOT_MODIFIED
}

async fn send_pieces(
    session: &mut Session,
    mut pieces: BoxStream<'static, std::result::Result<Bytes, BoxError>>,
) -> Result<()> {
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| {
            Error::because(
                ErrorType::InternalError,
                "the rest of the door's own answer cannot be made",
                error,
            )
        })?;
        session.write_response_body(Some(piece), false).await?;
    }
    session.write_response_body(Some(Bytes::new()), true).await
}

/// The answer that a refusal becomes: with headers and body of what the door answers itself, or with that of the OCI distribution spec
/// ("Error Codes").
pub(super) fn refusal(refusal: &Refusal, own: Option<http::Response<Vec<u8>>>) -> Result<Response> {
    let mut head = ResponseHead::build(refusal.status, Some(5))?;
    let body = match own {
        Some(own) => {
            let (parts, body) = own.into_parts();
            for (name, value) in &parts.headers {
                head.insert_header(name, value.clone())?;
            }
            body
        }
        None => {
            head.insert_header(CONTENT_TYPE, "application/json")?;
            head.insert_header(API_VERSION, "registry/2.0")?;
            ErrorBody::new(refusal.code, refusal.message.clone()).to_json()
        }
    };
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
    Ok(Response { head, body: ResponseBody::Whole(Bytes::from(body)), origin: AnswerOrigin::Door })
}
