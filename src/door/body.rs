//! Request bodies that the door reads itself: manifests whole, the rest of a refused request thrown away.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora_proxy::Session;

use super::body_memory::Reservation;
use super::watchdog::Stall;
use super::{Limits, Refusal};
use crate::oci::ErrorCode;

/// How much of an unread body is thrown away, and for how long, before the connection is given up instead: enough for a
/// client that has already sent a manifest or a small layer to read the answer. With HTTP/2 the connection goes on in any
/// case, but clients such as curl take an answer in the middle of what they send for a broken stream.
const DRAIN_BYTES: usize = 4 * 1024 * 1024;
const DRAIN_BYTES_HTTP2: usize = 64 * 1024 * 1024;
/// How much is thrown away after the answer, of a connection that ends with it.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
pub(super) const DRAIN_TIME: Duration = Duration::from_secs(2);
/// The least rate of a body that is read whole, in bytes a second, behind which it may fall by `limits.head_timeout`.
const LEAST_RATE: f64 = 1024.0;

/// Reads a whole body of at most `limit` bytes, from a client that may stall, or be slow, within `limits`. `held` grows
/// with it.
///
/// # Errors
/// 413 when it is longer (said at once if the client announced it), 400 when it breaks off, 408 when it stalls or is
/// too slow, 503 when there is no memory for it.
pub(super) async fn read(
    session: &mut Session,
    limit: usize,
    limits: &Limits,
    held: &mut Reservation,
) -> Result<Bytes, Refusal> {
    if announced_length(session).is_some_and(|length| length > limit as u64) {
        return Err(too_long(limit));
    }
    send_continue(session).await?;
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    let mut progress = Progress::new(limits);
    loop {
        let Some(chunk) = read_piece(session, &mut progress).await? else { break };
        let so_far = first.as_ref().map_or(whole.len(), Bytes::len);
        if so_far + chunk.len() > limit {
            return Err(too_long(limit));
        }
        // While pieces are put together they take twice as much.
        let reserved = if so_far == 0 { chunk.len() } else { (so_far + chunk.len()) * 2 };
        held.grow_to(reserved as u64)?;
        // Most manifests arrive in one piece, which is then used as it is.
        match first.take() {
            None if whole.is_empty() => first = Some(chunk),
            None => whole.extend_from_slice(&chunk),
            Some(earlier) => {
                whole.extend_from_slice(&earlier);
                whole.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

/// Sends `100 Continue` to a client that waits for it.
pub(super) async fn send_continue(session: &mut Session) -> Result<(), Refusal> {
    if expects_continue(session) {
        let client = session.as_downstream_mut();
        // pingora takes this for an answer that came before the end of the body, and would close the connection.
        client.set_close_on_response_before_downstream_finish(false);
        client.write_continue_response().await.map_err(broken_off)?;
        client.set_close_on_response_before_downstream_finish(true);
    }
    Ok(())
}

/// How far a body is that the door reads itself.
pub(super) struct Progress<'a> {
    limits: &'a Limits,
    begun: Instant,
    received: usize,
}

impl<'a> Progress<'a> {
    /// Of a body that begins now.
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self { limits, begun: Instant::now(), received: 0 }
    }

    /// Until when the next piece has to be there, and which stall it is otherwise.
    fn deadline(&self) -> (Instant, Stall) {
        let Self { limits, begun, received } = self;
        let stalled = Instant::now() + limits.client_timeout;
        #[expect(clippy::cast_precision_loss, reason = "bodies are shorter than 2^53 bytes")]
        let slow = *begun + limits.head_timeout + Duration::from_secs_f64(*received as f64 / LEAST_RATE);
        match slow < stalled {
            true => (slow, Stall::Slow(limits.head_timeout)),
            false => (stalled, Stall::Client(limits.client_timeout)),
        }
    }
}

/// Reads the next piece of a body, of whatever length it came in; none at its end.
///
/// # Errors
/// 400 when it breaks off, 408 when the client stalls or is too slow.
pub(super) async fn read_piece(
    session: &mut Session,
    progress: &mut Progress<'_>,
) -> Result<Option<Bytes>, Refusal> {
    let (deadline, stall) = progress.deadline();
    match tokio::time::timeout_at(deadline.into(), session.read_request_body()).await {
        Err(_elapsed) => {
            stall.count();
            Err(Refusal { code: ErrorCode::ManifestInvalid, ..stall.refusal() })
        }
        Ok(Err(error)) => {
            // Where the next request would begin is unknown.
            session.set_keepalive(None);
            Err(broken_off(error))
        }
        Ok(Ok(piece)) => {
            progress.received += piece.as_ref().map_or(0, Bytes::len);
            Ok(piece)
        }
    }
}

/// Throws away what is left of a body, so that the client can read the answer and the connection can go on. Says
/// whether the end was reached; if not, the connection has to be closed.
pub(super) async fn drain(session: &mut Session) -> bool {
    if session.is_body_done() {
        return true;
    }
    let is_http1 = !session.is_http2();
    if is_http1 && expects_continue(session) {
        // The client waits for `100 Continue`, and does not get it.
        return false;
    }
    let limit = if is_http1 { DRAIN_BYTES } else { DRAIN_BYTES_HTTP2 };
    if announced_length(session).is_some_and(|length| length > limit as u64) {
        return false;
    }
    discard(session, limit).await
}

/// After an answer with which the connection ends: lets the client see that at once, and throws away what it still sends,
/// for [`DRAIN_TIME`]. To close a connection while bytes come in is to reset it, and the answer may be lost with it (RFC 9112
/// section 9.6).
pub(super) async fn linger(session: &mut Session) {
    if session.is_body_done() {
        return;
    }
    if !session.is_http2() {
        // Of HTTP/1.1 this closes what goes to the client, and nothing else.
        session.as_downstream_mut().shutdown().await;
    }
    discard(session, LINGER_BYTES).await;
}

/// Reads at most so much of a body, for [`DRAIN_TIME`]. Says whether its end was reached.
async fn discard(session: &mut Session, limit: usize) -> bool {
    let draining = async {
        let mut drained = 0;
        while drained <= limit {
            match session.read_request_body().await {
                Ok(Some(chunk)) => drained += chunk.len(),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    };
    tokio::time::timeout(DRAIN_TIME, draining).await.unwrap_or(false)
}

/// Whether the client holds its body back until it gets `100 Continue` (RFC 9110 section 10.1.1).
pub(super) fn expects_continue(session: &Session) -> bool {
    session
        .req_header()
        .headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn announced_length(session: &Session) -> Option<u64> {
    session.req_header().headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_long(limit: usize) -> Refusal {
    let mebibytes = limit / (1024 * 1024);
    Refusal::new(
        ErrorCode::SizeInvalid,
        format!("the request's body is longer than the {mebibytes} MiB that are allowed"),
    )
}

fn broken_off(error: Box<pingora_core::Error>) -> Refusal {
    Refusal::new(ErrorCode::ManifestInvalid, "the request's body broke off").because(error)
}
