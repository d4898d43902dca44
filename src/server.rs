//! Puts the house together: start, run, drain, stop.
//!
//! Everything that can be wrong with the configuration is found before anything is touched. The main thread runs what
//! watches and answers beside the traffic; the traffic has worker threads of its own, each with a runtime of its own, so
//! that a connection stays where it was accepted.

mod account_command;
mod check;
mod descriptors;
mod door_client;
mod explain;
mod gatehouse;
mod held;
mod key_command;
mod progress_bar;
mod reload;
mod side_listener;
mod socket;
mod status;
mod sweep_thread;
mod sync_command;

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

pub use account_command::{CommandError, account};
pub use check::{Report, check};
pub use explain::explain;
pub use key_command::{prepare_key, rotate_key, show_key};
pub use reload::ConfigSource;
pub use sync_command::{SyncError, WantedSweep, sync};

use self::gatehouse::Gatehouse;
use self::reload::Reload;
use self::side_listener::{ADMIN_CONNECTIONS, ADMIN_LIFETIME, Few};
use self::socket::Socket;
use self::status::Status;
use self::sweep_thread::SweepThread;
use crate::auth::{self, HtpasswdError, InvalidRule, KeyRingError, SealError, keep_journal};
use crate::config::{self, Config, RegistryHost, StoreUrl, Tls};
use crate::door::{
    self, BodyMemory, CertificateError, Certificates, Door, Listener, Naming, OwnPaths, Parts, Service,
};
use crate::plugins::{self, InvalidPlugins};
use crate::registry::{self, Asking, Backends, HttpTransport, Patience, RegistryClient, watch_health};
use crate::store::{self, OpenError, RedbStore, Store};
use crate::sync::{
    self, Carrier, HintQueue, Judge, JudgeSettings, PullCounts, Recording, RemovalLimit, SeenAnswers,
    SweepSettings, Sweeper, UnknownIntents, Verifier, compare_answers, flush_pulls, follow_hints,
    settle_unknown,
};
use crate::telemetry::{Metrics, MetricsError};
use crate::web::{self, NotificationSecret, StatusSource, WebState};

