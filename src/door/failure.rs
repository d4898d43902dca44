//! What a client is told when forwarding fails: pingora's errors to HTTP, in one place.

use http::StatusCode;
use pingora_core::{Error, ErrorSource, ErrorType};

use super::Refusal;
use crate::oci::ErrorCode;

/// The answer to a failed exchange; `None` when the client is gone and nobody is there to answer.
pub(super) fn refusal(error: &Error) -> Option<Refusal> {
    let refusal = match error.esource() {
        ErrorSource::Downstream => match error.etype() {
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed => return None,
            ErrorType::ReadTimedout => {
                Refusal::new(ErrorCode::BlobUploadInvalid, "the request's body stood still for too long")
                    .with_status(StatusCode::REQUEST_TIMEOUT)
            }
            _ => Refusal::new(ErrorCode::Unsupported, "the request cannot be read")
                .with_status(StatusCode::BAD_REQUEST),
        },
        ErrorSource::Upstream => match error.etype() {
            ErrorType::ConnectTimedout => {
                unavailable(StatusCode::GATEWAY_TIMEOUT, "the registry did not accept a connection in time")
            }
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => {
                unavailable(StatusCode::GATEWAY_TIMEOUT, "the registry did not answer in time")
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
