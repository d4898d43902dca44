//! A request that the registry refuses because its clock is another than the door thought.
//!
//! What the registry refuses it has not done. So the door corrects what it knows of that clock by the refusal's own `Date`,
//! and sends the request once more, unless that takes more of the body than is still at hand: then the client is told to send
//! it again.

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use pingora_core::{Error, ErrorType, Result};
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

/// Judges an answer by its head.
///
/// # Errors
/// When it is not passed on: the request is repeated, or the client has to repeat it.
pub(super) fn judge(session: &mut Session, head: &ResponseHead, context: &mut Context) -> Result<()> {
    if !is_for_the_clock(head, context) {
        return Ok(());
    }
    if is_body_at_hand(session) {
        context.repetition = Repetition::Wanted;
    } else {
        context.refusal = Some(come_again());
    }
    let status = ErrorType::HTTPStatus(head.status.as_u16());
    Err(Error::explain(status, "the registry's clock is another than was thought").into_up())
}

/// Whether the registry refuses what the door showed it for its clock alone.
fn is_for_the_clock(head: &ResponseHead, context: &Context) -> bool {
    if head.status != StatusCode::UNAUTHORIZED || context.repetition == Repetition::Done {
        return false;
    }
    let (Some(exchange), Some(backend), Some(shown)) = (&context.exchange, &context.backend, &context.shown)
    else {
        return false;
    };
    match &exchange.onward.authorization {
        OnwardAuthorization::AsItCame => false,
        OnwardAuthorization::OfTheDoor(introduction) => {
            introduction.is_worth_repeating(backend, shown, &head.headers)
        }
    }
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
