//! What the answers are made from. `server.rs` puts it together, every handler gets it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::events::feed::EventFeed;
use super::largest_blobs::LargestBlobs;
use super::manifest_turns::ManifestTurns;
use super::namespaces::KeptNamespaces;
use super::notification_secret::NotificationSecret;
use super::pages::PageSettings;
use super::status_source::{ServiceState, StatusSource};
use super::writes::Writes;
use crate::auth::{Accounts, Gate, KeyDirectory, Viewer};
use crate::search::Search;
use crate::store::Store;
use crate::sync::{HintQueue, PullCounts, Sweeper};
use crate::telemetry::Metrics;

/// What the answers are made from.
#[derive(Clone)]
pub struct WebState {
    /// The record.
    pub store: Arc<dyn Store>,
    /// Answers questions over all repositories.
    pub search: Arc<Search>,
    /// The hints.
    pub hints: Arc<HintQueue>,
    /// The largest blobs, as they were last found.
    pub largest_blobs: Arc<LargestBlobs>,
    /// The turns of the answers that read manifests.
    pub manifest_turns: Arc<ManifestTurns>,
    /// What namespaces hold, as it was last found.
    pub namespaces: Arc<KeptNamespaces>,
    /// Writes to the registry.
    pub writes: Writes,
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
    /// What is configured of the pages; nothing where there are none.
    pub pages: Option<PageSettings>,
    /// The directory with the keys, unless they are in the store.
    pub keys: Option<KeyDirectory>,
    /// Whom events are sent to as they happen.
    pub feed: Arc<EventFeed>,
}

impl WebState {
    /// The state of door, store and record together: a door whose store cannot be written, or whose registry denies much of
    /// what is recorded, is not quite as it should be.
    pub(super) fn service_state(&self) -> ServiceState {
        match self.status.state() {
            ServiceState::Ready if !self.store.is_writable() || !self.store.missing().is_none() => {
                ServiceState::Degraded
            }
            state => state,
        }
    }
}

impl FromRequestParts<WebState> for Viewer {
    type Rejection = Infallible;

    /// The caller as the gate found them. Without a gate every caller sees everything; with one, a caller who has not come
    /// through it sees what is public.
    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Infallible> {
        if state.gate.is_none() {
            return Ok(Self::Unrestricted);
        }
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
