//! The one bridge from pingora to the axum router that serves pages and the API.
//!
//! The router has a request's head first, and its body piece by piece as it asks for that: what it refuses by the head alone
//! makes nobody send or hold a body. What it is given, and what it answers, counts for `limits.body_memory`.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Version};
use http_body_util::BodyExt;
use pingora_core::Result;
use pingora_proxy::Session;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::body_memory::Held;
use super::{Limits, Refusal, ResponseHead, body, forward, spelling};
use crate::auth::Viewer;
use crate::oci::ErrorCode;

/// A response of the router, before it is sent.
pub(super) struct Answer {
    pub(super) head: ResponseHead,
    pub(super) body: Body,
    /// The room that it takes, until it is sent.
    held: Held,
}

/// Asks the router. The client's address, and what they may see, go along as extensions. `held` grows with the request's body,
/// and then with the answer.
///
/// # Errors
/// When the request's body cannot be had, there is no room for it or for the answer, or the request cannot be put into words
/// that axum takes.
pub(super) async fn ask(
    router: &axum::Router,
    session: &mut Session,
    client: IpAddr,
    viewer: Viewer,
    limits: &Limits,
    mut held: Held,
) -> Result<Answer, Refusal> {
    let (body, mut wanted, pieces) = asked_for_piece_by_piece();
    let header = session.req_header();
    let mut request = http::Request::new(body);
    *request.method_mut() = header.method.clone();
    *request.uri_mut() = header.uri.clone();
    *request.headers_mut() = header.headers.clone();
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(viewer);
    let asking = router.clone().oneshot(request);
    tokio::pin!(asking);
    let mut pieces = Some(pieces);
    let mut received = 0;
    let mut progress = None;
    let response = loop {
        tokio::select! {
            biased;
            response = &mut asking => match response {
                Ok(response) => break response,
                Err(never) => match never {},
            },
            Some(()) = wanted.recv(), if pieces.is_some() => {
                if progress.is_none() {
                    body::ask_for(session).await?;
                }
                let progress = progress.get_or_insert_with(|| body::Progress::new(limits));
                // The end is told by dropping the sender.
                let Some(piece) = body::piece(session, progress).await? else {
                    pieces = None;
                    continue;
                };
                received += piece.len();
                held.grow_to(received as u64)?;
                // It asked for this one, so that there is room for it unless it has lost interest meanwhile.
                if let Some(sender) = &pieces {
                    let _ = sender.send(piece).await;
                }
            }
        }
    };
    let (parts, body) = response.into_parts();
    held.grow_to(axum::body::HttpBody::size_hint(&body).exact().unwrap_or(0))?;
    let failed = |error: Box<pingora_core::Error>| {
        Refusal::new(ErrorCode::Unknown, "the door failed on this request; its log says why").because(error)
    };
    let mut head = ResponseHead::build(parts.status, Some(parts.headers.len())).map_err(failed)?;
    let mut headers = parts.headers;
    forward::remove_hop_by_hop(&mut headers);
    for (name, value) in &headers {
        head.append_header(name, value).map_err(failed)?;
    }
    Ok(Answer { head, body, held })
}

/// A body that comes in pieces, what tells that one is wanted, and where it is to be put. It ends when the latter is dropped.
fn asked_for_piece_by_piece() -> (Body, mpsc::Receiver<()>, mpsc::Sender<Bytes>) {
    let (want, wanted) = mpsc::channel(1);
    let (sender, pieces) = mpsc::channel::<Bytes>(1);
    let body = stream::unfold((want, pieces), |(want, mut pieces)| async move {
        // Where nobody hears it any more, no more comes.
        want.send(()).await.ok()?;
        let piece = pieces.recv().await?;
        Some((Ok::<_, Infallible>(piece), (want, pieces)))
    });
    (Body::from_stream(body), wanted, sender)
}

/// Sends the router's answer as it comes: also one that has no end, such as a stream of events. What the router did not read of
/// the request's body is thrown away within bounds; beyond them the connection ends with the answer.
///
/// # Errors
/// When the client is gone, or the router's body breaks off.
pub(super) async fn send(session: &mut Session, answer: Answer) -> Result<()> {
    let Answer { mut head, mut body, held: _held } = answer;
    let is_reusable = body::drain(session).await;
    if !is_reusable {
        session.set_keepalive(None);
    }
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
    if has_body {
        send_body(session, &mut body).await?;
    }
    if !is_reusable {
        body::linger(session).await;
    }
    Ok(())
}

async fn send_body(session: &mut Session, body: &mut Body) -> Result<()> {
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
