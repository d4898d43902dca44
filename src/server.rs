//! The process: start, run, drain, stop. The commands of the command line are here too, a file each.
//!
//! Everything that can be wrong with the configuration is found before anything is touched. The main thread runs what
//! watches and answers beside the traffic; the traffic has threads of its own (`workers`), and so have the sweeps.

mod account_command;
mod account_names;
mod admin_listener;
mod auth_setup;
mod backup_command;
mod check;
mod clock_watch;
mod composition;
mod deletion_command;
mod descriptors;
mod door_client;
mod door_setup;
mod draft;
mod events_command;
mod explain_command;
mod first_start;
mod flaw_report;
mod key_command;
mod known_accounts;
mod limited_listener;
mod lockout_command;
mod log_setup;
mod metrics_upkeep;
mod missing_report;
mod preparation;
mod progress_bar;
mod record_command;
mod record_output;
mod registry_access;
mod reload;
mod signals;
mod socket;
mod standalone;
mod start_error;
mod status;
mod store_check_command;
mod store_command;
mod store_setup;
mod sweep_thread;
mod sync_command;
mod sync_output;
mod token_watch;
mod user_list;
mod workers;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use account_command::CommandError;
pub use account_names::account;
pub use backup_command::{back_up_store, restore_store};
pub use check::{Report, check};
pub use deletion_command::{Doomed, Lost, delete, preview, undelete};
pub use door_client::{DoorError, DoorRefusal};
pub use draft::FileError;
pub use events_command::{WantedEvents, show_events};
pub use explain_command::explain;
pub use key_command::{KeyCommandError, prepare_key, rotate_key, show_key};
pub use lockout_command::unlock;
pub use log_setup::log_settings;
pub use record_command::{OutputFormat, RecordCommandError, RecordQuery, WantedManifest, show_record};
pub use reload::ConfigSource;
pub use start_error::StartError;
pub use store_check_command::check_store;
pub use store_command::{StoreCommandError, export_store, import_store};
pub use store_setup::StoreOpenError;
pub use sync_command::{SyncError, WantedSweep, sync};
pub use user_list::{ListedSource, ListedUser, listed_user, listed_users};

use self::auth_setup::AuthSetup;
use self::composition::{Composition, SweepSchedule};
use self::metrics_upkeep::MetricsUpkeep;
use self::preparation::{Listeners, Preparation};
use self::reload::{Reload, ReloadedParts};
use self::signals::{Signals, StopSignals};
use self::socket::Socket;
use self::sweep_thread::SweepThread;
use self::workers::Workers;
use crate::clock::Timestamp;
use crate::config::{Config, ConfigError};
use crate::door::Door;
use crate::telemetry::{Metrics, describe_reloads};
use crate::{auth, door, registry, store, sync, web};

/// Runs the door until it is told to stop by SIGTERM or SIGINT, `server.lame_duck` is over, and everything it had begun is done or
/// `server.grace` is over. A second signal ends it at once. Rules follow changes of `source`.
///
/// # Errors
/// When it cannot start. Then nothing was changed.
pub fn run(config: Config, source: ConfigSource) -> Result<(), StartError> {
    let metrics = Metrics::install()?;
    describe_all_metrics();
    let descriptors = descriptors::raise_limit();
    let prepared = Preparation::of(&config)?;
    let listeners = Listeners::bind(&config)
        .map_err(|unbound| ConfigError::new(unbound.iter().map(|port| port.problem(&config)).collect()))?;
    socket::check(&config)?;
    let main = runtime::Builder::new_current_thread().enable_all().build()?;
    // From here on no signal ends the process by itself.
    let mut signals = main.block_on(async { Signals::install() })?;
    let store = first_start::open_or_make(&config, &main)?;
    main.block_on(async {
        let composition =
            Composition::build(&config, Arc::clone(&store), SweepSchedule::Configured, metrics).await?;
        let running =
            Running::start(&config, source, &composition, prepared, listeners, signals.hangup, descriptors);
        let running = running.await?;

        signals.stop.next().await;
        composition.status.stopping.store(true, Ordering::Relaxed);
        if running.leave(config.server.lame_duck, &mut signals.stop).await {
            composition.end_streams();
            tracing::info!(grace = ?config.server.grace, "stopping: running transfers may end");
            running.drain(&composition, config.server.grace, &mut signals.stop).await;
        }
        running.stop().await;
        Ok(())
    })
    // What was acknowledged is durable already; this lets the next process open the store at once.
    .inspect(|()| store.close())
}

