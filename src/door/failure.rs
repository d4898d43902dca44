//! What a client is told when forwarding fails: pingora's errors to HTTP, in one place.

use std::time::Duration;

use http::StatusCode;
use pingora_core::{Error, ErrorSource, ErrorType};

use super::watchdog::Stall;
use super::{Limits, Refusal};
use crate::oci::ErrorCode;
use crate::registry::TimedOut;

/// Who let the other wait for too long, by pingora's own timers.
pub(super) fn stall(error: &Error, limits: &Limits) -> Option<Stall> {
    let client: Duration = limits.client_timeout;
    match (error.esource(), error.etype()) {
        // Beneath pingora, the connection itself knows that the client reads nothing.
        (ErrorSource::Downstream | ErrorSource::Unset, _) if is_timed_out(error) => {
            Some(Stall::Reader(client))
        }
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Some(Stall::Client(client)),
        (ErrorSource::Downstream | ErrorSource::Unset, ErrorType::WriteTimedout) => {
            Some(Stall::Reader(client))
        }
        (ErrorSource::Upstream, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => {
            Some(Stall::Registry(TimedOut::Silent(limits.registry.timeout)))
        }
        _ => None,
    }
}

/// The answer to an exchange that failed, but not for a [`Stall`]; `None` when the client is gone.
pub(super) fn refusal(error: &Error) -> Option<Refusal> {
    let refusal = match error.esource() {
        ErrorSource::Downstream => match error.etype() {
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed => return None,
            _ => Refusal::new(ErrorCode::Unsupported, "the request cannot be read")
                .with_status(StatusCode::BAD_REQUEST),
        },
        ErrorSource::Upstream => match error.etype() {
            ErrorType::ConnectTimedout => {
                unavailable(StatusCode::GATEWAY_TIMEOUT, "the registry did not accept a connection in time")
            }
            ErrorType::ConnectRefused => {
                unavailable(StatusCode::BAD_GATEWAY, "the registry refuses connections")
            }
            ErrorType::ConnectNoRoute | ErrorType::ConnectError | ErrorType::SocketError => {
                unavailable(StatusCode::BAD_GATEWAY, "the registry cannot be reached")
            }
            ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::InvalidCert
            | ErrorType::HandshakeError => {
                unavailable(StatusCode::BAD_GATEWAY, "no trusted TLS connection to the registry came about")
            }
            _ => unavailable(
                StatusCode::BAD_GATEWAY,
                "the connection to the registry broke before its answer was complete",
            ),
        },
        ErrorSource::Internal | ErrorSource::Unset => {
            Refusal::new(ErrorCode::Unknown, "the door failed on this request; its log says why")
        }
    };
    Some(refusal.because(error.to_string()))
}

fn unavailable(status: StatusCode, message: &'static str) -> Refusal {
    Refusal::new(ErrorCode::Unavailable, message).with_status(status)
}

/// Whether an operation on a connection took too long, at the bottom of an error.
fn is_timed_out(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut)
}
