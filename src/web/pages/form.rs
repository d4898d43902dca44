//! What a form sends: `application/x-www-form-urlencoded`, which `Parameters` read as they read a query.

use axum::extract::Request;

use super::super::body;
use super::super::error::ApiError;

/// The longest form: three passwords of 4,096 bytes, each of which may be escaped.
const MAXIMUM_BYTES: usize = 48 * 1024;

/// What was sent.
///
/// # Errors
/// When it is too long, did not come, or is no text.
pub(super) async fn read(request: Request) -> Result<String, ApiError> {
    let sent = body::read(request, MAXIMUM_BYTES).await?;
    String::from_utf8(sent.to_vec())
        .map_err(|error| ApiError::InvalidBody { source: error.into(), remedy: "; send a form" })
}