/// How long the last look at unknown outcomes may take when the door stops.
const LAST_PASS: Duration = Duration::from_secs(2);
/// How many tags or manifests may be found to be gone within an hour, whatever part of the record they are.
const ALWAYS_BELIEVED: u64 = 50;
/// How often the metrics' buckets are filled.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Why the door did not start. Each is one sentence that names what has to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that cannot be bound.
    #[error("{key} = \"{address}\" cannot be bound: {source}; {}", remedy_for(.source))]
    Listen {
        /// The configuration key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// A TLS certificate that cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS cannot be set up at all.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// Options of a plugin.
    #[error(transparent)]
    Plugins(#[from] InvalidPlugins),
    /// The store cannot be opened.
    #[error("store.url: {0}")]
    Store(#[from] OpenError),
    /// The socket for commands.
    #[error("server.socket: {} cannot be bound: {source}; name a path of at most 100 bytes in a directory of the door's own", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The keys of tokens.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// What hides targets of the registry's own in URLs of the door.
    #[error("URLs of uploads cannot be sealed: {0}")]
    Seal(#[from] SealError),
    /// The file of users.
    #[error(transparent)]
    Htpasswd(#[from] HtpasswdError),
    /// A rule.
    #[error(transparent)]
    Rules(#[from] InvalidRule),
    /// Metrics cannot be recorded.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The client to the registry cannot be made.
    #[error("the client to the registry cannot be set up: {0}; are the system's CA certificates installed?")]
    Registry(#[from] reqwest::Error),
    /// A backend's URL that the resolver of URLs does not take.
    #[error("registry.url: {0}")]
    Url(#[from] url::ParseError),
    /// The system refuses threads, sockets or signals.
    #[error("the system does not let the door run: {0}")]
    System(#[from] io::Error),
}

impl StartError {
    /// Whether the operator has to change something before it can start: a key, a file, a port.
    pub const fn is_misconfiguration(&self) -> bool {
        match self {
            Self::Listen { .. }
            | Self::Certificate(_)
            | Self::Plugins(_)
            | Self::Store(_)
            | Self::Socket { .. }
            | Self::Keys(_)
            | Self::Htpasswd(_)
            | Self::Rules(_)
            | Self::Url(_) => true,
            Self::Tls(_) | Self::Metrics(_) | Self::Registry(_) | Self::System(_) | Self::Seal(_) => false,
        }
    }
}

fn remedy_for(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there: stop it or choose another port",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges: choose another port or grant them"
        }
        io::ErrorKind::AddrNotAvailable => {
            "that address is not this machine's: choose one that is, or 0.0.0.0"
        }
        _ => "choose another address",
    }
}

/// Runs the door until it is told to stop by SIGTERM or SIGINT, and everything it had begun is done or `server.grace` is
/// over. A second signal ends it at once. Rules follow changes of `source`.
///
/// # Errors
/// When it cannot start. Then nothing was changed.
pub fn run(config: Config, source: ConfigSource) -> Result<(), StartError> {
    let metrics = Metrics::install()?;
    store::describe_metrics();
    registry::describe_metrics();
    sync::describe_metrics();
    door::describe_metrics();
    auth::describe_metrics();
    web::describe_metrics();
    reload::describe_metrics();
    let descriptors = descriptors::raise().unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of descriptors cannot be raised to its hard limit");
        descriptors::have()
    });

    let certificates = match &config.listen.tls {
        Some(Tls { certificate, key }) => {
            Some(Arc::new(Certificates::load(certificate.clone(), key.clone())?))
        }
        None => None,
    };
    let tls = certificates.as_ref().map(Certificates::server_configuration).transpose()?;
    let listener = bind("listen.door", config.listen.door)?;
    let admin = bind("listen.admin", config.listen.admin)?;
    let main = runtime::Builder::new_current_thread().enable_all().build()?;
    // From here on no signal ends the process by itself.
    let (signals, hangup) =
        main.block_on(async { io::Result::Ok((Signals::new()?, signal(SignalKind::hangup())?)) })?;

    let urls = config.registry.backends.iter().map(|backend| Url::parse(&backend.to_string()));
    let backends = Arc::new(Backends::new(urls.collect::<Result<Vec<_>, _>>()?));
    let StoreUrl::Redb(path) = &config.store.url;
    let redb = Arc::new(RedbStore::open(path)?);
    let store: Arc<dyn Store> = Arc::clone(&redb) as Arc<dyn Store>;
    let gatehouse = main.block_on(Gatehouse::build(&config, &store))?;
    let registry = RegistryClient::new(Arc::clone(&backends), config.registry.timeout)?
        .committing_within(config.registry.commit_timeout);
    let registry = Arc::new(registry.asking(gatehouse.asking.clone()));
    let judge = Judge::new(Arc::clone(&store), judge_settings(&config), gatehouse.asking.clock);
    let judge = Arc::new(judge.aging_by(Arc::clone(&gatehouse.held)));
    let hints = Arc::new(HintQueue::new(Arc::clone(&store)));
    let recording =
        Recording { store: Arc::clone(&store), judge: Arc::clone(&judge), hints: Arc::clone(&hints) };
    let verifier = Arc::new(Verifier::new(Arc::clone(&store), Arc::clone(&registry), judge));
    let unknown = Arc::new(UnknownIntents::default());
    let carries = TaskTracker::new();
    let carrier =
        Carrier::new(recording.clone(), Arc::clone(&registry), Arc::clone(&unknown), carries.clone());
    let pulls = Arc::new(PullCounts::by(gatehouse.asking.clock));
    let seen = Arc::new(SeenAnswers::default());
    let parts = Parts {
        carrier,
        pulls: Arc::clone(&pulls),
        seen: Arc::clone(&seen),
        gate: gatehouse.gate.clone(),
        requirement_of: web::requirement_of,
        login: Arc::clone(&gatehouse.asking.login),
    };
    let pipeline = plugins::build(&config.plugins, &parts)?;

    let writes = carries.clone();
    let asking = gatehouse.asking.clone();
    let sweeper = new_sweeper(&config, recording, &backends, asking, move || !writes.is_empty())?;
    let socket = bind_socket(&config)?;
    let (first_pass, ready) = watch::channel(false);
    let status = Arc::new(Status {
        backends: Arc::clone(&backends),
        unknown: Arc::clone(&unknown),
        ready,
        stopping: AtomicBool::new(false),
        clock: gatehouse.asking.clock,
        offset: Arc::clone(&gatehouse.asking.offset),
    });
    let secret = config.notifications_secret.as_ref();
    let web = WebState {
        hints: Arc::clone(&hints),
        pulls: Arc::clone(&pulls),
        notifications: secret.map(|secret| NotificationSecret::new(secret.reveal())),
        store: Arc::clone(&store),
        sweeper: Arc::clone(&sweeper),
        gate: gatehouse.gate.clone(),
        accounts: Arc::clone(&gatehouse.accounts),
        status: Arc::clone(&status) as Arc<dyn StatusSource>,
        metrics,
    };
    let mut shares = descriptors::share(&config, descriptors);
    shares.tell(&config, descriptors);
    shares.connections.trusted_proxies = plugins::trusted_proxies(&config.plugins)?;
    let exchanges = TaskTracker::new();
    let naming = Naming {
        external: config.external_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
        keeps_host: config.registry.host == RegistryHost::Keep,
    };
    let service = Service::new(
        pipeline,
        OwnPaths { router: web::door_router(web.clone()), requirement_of: web::requirement_of },
        backends,
        door::Limits {
            client_timeout: config.listen.client_timeout,
            head_timeout: config.limits.head_timeout,
            idle_timeout: config.limits.idle_timeout,
            requests: shares.requests,
            patience: Patience {
                timeout: config.registry.timeout,
                commit_timeout: config.registry.commit_timeout,
            },
        },
        BodyMemory::new(config.limits.body_memory),
        naming,
        gatehouse.seal.clone(),
        exchanges.clone(),
    );
    let threads = config.server.threads.get();
    let door = Door::new(service, threads, tls, exchanges.clone(), shares.connections, shares.kept);

    main.block_on(async {
        gatehouse::read_clock(&registry, &gatehouse.asking).await;
        let stop = CancellationToken::new();
        let background = TaskTracker::new();
        let (reread, requests) = watch::channel(());
        background.spawn(reload::pass_on_hangups(hangup, reread, stop.clone()));
        gatehouse.keep_up(&background, &requests, &stop);
        if let Some(gate) = &gatehouse.gate {
            let reload = Reload::new(source, config.clone(), Arc::clone(gate), requests.clone());
            background.spawn(reload.run(stop.clone()));
        }
        let (asking, warn) = (gatehouse.asking.clone(), config.clock.warn);
        background.spawn(gatehouse::watch_clock(asking, warn, Arc::clone(&store), stop.clone()));
        let held = Arc::clone(&gatehouse.held);
        background.spawn(gatehouse::watch_time(held, Arc::clone(&store), stop.clone()));
        background.spawn(watch_health(Arc::clone(&registry), stop.clone()));
        background.spawn(settle_unknown(
            Arc::clone(&store),
            Arc::clone(&verifier),
            unknown,
            config.registry.timeout,
            first_pass,
            stop.clone(),
            LAST_PASS,
        ));
        background.spawn(compare_answers(seen, Arc::clone(&store), Arc::clone(&hints), stop.clone()));
        background.spawn(follow_hints(hints, verifier, stop.clone()));
        background.spawn(flush_pulls(pulls, Arc::clone(&store), stop.clone()));
        background.spawn(keep_journal(Arc::clone(gatehouse.accounts.journal()), store, stop.clone()));
        let sweeps = SweepThread::start(sweeper, stop.clone())?;
        background.spawn(socket.serve(web::socket_router(web.clone()), stop.clone())?);
        if let Some(certificates) = certificates {
            background.spawn(certificates.watch(requests, stop.clone()));
        }
        background.spawn(keep_metrics_up(web.metrics.clone(), exchanges, stop.clone()));
        let (door_address, admin_address) = (listener.address()?, admin.address()?);
        background.spawn(serve_admin(admin, web::admin_router(web), stop.clone())?);
        let workers = Workers::start(&door, &listener)?;
        drop(listener);
        tracing::info!(
            door = %door_address,
            admin = %admin_address,
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );

        let mut signals = signals;
        signals.next().await;
        status.stopping.store(true, Ordering::Relaxed);
        tracing::info!(grace = ?config.server.grace, "stopping: running transfers may end");
        let drained = async {
            door.drain().await;
            carries.close();
            carries.wait().await;
        };
        tokio::select! {
            () = drained => tracing::info!("every transfer has ended"),
            () = tokio::time::sleep(config.server.grace) => tracing::warn!("server.grace is over: what still runs is cut off"),
            () = signals.next() => tracing::warn!("told to stop again: what still runs is cut off"),
        }
        stop.cancel();
        background.close();
        background.wait().await;
        sweeps.join();
        workers.stop();
        Ok(())
    })
    .inspect(|()| redb.close())
}

fn bind(key: &'static str, address: SocketAddr) -> Result<Listener, StartError> {
    Listener::bind(address).map_err(|source| StartError::Listen { key, address, source })
}

fn bind_socket(config: &Config) -> Result<Socket, StartError> {
    let path = socket::path(config);
    Socket::bind(path.clone()).map_err(|source| StartError::Socket { path, source })
}

/// Sweeps have connections to the registry of their own, since they have a thread of their own.
fn new_sweeper(
    config: &Config,
    recording: Recording,
    backends: &Arc<Backends>,
    asking: Asking,
    is_busy: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<Arc<Sweeper>, StartError> {
    let timeout = config.registry.timeout;
    let transport = Arc::new(HttpTransport::new(timeout)?);
    let settings = SweepSettings {
        interval: config.sync.interval,
        deep_interval: config.sync.deep_interval,
        concurrency: config.sync.concurrency,
        seed: RandomState::new().hash_one(config.listen.door),
    };
    let backends = Arc::clone(backends);
    Ok(Arc::new(Sweeper::new(recording, backends, timeout, transport, asking, settings, is_busy)))
}

fn judge_settings(config: &Config) -> JudgeSettings {
    let config::Sync { settling, removal_limit, removal_patience, .. } = config.sync;
    let removal_limit = RemovalLimit { percent: removal_limit, always: ALWAYS_BELIEVED };
    JudgeSettings { settling, removal_limit, removal_patience }
}

/// The admin listener: metrics and health, plain HTTP.
fn serve_admin(
    listener: Listener,
    router: axum::Router,
    stop: CancellationToken,
) -> io::Result<impl Future<Output = ()>> {
    let listener = tokio::net::TcpListener::from_std(listener.into_std())?;
    Ok(async move {
        let served =
            axum::serve(Few::new(listener, "admin", ADMIN_CONNECTIONS, Some(ADMIN_LIFETIME)), router)
                .into_future();
        if let Some(Err(error)) = stop.run_until_cancelled(served).await {
            tracing::error!(%error, "the admin listener failed");
        }
    })
}

/// Keeps what the metrics observe from piling up until somebody asks for it, and looks at how many exchanges run.
async fn keep_metrics_up(metrics: Metrics, exchanges: TaskTracker, stop: CancellationToken) {
    let upkeep = async {
        loop {
            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 exchanges")]
            metrics::gauge!("portreeve_exchanges").set(exchanges.len() as f64);
            tokio::time::sleep(METRICS_UPKEEP).await;
            metrics.upkeep();
        }
    };
    stop.run_until_cancelled(upkeep).await;
}

/// The worker threads, and the word that ends them.
struct Workers {
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn start(door: &Door, listener: &Listener) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let threads = door
            .workers()
            .iter()
            .enumerate()
            .map(|(number, worker)| {
                let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
                let (worker, listener, stop) = (worker.clone(), listener.share()?, stop.clone());
                std::thread::Builder::new().name(format!("door-{number}")).spawn(move || {
                    runtime.block_on(async {
                        if let Err(error) = worker.serve(listener).await {
                            tracing::error!(%error, "a worker thread cannot accept connections");
                        }
                        // Connections live on this runtime: it goes on until the last of them has ended.
                        stop.cancelled().await;
                    });
                    // What still runs is cut off here; blocking reads of the store are let go.
                    runtime.shutdown_background();
                })
            })
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self { stop, threads })
    }

    fn stop(self) {
        self.stop.cancel();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

/// The signals that end the door.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
