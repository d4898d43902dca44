//! Tests over the routers, with a store in memory that each test fills.

mod answers;
mod events;
mod lists;
mod manifests;
mod namespaces;
mod openapi;
mod pages;
mod samples;
mod search;
mod state;
mod statistics;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use self::samples::{
    app, client, delete, descriptor, digest, filled, find, manifest, name, pull, push, time,
};
use super::*;
use crate::clock::Timestamp;
use crate::oci::{
    Descriptor, Digest, Manifest, ManifestKind, MediaType, Platform, Reference, RepositoryName, Tag,
};
use crate::registry::{Backends, HttpTransport, RegistrySettings};
use crate::search::{MEMORY, Search};
use crate::store::{Change, Events as _, Ledger as _, MemoryStore, Source, Store, StoreTrouble, Write};
use crate::sync::{EngineSettings, JudgeSettings, RemovalLimit, SweepSettings, SyncEngine, Transports};
use crate::telemetry::Metrics;

/// A door in a given state.
struct Door(ServiceState);

impl StatusSource for Door {
    fn state(&self) -> ServiceState {
        self.0
    }

    fn registry(&self) -> RegistryStatus {
        let backend = BackendStatus {
            url: "http://127.0.0.1:5001".to_owned(),
            healthy: true,
            foreign: None,
            latency_milliseconds: Some(1.25),
        };
        let reachable = self.0 != ServiceState::Degraded;
        RegistryStatus {
            reachable,
            trouble: (!reachable).then_some("the registry cannot be reached".into()),
            backends: vec![backend],
            clock: None,
        }
    }

    fn verifications(&self) -> VerificationStatus {
        VerificationStatus { pending: 1, completed: 2, failed: 3 }
    }
}

fn web(store: &Arc<MemoryStore>, state: ServiceState) -> WebState {
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    let backends = Arc::new(Backends::new([]));
    let timeout = Duration::from_secs(1);
    let access = RegistrySettings::new(backends, timeout);
    let transport = Arc::new(HttpTransport::new(timeout, None).unwrap());
    let settings = EngineSettings {
        registry: access,
        judge: JudgeSettings {
            settling: Duration::ZERO,
            removal_limit: RemovalLimit { percent: 100, always: 1 },
            removal_patience: Duration::ZERO,
        },
        retention_clock: None,
        sweep: SweepSettings {
            interval: Duration::ZERO,
            deep_interval: Duration::ZERO,
            concurrency: NonZeroUsize::MIN,
            seed: 1,
        },
        last_pass: Duration::ZERO,
    };
    let transports = Transports { requests: Arc::clone(&transport) as _, sweeps: transport };
    let engine = SyncEngine::new(Arc::clone(&store), settings, transports);
    let notifications = Some(NotificationSecret::new("0123456789abcdef"));
    let feed = Arc::new(EventFeed::new(Arc::clone(&store) as _, NonZeroUsize::MIN));
    WebState {
        keys: None,
        gate: None,
        accounts: Arc::new(crate::auth::Accounts::new(
            Arc::clone(&store) as _,
            Arc::new(crate::auth::Journal::new(crate::clock::Clock::SYSTEM, Duration::ZERO)),
            crate::clock::Clock::SYSTEM,
        )),
        search: Arc::new(Search::new(Arc::clone(&store), MEMORY)),
        store,
        writes: Writes { deleter: engine.deleter(), undeleter: engine.undeleter(), credentials: None },
        sweeper: engine.sweeper,
        hints: engine.hints,
        largest_blobs: Arc::default(),
        manifest_turns: Arc::default(),
        namespaces: Arc::default(),
        pulls: engine.pulls,
        notifications,
        status: Arc::new(Door(state)),
        pages: Some(PageSettings::default()),
        metrics: Metrics::install().unwrap(),
        feed,
    }
}

/// Asks the door's router.
async fn get(store: &Arc<MemoryStore>, path: &str) -> (StatusCode, Value) {
    let router = door_router(web(store, ServiceState::Ready));
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}
