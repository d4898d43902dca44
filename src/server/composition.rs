//! The one place that puts together what works on the record over an open store: for a door, and for `portreeve sync`
//! without one. What only a door has (listeners, plugins, the gate) is put on top of it.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth_setup;
use super::clock_watch;
use super::registry_access::{self, KeysFor, RegistryAccess};
use super::start_error::StartError;
use super::status::Status;
use crate::auth::{Accounts, Gate, KeyDirectory, keep_journal};
use crate::clock::{Clock, RetentionClock};
use crate::config::{self, Config};
use crate::registry::{HttpTransport, watch_health};
use crate::search::{MEMORY, Search};
use crate::store::Store;
use crate::sync::{EngineSettings, JudgeSettings, RemovalLimit, SweepSettings, SyncEngine, Transports};
use crate::telemetry::Metrics;
use crate::web::{EventFeed, NotificationSecret, PageSettings, StatusSource, WebState, Writes};

/// How long the last look at unknown outcomes may take at the end.
const LAST_PASS: Duration = Duration::from_secs(2);
/// How many tags or manifests may be found to be gone within an hour, whatever part of the record they are.
const ALWAYS_BELIEVED: u64 = 50;

/// When sweeps begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SweepSchedule {
    /// As `sync.interval` and `sync.deep_interval` say, and on request.
    Configured,
    /// On request alone.
    OnRequest,
}

/// What works on the record.
pub(super) struct Composition {
    /// The record.
    pub store: Arc<dyn Store>,
    /// How the registry is reached.
    pub access: RegistryAccess,
    /// The clock by which what is old is deleted.
    pub retention_clock: Arc<RetentionClock>,
    /// Users and tokens in the store.
    pub accounts: Arc<Accounts>,
    /// Carries, verifies and sweeps.
    pub engine: SyncEngine,
    /// Answers questions over all repositories.
    pub search: Arc<Search>,
    /// The state of this process.
    pub status: Arc<Status>,
    clock_warn: Duration,
    /// Whether requests to the registry have the door's credentials, and not their clients'.
    shows_itself: bool,
    notifications: Option<NotificationSecret>,
    metrics: Metrics,
    pages: Option<PageSettings>,
    keys: Option<KeyDirectory>,
    feed: Arc<EventFeed>,
}

impl Composition {
    /// Puts it together over an open store. Asks the registry nothing, and starts nothing.
    ///
    /// # Errors
    /// When keys cannot be used, or a client to the registry cannot be made.
    pub(super) async fn build(
        config: &Config,
        store: Arc<dyn Store>,
        schedule: SweepSchedule,
        metrics: Metrics,
    ) -> Result<Self, StartError> {
        let keys_for = match schedule {
            SweepSchedule::Configured => KeysFor::Door,
            SweepSchedule::OnRequest => KeysFor::Registry,
        };
        let known = clock_watch::saved_estimate(store.as_ref()).await;
        let clock = Clock::shifted(config.clock.offset);
        let keys = match keys_for.are_needed(config) {
            true => Some(registry_access::key_place(config, &store)?.look(clock.now()).await?),
            false => None,
        };
        let access = RegistryAccess::build(config, known, keys)?;
        let retention_clock = clock_watch::retention_clock(store.as_ref(), access.settings.clock).await;
        let timeout = config.registry.timeout;
        let authorities = access.authorities.as_ref();
        let transports = Transports {
            requests: Arc::new(HttpTransport::new(timeout, authorities)?),
            sweeps: Arc::new(HttpTransport::new(timeout, authorities)?),
        };
        let settings = EngineSettings {
            registry: access.settings.clone(),
            judge: judge_settings(config),
            retention_clock: Some(Arc::clone(&retention_clock)),
            sweep: sweep_settings(config, schedule),
            last_pass: LAST_PASS,
        };
        let engine = SyncEngine::new(Arc::clone(&store), settings, transports);
        let status = Arc::new(Status {
            backends: Arc::clone(&access.settings.backends),
            unknown: Arc::clone(&engine.unknown),
            ready: engine.first_pass(),
            stopping: AtomicBool::new(false),
            clock: access.settings.clock,
            offset: Arc::clone(&access.settings.offset),
        });
        let secret = config.notifications.secret.as_ref();
        Ok(Self {
            accounts: auth_setup::accounts(config, &store, Arc::clone(&retention_clock)),
            clock_warn: config.clock.warn,
            feed: Arc::new(EventFeed::new(Arc::clone(&store) as _, config.limits.event_streams)),
            shows_itself: access.settings.credentials.is_some() || config.auth.is_on,
            notifications: secret.map(|secret| NotificationSecret::new(secret.expose_secret())),
            search: Arc::new(Search::new(Arc::clone(&store), MEMORY)),
            pages: page_settings(config),
            keys: registry_access::key_directory(config),
            store,
            access,
            retention_clock,
            engine,
            status,
            metrics,
        })
    }

