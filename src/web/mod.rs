//! What the door answers itself over HTTP: the API, health and metrics. It reads the store, and asks `sync/` for what has
//! to be written.
//!
//! `server.rs` builds the two routers and hands them to the listeners; nothing here knows how requests arrive. The
//! shapes of the answers are fixed (DESIGN section 6): each resource has its file, and its own types for what it shows,
//! so that a change of the record is not by itself a change of the API.

mod access;
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

use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};

pub use access::own_access;
pub use accounts::ACCOUNTS_PATH;
pub use notifications::NotificationSecret;
pub use status::{
    BackendStatus, ClockStatus, RegistryStatus, ServiceState, StatusSource, VerificationStatus,
};

use self::access::{Needs, Route, router};
use self::error::ApiError;
use crate::auth::{Accounts, Gate, Viewer};
use crate::oci::RETRY_AFTER_SECONDS;
use crate::store::Store;
use crate::sync::{HintQueue, PullCounts, Sweeper};
use crate::telemetry::Metrics;

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

/// What the socket for commands answers: the same, and what only whoever runs the door may do. Whoever can open it may see
/// everything.
pub fn socket_router(state: WebState) -> Router {
    let accounts = Route { path: ACCOUNTS_PATH, needs: Needs::Admin, answer: post(accounts::carry_out) };
    let routes = routes().into_iter().chain([accounts]);
    finish(router(routes).layer(Extension(Viewer::Unrestricted)), state)
}

/// Everything that the door's own listener answers beside `/v2/`. What a request needs was looked at before, by
/// [`own_access`].
pub fn door_router(state: WebState) -> Router {
    finish(router(routes()), state)
}

/// Every path of the door's own, with what it needs.
fn routes() -> [Route; 14] {
    let route = |path, needs, answer| Route { path, needs, answer };
    [
        route("/", Needs::Nothing, get(health::about)),
        route("/healthz", Needs::Nothing, get(health::alive)),
        route("/readyz", Needs::Nothing, get(health::ready)),
        route("/token", Needs::Nothing, get(token::get).post(token::post)),
        route("/.well-known/jwks.json", Needs::Nothing, get(token::keys)),
        route("/api/v1/status", Needs::Admin, get(status::show)),
        route("/api/v1/repositories", Needs::Catalog, get(repositories::list)),
        route("/api/v1/tags", Needs::Pull, get(tags::list)),
        route("/api/v1/manifests", Needs::Pull, get(manifests::list_or_show)),
        route("/api/v1/events", Needs::PullOrAdmin, get(events::list_of_kind)),
        route("/api/v1/notifications", Needs::ItsOwnSecret, post(notifications::take)),
        route("/api/v1/sync", Needs::Admin, post(sync::start)),
        route("/api/v1/removals", Needs::Admin, get(removals::list)),
        route("/api/v1/removals/accept", Needs::Admin, post(removals::accept)),
    ]
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
