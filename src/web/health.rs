//! What machines ask: `/healthz`, `/readyz`, `/metrics`; and `/` for the person who opens the door's address in a
//! browser.

use std::borrow::Cow;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::state::WebState;
use super::status_source::ServiceState;
use crate::store::StoreTrouble;

/// Alive: a door that can answer is.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// Whether to send traffic here, and if not, why.
pub(super) async fn ready(State(state): State<WebState>) -> (StatusCode, Cow<'static, str>) {
    let words = match state.service_state() {
        ServiceState::Ready => return (StatusCode::OK, "ready\n".into()),
        ServiceState::Starting => "starting: the last run is being settled\n".into(),
        ServiceState::Stopping => "stopping: running transfers may finish, new ones go elsewhere\n".into(),
        ServiceState::Degraded if !state.store.is_writable() => {
            let trouble = state.store.trouble().unwrap_or(StoreTrouble::Medium);
            format!("degraded: the store cannot be written: {trouble}\n").into()
        }
        ServiceState::Degraded => match state.status.registry().trouble {
            Some(trouble) => format!("degraded: {trouble}\n").into(),
            // Another door would have no more to serve.
            None => {
                let words = "degraded: the registry denies much of what is recorded; see /api/v1/removals\n";
                return (StatusCode::OK, words.into());
            }
        },
    };
    (StatusCode::SERVICE_UNAVAILABLE, words)
}

/// The metrics, in the text format of Prometheus.
pub(super) async fn metrics(State(state): State<WebState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.render())
}

/// What this is. Browsers are led to the pages.
pub(super) async fn about(State(state): State<WebState>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let is_browser = accepted.is_some_and(|accept| accept.contains("text/html"));
    let mut response = if is_browser && state.pages.is_some() {
        Redirect::to("/ui/").into_response()
    } else {
        ABOUT.into_response()
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

const ABOUT: &str = concat!(
    "Portreeve ",
    env!("CARGO_PKG_VERSION"),
    ", the door of a container registry. Images: /v2/. What the registry holds: /api/v1/repositories. \
         How it is: /api/v1/status.\n"
);