    /// What the API answers from; the gate is the door's, if it has one.
    pub(super) fn web_state(&self, gate: Option<Arc<Gate>>) -> WebState {
        WebState {
            store: Arc::clone(&self.store),
            search: Arc::clone(&self.search),
            hints: Arc::clone(&self.engine.hints),
            writes: Writes {
                deleter: self.engine.deleter(),
                undeleter: self.engine.undeleter(),
                credentials: self.shows_itself.then(|| Arc::clone(&self.access.settings.credentials)),
            },
            largest_blobs: Arc::default(),
            manifest_turns: Arc::default(),
            namespaces: Arc::default(),
            pulls: Arc::clone(&self.engine.pulls),
            notifications: self.notifications.clone(),
            sweeper: Arc::clone(&self.engine.sweeper),
            accounts: Arc::clone(&self.accounts),
            gate,
            status: Arc::clone(&self.status) as Arc<dyn StatusSource>,
            metrics: self.metrics.clone(),
            pages: self.pages.clone(),
            keys: self.keys.clone(),
            feed: Arc::clone(&self.feed),
        }
    }

    /// Ends the streams of events, which nothing else ends.
    pub(super) fn end_streams(&self) {
        self.feed.close();
    }

    /// Starts everything but the sweeps, until told to stop. `exchanges` counts those with clients.
    pub(super) async fn run(
        &self,
        background: &TaskTracker,
        exchanges: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let (registry, store) = (&self.access.settings, &self.store);
        registry_access::read_clock(&self.engine.registry, registry).await;
        self.engine.run(background, exchanges, stop);
        background.spawn(watch_health(Arc::clone(&self.engine.registry), self.shows_itself, stop.clone()));
        background.spawn(clock_watch::watch_registry(
            registry.clone(),
            self.clock_warn,
            Arc::clone(store) as _,
            stop.clone(),
        ));
        let (search, stopping) = (Arc::clone(&self.search), stop.clone());
        background.spawn(async move { search.keep(stopping).await });
        background.spawn(Arc::clone(&self.feed).run(stop.clone()));
        let clock = Arc::clone(&self.retention_clock);
        background.spawn(clock_watch::watch_own(clock, Arc::clone(store) as _, stop.clone()));
        let journal = Arc::clone(self.accounts.journal());
        background.spawn(keep_journal(journal, Arc::clone(store) as _, stop.clone()));
    }
}

fn page_settings(config: &Config) -> Option<PageSettings> {
    let config::Pages { enabled, open_writes } = config.pages;
    let external = config.external_url.as_ref();
    let authority = external.map(|url| url.authority().to_owned());
    enabled.then_some(PageSettings { open_writes, authority })
}

fn judge_settings(config: &Config) -> JudgeSettings {
    let config::Sync { settling, removal_limit, removal_patience, .. } = config.sync;
    let removal_limit = RemovalLimit { percent: removal_limit, always: ALWAYS_BELIEVED };
    JudgeSettings { settling, removal_limit, removal_patience }
}

fn sweep_settings(config: &Config, schedule: SweepSchedule) -> SweepSettings {
    let (interval, deep_interval) = match schedule {
        SweepSchedule::Configured => (config.sync.interval, config.sync.deep_interval),
        SweepSchedule::OnRequest => (Duration::ZERO, Duration::ZERO),
    };
    SweepSettings {
        interval,
        deep_interval,
        concurrency: config.sync.concurrency,
        seed: RandomState::new().hash_one(config.listen.door),
    }
}
