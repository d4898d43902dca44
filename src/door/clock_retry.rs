//! A request that the registry refuses because its clock is another than the door thought.
//!
//! What the registry refuses it has not done. So the door corrects what it knows of that clock by the refusal's own `Date`,
//! and sends the request once more, unless that takes more of the body than is still at hand: then the client is told to send
//! it again.

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use pingora_core::{Error, ErrorType};
use pingora_proxy::Session;

use super::{Refusal, ResponseHead};
use crate::oci::ErrorCode;
use crate::registry::{Backend, RequestCredentials, SentCredentials};

/// Whether a request is repeated because the registry's clock was another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ClockRetry {
    /// It is not.
    #[default]
    None,
    /// It is to be.
    Wanted,
    /// It was, and is not again.
    Done,
}

/// What becomes of an answer.
pub(super) enum Verdict {
    /// It is passed on.
    Pass,
    /// The request is repeated.
    Repeat,
    /// The client has to repeat it.
    Refuse(Refusal),
}

/// The credentials by which the door asked a backend.
pub(super) struct Presented<'a> {
    pub credentials: &'a RequestCredentials,
    pub backend: &'a Backend,
    pub sent: &'a SentCredentials,
}

/// Judges an answer by its head; `presented` is none where the door asked with no credentials of its own.
pub(super) fn judge(session: &mut Session, head: &ResponseHead, presented: Option<Presented<'_>>) -> Verdict {
    // Whether the registry refuses them for its clock alone.
    let is_for_the_clock = head.status == StatusCode::UNAUTHORIZED
        && presented.is_some_and(|Presented { credentials, backend, sent }| {
            credentials.is_worth_retrying(backend, sent, &head.headers)
        });
    match is_for_the_clock {
        false => Verdict::Pass,
        true if is_body_at_hand(session) => Verdict::Repeat,
        true => Verdict::Refuse(retry_by_client()),
    }
}

/// What ends the forwarding of such an answer.
pub(super) fn error(head: &ResponseHead) -> Box<Error> {
    let status = ErrorType::HTTPStatus(head.status.as_u16());
    Error::explain(status, "the registry's clock is another than was thought").into_up()
}

/// Whether the whole body can be sent again: nothing of it was read, or what was read is still there.
fn is_body_at_hand(session: &mut Session) -> bool {
    if session.is_body_empty() {
        return true;
    }
    let (is_done, body) = (session.is_body_done(), session.as_ref());
    // pingora keeps the first 64 KiB. Of a body without a byte nothing would tell the registry that it has ended.
    !body.retry_buffer_truncated() && (!is_done || body.get_retry_buffer().is_some())
}

/// Clients repeat what was refused so, and what they repeat is taken.
fn retry_by_client() -> Refusal {
    let message =
        "the registry's clock has been set, and the door follows it; nothing was done: send this again";
    Refusal::new(ErrorCode::Unavailable, message)
        .with_status(StatusCode::SERVICE_UNAVAILABLE)
        .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
        .because(
            "the registry's clock is another than was thought, and the body is too long to be sent again",
        )
}
