//! The one bridge from pingora to the axum router that serves pages and the API.
//!
//! The router has a request's head first, and its body piece by piece as it asks for that: a body that it refuses by the head
//! alone is neither sent nor held. What it is given, and what it answers, counts for `limits.body_memory`.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use pingora_proxy::Session;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::body_memory::Reservation;
use super::inbound::Inbound;
use super::respond::{LocalAnswer, LocalBody};
use super::{AnswerOrigin, Exchange, Limits, Refusal, ResponseHead, body, forward};
use crate::auth::DoorOrigin;
use crate::oci::ErrorCode;

/// Has the router answer. The client's address, that by which it knows the door, and what its user may see, go along as
/// extensions. `held` grows with the request's body, and then with the answer.
///
/// # Errors
/// When the request's body cannot be had, there is no memory for it or for the answer, or the request cannot be put into words
/// that axum takes.
pub(super) async fn call(
    router: &axum::Router,
    inbound: Inbound<'_>,
    exchange: &Exchange,
    origin: DoorOrigin,
    limits: &Limits,
    mut held: Reservation,
) -> Result<LocalAnswer, Refusal> {
    let mut request = http::Request::new(Body::empty());
    let header = &exchange.request;
    *request.method_mut() = header.method.clone();
    *request.uri_mut() = header.uri.clone();
    *request.headers_mut() = header.headers.clone();
    request.extensions_mut().insert(exchange.client.address);
    request.extensions_mut().insert(origin);
    request.extensions_mut().insert(exchange.viewer.clone());
    let response = match inbound {
        Inbound::Session(session) => with_body(router, session, request, limits, &mut held).await?,
        Inbound::WithoutBody(_) => match router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
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
    let (body, note) = (LocalBody::Streamed(body), parts.extensions.remove());
    Ok(LocalAnswer { head, body, origin: AnswerOrigin::Door, note, held: Some(held) })
}

/// Has the router answer a request whose body is read from the client as the router asks for it.
async fn with_body(
    router: &axum::Router,
    session: &mut Session,
    request: http::Request<Body>,
    limits: &Limits,
    held: &mut Reservation,
) -> Result<http::Response<Body>, Refusal> {
    let (body, mut wanted, pieces) = body_on_demand();
    let calling = router.clone().oneshot(request.map(|_| body));
    tokio::pin!(calling);
    let mut pieces = Some(pieces);
    let mut received = 0;
    let mut progress = None;
    loop {
        tokio::select! {
            biased;
            response = &mut calling => match response {
                Ok(response) => return Ok(response),
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
    }
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
