//! What the client is sent when forwarding fails, and what the log is to say of it.

use http::StatusCode;
use pingora_core::{Error, ErrorSource};
use pingora_proxy::{FailToProxy, Session};

use super::context::Context;
use super::failure;
use super::service::Service;
use super::watchdog::Stall;

/// Answers the client as far as it can still be answered.
pub(super) async fn answer(
    service: &Service,
    session: &mut Session,
    error: &Error,
    context: &mut Context,
) -> FailToProxy {
    if let Some(answer) = context.early_answer.take_if(|answer| answer.is_whole()) {
        // Neither side lets the other wait any more.
        context.watchdog = None;
        context.is_answered = true;
        if let Err(error) = answer.finish(session).await {
            let stall = failure::stall(&error, &service.limits).inspect(|stall| stall.count());
            context.cause =
                Some(stall.map_or_else(|| format!("the client left: {error}"), |stall| stall.to_string()));
        }
        let status = session.response_written().map_or(0, |head| head.status.as_u16());
        return FailToProxy { error_code: status, can_reuse_downstream: false };
    }
    let stall =
        context.stall().or_else(|| failure::stall(error, &service.limits).inspect(|stall| stall.count()));
    let refusal = match (context.refusal.take(), stall) {
        (Some(refusal), _) => Some(refusal),
        (None, Some(stall)) => {
            context.cause = Some(stall.to_string());
            // One that does not read cannot be told.
            (!matches!(stall, Stall::Reader(_))).then(|| stall.refusal())
        }
        (None, None) => failure::refusal(error),
    };
    let status = match refusal {
        // The client is gone, or has part of an answer that can only be cut off.
        None => StatusCode::default(),
        Some(refusal) if session.response_written().is_some_and(|head| !head.status.is_informational()) => {
            context.cause = Some(refusal.to_string());
            refusal.status
        }
        Some(refusal) => {
            // The connection is not used again, so the answer has to say so: a client that was told otherwise would
            // lose its next request with it.
            session.set_keepalive(None);
            if let Err(error) = service.refuse(session, context, &refusal).await {
                tracing::debug!(%error, "an error could not be sent to the client");
            }
            refusal.status
        }
    };
    if context.cause.is_none() {
        context.cause = Some(match error.esource() {
            ErrorSource::Downstream => format!("the client left: {error}"),
            _ => error.to_string(),
        });
    }
    FailToProxy { error_code: status.as_u16(), can_reuse_downstream: false }
}
