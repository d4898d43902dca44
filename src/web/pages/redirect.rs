//! Leading a browser to another page.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::PageError;

/// Leads to another page.
pub(super) fn see_other(page: &str) -> Response {
    match HeaderValue::try_from(page) {
        Ok(page) => (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response(),
        Err(_) => PageError::not_found().into_response(),
    }
}