/// Describes every metric to the exporter.
fn describe_all_metrics() {
    store::describe_metrics();
    registry::describe_metrics();
    sync::describe_metrics();
    door::describe_metrics();
    auth::describe_metrics();
    web::describe_metrics();
    describe_reloads(Timestamp::now().as_seconds());
    metrics_upkeep::describe_metrics();
    limited_listener::describe_metrics();
}

/// A door that runs.
struct Running {
    door: Door,
    workers: Workers,
    sweeps: SweepThread,
    background: TaskTracker,
    stop: CancellationToken,
}

impl Running {
    /// Starts the background tasks, the sweeps, and last the threads that answer clients.
    async fn start(
        config: &Config,
        source: ConfigSource,
        composition: &Composition,
        prepared: Preparation,
        listeners: Listeners,
        hangup: tokio::signal::unix::Signal,
        descriptors: usize,
    ) -> Result<Self, StartError> {
        let Preparation { plugins, auth, certificates } = prepared;
        let Listeners { door: listener, admin } = listeners;
        let clock = Arc::clone(&composition.retention_clock);
        let keys = registry_access::key_place(config, &composition.store)?;
        let (secret, access) = (keys.secret().await?, &composition.access);
        let auth = AuthSetup::build(config, &secret, auth, access, &composition.accounts, clock)?;
        let web = composition.web_state(auth.gate.clone());
        let (door, exchanges) = door_setup::build(
            config,
            composition,
            plugins,
            &auth,
            web.clone(),
            certificates.as_ref(),
            descriptors,
        )?;
        let socket = Socket::configured(config)?;

        let (background, stop) = (TaskTracker::new(), CancellationToken::new());
        composition.run(&background, &exchanges, &stop).await;
        let (reread, requests) = watch::channel(());
        background.spawn(reload::pass_on_hangups(hangup, reread, stop.clone()));
        auth.run(&background, &requests, &stop);
        let reloaded = ReloadedParts {
            gate: auth.gate,
            issuer: composition.access.issuer.clone(),
            credentials: Arc::clone(&composition.access.settings.credentials),
            notifications: web.notifications.clone(),
        };
        let reload = Reload::new(source, config.clone(), keys, reloaded, requests.clone());
        background.spawn(reload.run(stop.clone()));
        if let Some(certificates) = certificates {
            background.spawn(certificates.watch(requests, stop.clone()));
        }
        let upkeep = MetricsUpkeep {
            metrics: web.metrics.clone(),
            exchanges,
            store: Arc::clone(&composition.store),
            file: store_setup::file(&config.store),
            clock: composition.access.settings.clock,
        };
        background.spawn(upkeep.run(stop.clone()));
        sync::show_sweep_intervals(config.sync.interval, config.sync.deep_interval);
        let sweeps = SweepThread::start(Arc::clone(&composition.engine.sweeper), stop.clone())?;
        background.spawn(socket.serve(web::socket_router(web.clone()), stop.clone())?);
        let (door_address, admin_address) = (listener.address()?, admin.address()?);
        background.spawn(admin_listener::serve(admin, web::admin_router(web), stop.clone())?);
        let workers = Workers::start(&door, &listener)?;
        drop(listener);
        tracing::info!(
            door = %door_address,
            admin = %admin_address,
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );
        Ok(Self { door, workers, sweeps, background, stop })
    }

    /// Goes on for this time, or until the next signal, and ends each connection behind its next answer. Answers whether the time
    /// is over.
    async fn leave(&self, time: Duration, signals: &mut StopSignals) -> bool {
        if time.is_zero() {
            return true;
        }
        tracing::info!(lame_duck = ?time, "stopping: new requests are to go elsewhere, and are served until then");
        self.door.leave();
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = signals.next() => {
                tracing::warn!("told to stop again: what still runs is cut off");
                self.door.close();
                false
            }
        }
    }

    /// Accepts no connection any more, and waits for what runs: exchanges, and writes and commands whose caller has gone; at most for
    /// `grace`, and at most until the next signal.
    async fn drain(&self, composition: &Composition, grace: Duration, signals: &mut StopSignals) {
        self.door.close();
        let drained = async {
            self.door.drain().await;
            composition.engine.writes.close();
            composition.engine.writes.wait().await;
            composition.accounts.finish().await;
        };
        tokio::select! {
            () = drained => tracing::info!("every transfer has ended"),
            () = tokio::time::sleep(grace) => tracing::warn!("server.grace is over: what still runs is cut off"),
            () = signals.next() => tracing::warn!("told to stop again: what still runs is cut off"),
        }
    }

    /// Ends everything. Background tasks do their last work: they write down what they have.
    async fn stop(self) {
        self.stop.cancel();
        self.background.close();
        self.background.wait().await;
        self.sweeps.join();
        self.workers.stop();
    }
}
