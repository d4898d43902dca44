//! The page that tells why another one cannot be shown: in the same dress, with what to do.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::error::PageError;
use super::headers as own_headers;
use super::icon::Icon;
use super::layout::{Layout, Section};
use super::visit::Visit;

#[derive(Template)]
#[template(path = "error.html", config = "src/web/pages/templates/askama.toml")]
struct ErrorPage<'a> {
    layout: Layout,
    error: &'a PageError,
}

/// The page for whoever made this visit.
pub(super) fn shown(error: PageError, visit: &Visit) -> Response {
    let layout = visit.layout(Section::None, error.heading);
    let mut response = match (ErrorPage { layout, error: &error }).render() {
        Ok(html) => (error.status, Html(html)).into_response(),
        Err(cause) => {
            tracing::error!(error = %cause, "a page for an error cannot be written");
            (error.status, error.message).into_response()
        }
    };
    response.headers_mut().extend(error.retry_after.map(|wait| (header::RETRY_AFTER, wait)));
    response
}

/// The page for a request that was refused before it came here: nobody knows who made it.
pub(in crate::web) fn refused(status: StatusCode, message: &str) -> Option<Response<Vec<u8>>> {
    let error = PageError::told(status, message);
    let page = ErrorPage { layout: Layout::plain(error.heading), error: &error };
    let mut response = Response::new(page.render().ok()?.into_bytes());
    let headers = response.headers_mut();
    own_headers::insert(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}
