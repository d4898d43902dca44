//! What the door answers itself over HTTP: the API, health and metrics. It reads the store, and asks `sync/` for what has
//! to be written.
//!
//! `server.rs` builds the two routers and hands them to the listeners; nothing here knows how requests arrive. The
//! shapes of the answers are fixed (DESIGN section 6): each resource has its file, and its own types for what it shows,
//! so that a change of the record is not by itself a change of the API.

mod accounts;
mod body;
mod error;
mod events;
mod health;
mod list;
mod manifests;
mod notifications;
mod parameters;
mod removals;
mod repositories;
mod status;
mod sync;
mod tags;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};

pub use accounts::ACCOUNTS_PATH;
pub use notifications::NotificationSecret;
pub use status::{
    BackendStatus, ClockStatus, RegistryStatus, ServiceState, StatusSource, VerificationStatus,
};

use crate::auth::{Accounts, Gate};
use crate::oci::RETRY_AFTER_SECONDS;
use crate::store::Store;
use crate::sync::{HintQueue, PullCounts, Sweeper};
use crate::telemetry::Metrics;
use error::ApiError;

/// Describes this floor's metrics to the exporter.
pub fn describe_metrics() {
    metrics::describe_counter!("portreeve_tokens_total", "Tokens that were issued, by whom they are for");
    metrics::describe_counter!(
        "portreeve_notifications_total",
        "Events of the registry's notifications by what became of them"
    );
}

/// What the answers are made from.
#[derive(Clone)]
pub struct WebState {
    /// The record.
    pub store: Arc<dyn Store>,
    /// The hints.
    pub hints: Arc<HintQueue>,
    /// Counts the pulls.
    pub pulls: Arc<PullCounts>,
    /// What senders of notifications have to know; none are taken without.
    pub notifications: Option<NotificationSecret>,
    /// The sweeps.
    pub sweeper: Arc<Sweeper>,
    /// Users and tokens in the store.
    pub accounts: Arc<Accounts>,
    /// Decides who comes in; none for an open door.
    pub gate: Option<Arc<Gate>>,
    /// The state of the running door.
    pub status: Arc<dyn StatusSource>,
    /// The metrics of this process.
    pub metrics: Metrics,
}

/// What the socket for commands answers: the same, and what only whoever runs the door may do.
pub fn socket_router(state: WebState) -> Router {
    finish(routes().route(ACCOUNTS_PATH, post(accounts::carry_out)), state)
}

/// Everything that the door's own listener answers beside `/v2/`.
pub fn door_router(state: WebState) -> Router {
    finish(routes(), state)
}

fn routes() -> Router<WebState> {
    Router::new()
        .route("/", get(health::about))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/token", get(token::get).post(token::post))
        .route("/.well-known/jwks.json", get(token::keys))
        .route("/api/v1/status", get(status::show))
        .route("/api/v1/repositories", get(repositories::list))
        .route("/api/v1/tags", get(tags::list))
        .route("/api/v1/manifests", get(manifests::list_or_show))
        .route("/api/v1/events", get(events::list_of_kind))
        .route("/api/v1/notifications", post(notifications::take))
        .route("/api/v1/sync", post(sync::start))
        .route("/api/v1/removals", get(removals::list))
        .route("/api/v1/removals/accept", post(removals::accept))
}

/// Everything that the admin listener answers.
pub fn admin_router(state: WebState) -> Router {
    let router = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics));
    finish(router, state)
}

/// What both routers share: the answers to what is not there, and the headers of every answer.
fn finish(router: Router<WebState>, state: WebState) -> Router {
    router
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        // Last, so that the fallbacks' answers have the headers too.
        .layer(map_response(with_headers))
        .with_state(state)
}

/// The record moves with every push, so no answer may be kept; and none is anything but what it says it is.
async fn with_headers(mut response: Response) -> Response {
    let is_unavailable = response.status() == StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    if is_unavailable && !headers.contains_key(header::RETRY_AFTER) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
