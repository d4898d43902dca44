//! What machines ask: `/healthz`, `/readyz`, `/metrics`; and `/` for the person who opens the door's address in a
//! browser.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::WebState;
use super::status::ServiceState;

/// Alive: whoever can answer is.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// Whether to send traffic here, and if not, why.
pub(super) async fn ready(State(state): State<WebState>) -> (StatusCode, &'static str) {
    match state.service_state() {
        ServiceState::Ready => (StatusCode::OK, "ready\n"),
        ServiceState::Starting => {
            (StatusCode::SERVICE_UNAVAILABLE, "starting: the last run is being settled\n")
        }
        ServiceState::Stopping => (
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping: running transfers may finish, new ones go elsewhere\n",
        ),
        ServiceState::Degraded if !state.store.is_writable() => {
            (StatusCode::SERVICE_UNAVAILABLE, "degraded: the store cannot be written; is its disk full?\n")
        }
        ServiceState::Degraded if !state.status.registry().reachable => {
            (StatusCode::SERVICE_UNAVAILABLE, "degraded: the registry cannot be reached\n")
        }
        // Another door would have no more to serve.
        ServiceState::Degraded => {
            (StatusCode::OK, "degraded: the registry denies much of what is recorded; see /api/v1/removals\n")
        }
    }
}

/// The metrics, in the text format of Prometheus.
pub(super) async fn metrics(State(state): State<WebState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.render())
}

/// What this is.
pub(super) async fn about() -> &'static str {
    concat!(
        "Portreeve ",
        env!("CARGO_PKG_VERSION"),
        ", the door of a container registry. Images: /v2/. What the registry holds: /api/v1/repositories. \
         How it is: /api/v1/status.\n"
    )
}
