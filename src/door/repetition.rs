//! A request that the registry refuses because its clock is another than the door thought.
//!
//! What the registry refuses it has not done. So the door corrects what it knows of that clock by the refusal's own `Date`,
//! and sends the request once more, unless that takes more of the body than is still at hand: then the client is told to send
//! it again.

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use pingora_proxy::Session;

use super::context::Context;
use super::{OnwardAuthorization, Refusal, ResponseHead};
use crate::oci::ErrorCode;

/// Whether a request goes to the registry once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Repetition {
    /// It does not.
    #[default]
    None,
    /// It is to.
    Wanted,
    /// It has.
    Done,
}

/// What to do about an answer of the registry.
pub(super) enum Verdict {
    /// It is passed on.
    PassOn,
    /// The request is repeated.
    Repeat,
    /// The client has to repeat it.
    Refuse(Refusal),
}

/// Judges an answer by its head.
pub(super) fn judge(session: &mut Session, head: &ResponseHead, context: &Context) -> Verdict {
    if head.status != StatusCode::UNAUTHORIZED || context.repetition == Repetition::Done {
        return Verdict::PassOn;
    }
    let (Some(exchange), Some(backend), Some(shown)) = (&context.exchange, &context.backend, &context.shown)
    else {
        return Verdict::PassOn;
    };
    let OnwardAuthorization::OfTheDoor(introduction) = &exchange.onward.authorization else {
        return Verdict::PassOn;
    };
    if !introduction.is_worth_repeating(backend, shown, &head.headers) {
        return Verdict::PassOn;
    }
    if is_body_at_hand(session) { Verdict::Repeat } else { Verdict::Refuse(come_again()) }
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
fn come_again() -> Refusal {
    let message =
        "the registry's clock has been set, and the door follows it; nothing was done: send this again";
    Refusal::new(ErrorCode::Unavailable, message)
        .with_status(StatusCode::SERVICE_UNAVAILABLE)
        .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
        .because(
            "the registry's clock is another than was thought, and the body is too long to be sent again",
        )
}
