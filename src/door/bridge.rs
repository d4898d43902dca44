//! The one bridge from pingora to the axum router that serves pages and the API.
//!
//! The router has a request's head first, and its body piece by piece as it asks for that: a body that it refuses by the head
//! alone is neither sent nor held. What it is given, and what it answers, counts for `limits.body_memory`.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::Method;
use http_body_util::BodyExt;
use pingora_core::Result;
use pingora_proxy::Session;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::body_memory::Reservation;
use super::{Limits, Refusal, ResponseHead, body, forward, header_names, respond};
use crate::auth::{DoorOrigin, Viewer};
use crate::oci::ErrorCode;
use crate::telemetry::AccessNote;

/// A response of the router, before it is sent.
pub(super) struct RouterAnswer {
    pub(super) head: ResponseHead,
    pub(super) body: Body,
    /// What its maker has to say to the access log.
    pub(super) note: Option<AccessNote>,
    /// The memory that it takes, until it is sent.
    held: Reservation,
}

/// Has the router answer. The client's address, that by which it knows the door, and what its user may see, go along as
/// extensions. `held` grows with the request's body, and then with the answer.
///
/// # Errors
/// When the request's body cannot be had, there is no memory for it or for the answer, or the request cannot be put into words
/// that axum takes.
pub(super) async fn call(
    router: &axum::Router,
    session: &mut Session,
    client: IpAddr,
    origin: DoorOrigin,
    viewer: Viewer,
    limits: &Limits,
    mut held: Reservation,
) -> Result<RouterAnswer, Refusal> {
    let (body, mut wanted, pieces) = body_on_demand();
    let header = session.req_header();
    let mut request = http::Request::new(body);
    *request.method_mut() = header.method.clone();
    *request.uri_mut() = header.uri.clone();
    *request.headers_mut() = header.headers.clone();
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(origin);
    request.extensions_mut().insert(viewer);
    let calling = router.clone().oneshot(request);
    tokio::pin!(calling);
    let mut pieces = Some(pieces);
    let mut received = 0;
    let mut progress = None;
    let response = loop {
        tokio::select! {
            biased;
            response = &mut calling => match response {
                Ok(response) => break response,
                Err(never) => match never {},
            },
            Some(()) = wanted.recv(), if pieces.is_some() => {
                if progress.is_none() {
                    body::send_continue(session).await?;
                }
                let progress = progress.get_or_insert_with(|| body::Progress::new(limits));
                // The end is told by dropping the sender.
                let Some(piece) = body::read_piece(session, progress).await? else {
                    pieces = None;
                    continue;
                };
                received += piece.len();
                held.grow_to(received as u64)?;
                // The router asked for this piece, so that there is room for it unless it has dropped the body meanwhile.
                if let Some(sender) = &pieces {
                    let _ = sender.send(piece).await;
                }
            }
        }
    };
    let (mut parts, body) = response.into_parts();
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
    Ok(RouterAnswer { head, body, note: parts.extensions.remove(), held })
}

/// A body that comes in pieces, a receiver that tells when one is wanted, and a sender for it. The body ends when the sender is
/// dropped.
fn body_on_demand() -> (Body, mpsc::Receiver<()>, mpsc::Sender<Bytes>) {
    let (want, wanted) = mpsc::channel(1);
    let (sender, pieces) = mpsc::channel::<Bytes>(1);
    let body = stream::unfold((want, pieces), |(want, mut pieces)| async move {
        // The other end is gone once the request's body has ended.
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
pub(super) async fn send(session: &mut Session, answer: RouterAnswer) -> Result<()> {
    let RouterAnswer { mut head, mut body, held: _held, note: _ } = answer;
    let is_reusable = body::drain(session).await;
    if !is_reusable {
        session.set_keepalive(None);
    }
    let length = axum::body::HttpBody::size_hint(&body).exact();
    respond::tell_end(session, &mut head, length)?;
    let has_body = length != Some(0) && session.req_header().method != Method::HEAD;
    session.write_response_header(Box::new(header_names::with_canonical_names(&head)?), !has_body).await?;
    if has_body {
        send_body(session, &mut body, is_reusable).await?;
    }
    if !is_reusable {
        body::linger(session).await;
    }
    Ok(())
}

/// Sends the body. While there is nothing to send, and the request's own body has been read, a client that goes away ends it.
async fn send_body(session: &mut Session, body: &mut Body, is_read: bool) -> Result<()> {
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
