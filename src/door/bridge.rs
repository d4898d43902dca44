//! The one bridge from pingora to the axum router that serves pages and the API.

use std::net::IpAddr;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Version};
use http_body_util::BodyExt;
use pingora_core::Result;
use pingora_proxy::Session;
use tower::ServiceExt;

use super::{Limits, Refusal, ResponseHead, body, forward, spelling};
use crate::auth::Viewer;
use crate::oci::ErrorCode;

/// The longest request body that a page or the API takes.
const MAXIMUM_BODY_BYTES: usize = 1024 * 1024;

/// A response of the router, before it is sent.
pub(super) struct Answer {
    pub(super) head: ResponseHead,
    pub(super) body: Body,
}

/// Asks the router. The client's address, and what they may see, go along as extensions.
///
/// # Errors
/// When the request's body cannot be had, or the request cannot be put into words that axum takes.
pub(super) async fn ask(
    router: &axum::Router,
    session: &mut Session,
    client: IpAddr,
    viewer: Viewer,
    limits: &Limits,
) -> Result<Answer, Refusal> {
    let body = body::read(session, MAXIMUM_BODY_BYTES, limits).await?;
    let header = session.req_header();
    let mut request = http::Request::new(Body::from(body));
    *request.method_mut() = header.method.clone();
    *request.uri_mut() = header.uri.clone();
    *request.headers_mut() = header.headers.clone();
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(viewer);
    let response = match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (parts, body) = response.into_parts();
    let failed = |error: Box<pingora_core::Error>| {
        Refusal::new(ErrorCode::Unknown, "the door failed on this request; its log says why").because(error)
    };
    let mut head = ResponseHead::build(parts.status, Some(parts.headers.len())).map_err(failed)?;
    let mut headers = parts.headers;
    forward::remove_hop_by_hop(&mut headers);
    for (name, value) in &headers {
        head.append_header(name, value).map_err(failed)?;
    }
    Ok(Answer { head, body })
}

/// Sends the router's answer as it comes: also one that has no end, such as a stream of events.
///
/// # Errors
/// When the client is gone, or the router's body breaks off.
pub(super) async fn send(session: &mut Session, answer: Answer) -> Result<()> {
    let Answer { mut head, mut body } = answer;
    let length = axum::body::HttpBody::size_hint(&body).exact();
    match length {
        Some(length) if !head.headers.contains_key(CONTENT_LENGTH) => {
            head.insert_header(CONTENT_LENGTH, HeaderValue::from(length))?;
        }
        Some(_) => {}
        None if session.req_header().version == Version::HTTP_11 => {
            head.insert_header(TRANSFER_ENCODING, "chunked")?;
        }
        None => {}
    }
    let has_body = length != Some(0) && session.req_header().method != Method::HEAD;
    session.write_response_header(Box::new(spelling::canonical(&head)?), !has_body).await?;
    if !has_body {
        return Ok(());
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            pingora_core::Error::because(
                pingora_core::ErrorType::InternalError,
                "the router's body broke off",
                error,
            )
        })?;
        if let Ok(data) = frame.into_data() {
            session.write_response_body(Some(data), false).await?;
        }
    }
    session.write_response_body(Some(Bytes::new()), true).await
}
