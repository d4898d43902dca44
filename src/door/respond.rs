//! Sending the door's own answers: pages, carried writes, errors.

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderValue, Method, StatusCode, Version};
use http_body_util::BodyExt as _;
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::body_memory::Reservation;
use super::{AnswerOrigin, Refusal, Response, ResponseBody, ResponseHead, body, header_names};
use crate::oci::{ErrorBody, RETRY_AFTER_SECONDS};
use crate::telemetry::AccessNote;

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// An answer of the door's own.
pub(super) struct LocalAnswer {
    pub head: ResponseHead,
    pub body: LocalBody,
    /// Who made it.
    pub origin: AnswerOrigin,
    /// What its maker has to say to the access log.
    pub note: Option<AccessNote>,
    /// The memory that it takes, until it is sent.
    pub held: Option<Reservation>,
}

/// The body of an answer of the door's own.
pub(super) enum LocalBody {
    /// There as a whole.
    Whole(Bytes),
    /// Made while it is sent, perhaps without end. A failure ends the connection, so that the client sees that something is
    /// missing.
    Streamed(Body),
}

impl LocalBody {
    /// How long it is, if that is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Streamed(body) => body.size_hint().exact(),
        }
    }
}

impl From<Response> for LocalAnswer {
    fn from(response: Response) -> Self {
        let Response { head, body, origin } = response;
        let body = match body {
            ResponseBody::Whole(bytes) => LocalBody::Whole(bytes),
            ResponseBody::Pieces(pieces) => LocalBody::Streamed(Body::from_stream(pieces)),
        };
        Self { head, body, origin, note: None, held: None }
    }
}

/// Sends an answer through pingora. What the client still sends of its body is thrown away within bounds; beyond them the
/// connection ends with the answer.
///
/// # Errors
/// When the client is gone, or the rest of the body cannot be made.
pub(super) async fn send(session: &mut Session, answer: LocalAnswer) -> Result<()> {
    let LocalAnswer { mut head, body, origin: _, note: _, held: _held } = answer;
    // From a client that stalls nothing more is awaited.
    let is_stalled = head.status == StatusCode::REQUEST_TIMEOUT;
    let is_reusable = !is_stalled && body::drain(session).await;
    if !is_reusable {
        session.set_keepalive(None);
    }
    let length = body.length();
    tell_end(session.req_header().version, &mut head, length)?;
    let has_body = length != Some(0) && session.req_header().method != Method::HEAD;
    session.write_response_header(Box::new(header_names::with_canonical_names(&head)?), !has_body).await?;
    match body {
        _ if !has_body => {}
        LocalBody::Whole(bytes) => session.write_response_body(Some(bytes), true).await?,
        LocalBody::Streamed(body) => send_pieces(session, body, is_reusable).await?,
    }
    if !is_reusable && !is_stalled {
        body::linger(session).await;
    }
    Ok(())
}

/// Puts into a head where the body ends, which is so long if that is known.
pub(super) fn tell_end(version: Version, head: &mut ResponseHead, length: Option<u64>) -> Result<()> {
    match length {
        Some(length) if has_length(head) && !head.headers.contains_key(CONTENT_LENGTH) => {
            head.insert_header(CONTENT_LENGTH, HeaderValue::from(length))
        }
        None if version == Version::HTTP_11 => head.insert_header(TRANSFER_ENCODING, "chunked"),
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

/// Sends a body as it is made. While there is nothing to send, and the request's own body has been read, a client that goes
/// away ends it.
async fn send_pieces(session: &mut Session, mut body: Body, is_read: bool) -> Result<()> {
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            gone = session.as_downstream_mut().read_body_or_idle(true), if is_read => match gone {
                Ok(_) => continue,
                Err(error) => return Err(error),
            },
        };
        let Some(frame) = frame else { break };
        if let Ok(data) = frame.map_err(broken_off)?.into_data() {
            session.write_response_body(Some(data), false).await?;
        }
    }
    session.write_response_body(Some(Bytes::new()), true).await
}

/// The rest of an answer cannot be made.
pub(super) fn broken_off(error: axum::Error) -> Box<Error> {
    Error::because(ErrorType::InternalError, "the rest of the door's own answer cannot be made", error)
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
