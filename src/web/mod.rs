//! What the door answers itself over HTTP: the API, health and metrics. It reads the store, and asks `sync/` for what has
//! to be written.
//!
//! `server.rs` builds the two routers and hands them to the listeners; nothing here knows how requests arrive. The
//! shapes of the answers are fixed (DESIGN section 6): each resource has its file, and its own types for what it shows,
//! so that a change of the record is not by itself a change of the API.

mod access;
mod accounts;
mod backup;
mod body;
mod caller;
mod command_peer;
mod cross_site;
mod decisions;
mod deletions;
mod device;
mod error;
mod events;
mod flaws;
mod groups;
mod health;
mod json_body;
mod largest_blobs;
mod list;
mod lockouts;
mod logins;
mod manifest_item;
mod manifest_reader;
mod manifest_turns;
mod manifests;
mod me;
mod namespaces;
mod notification_secret;
mod notifications;
mod openapi;
mod pages;
mod parameters;
mod preview;
mod record_check;
mod record_stream;
mod refusal;
mod removals;
mod repositories;
mod routes;
mod search;
mod state;
mod statistics;
mod status;
mod status_source;
mod sync;
mod tags;
#[cfg(test)]
mod tests;
mod token;
mod tokens;
mod user_changes;
mod users;
mod writer;
mod writes;

use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{from_fn, map_response};
use axum::response::Response;
use axum::{Extension, Router};

pub use accounts::ACCOUNTS_PATH;
pub use backup::{BACKUP_PATH, EXPECTED_ROWS};
pub use command_peer::CommandPeer;
pub use events::feed::EventFeed;
pub use largest_blobs::LargestBlobs;
pub use manifest_turns::ManifestTurns;
pub use namespaces::KeptNamespaces;
pub use notification_secret::NotificationSecret;
pub use pages::PageSettings;
pub use preview::DeletionPreview;
pub use record_check::{CHECK_PATH, CheckLine};
pub use refusal::{refusal, refusal_with_pages};
pub use routes::{requirement_of, requirement_with_pages};
pub use state::WebState;
pub use status_source::{
    BackendStatus, ClockStatus, RegistryStatus, ServiceState, StatusSource, VerificationStatus,
};
pub use writes::Writes;

use self::error::ApiError;
use crate::auth::Viewer;
use crate::oci::RETRY_AFTER_SECONDS;

/// Describes this floor's metrics to the exporter.
pub fn describe_metrics() {
    token::TOKENS.describe();
    notifications::EVENTS.describe();
    events::describe_metrics();
}

/// What the socket for commands answers: what the door's own listener answers, commands to the accounts, and the whole record. A caller who can
/// open the socket administers the door.
pub fn socket_router(state: WebState) -> Router {
    let all = routes::of_the_door().into_iter().chain(routes::of_the_socket());
    finish(routes::router(all).layer(Extension(Viewer::Unrestricted)), state)
}

/// Everything that the door's own listener answers beside `/v2/`. What a request requires was looked at before, by
/// [`requirement_of`].
pub fn door_router(state: WebState) -> Router {
    let router = routes::router(routes::of_the_door());
    let router = if state.pages.is_some() { router.merge(pages::router(&state)) } else { router };
    finish(router, state)
}

/// Everything that the admin listener answers.
pub fn admin_router(state: WebState) -> Router {
    finish(routes::router(routes::of_the_admin_listener()), state)
}

/// What all routers share: the answers to what is not there, and the headers of every answer.
fn finish(router: Router<WebState>, state: WebState) -> Router {
    router
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(from_fn(cross_site::refuse))
        // Last, so that the fallbacks' answers have the headers too.
        .layer(map_response(with_headers))
        .with_state(state)
}

/// The record moves with every push, so no answer may be kept that does not say otherwise; and none is anything but what it says it is.
async fn with_headers(mut response: Response) -> Response {
    let is_unavailable = response.status() == StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    if is_unavailable && !headers.contains_key(header::RETRY_AFTER) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
