//! `portreeve sync`: one sweep now, and what came of it in words.
//!
//! It speaks to the API of the running door through its socket. Where no door runs, it opens the store, runs the sweep
//! and that API itself, with all that a door's socket answers, and then does the same.

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::{runtime, signal};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::door_client::Client;
use super::progress_bar::{progress_bar, show};
use super::socket::{self, Socket};
use super::status::Status;
use super::{StartError, bind_socket, gatehouse, judge_settings, new_sweeper};
use crate::auth::{Accounts, Journal, keep_journal};
use crate::clock::Timestamp;
use crate::config::{Config, StoreUrl};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::registry::{Backends, RegistryClient};
use crate::store::{EventKind, OpenError, RedbStore, Sequence, Source, Store};
use crate::sync::{FinishedSweep, HintQueue, Judge, Recording, SweepOutcome, UnknownIntents};
use crate::telemetry::{Metrics, MetricsError};
use crate::web::{self, StatusSource, WebState};

/// How often the door is asked how far it is.
const PACE: Duration = Duration::from_millis(200);

/// Why a sweep could not be run, or its differences not be told.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// A door has the store, but does not answer.
    #[error(
        "the store {} is in use, but no door answers at the socket {}; is server.socket the same for both?",
        store.display(),
        socket.display()
    )]
    Unreachable {
        /// The store.
        store: PathBuf,
        /// Where the door was looked for.
        socket: PathBuf,
    },
    /// The door did not answer as it should.
    #[error("the door at the socket {} did not {attempted}: {cause}", socket.display())]
    Door {
        /// Its socket.
        socket: PathBuf,
        /// What was asked of it.
        attempted: &'static str,
        /// What came of it.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The door that was asked is no more.
    #[error(
        "the door was restarted meanwhile; its next sweep goes on where this one was cut, ask again for one from the beginning"
    )]
    Restarted,
    /// Without a door, it could not be run here.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nobody can be told.
    #[error("the differences cannot be told: {0}")]
    Output(io::Error),
    /// The user does not want it any more.
    #[error("interrupted; a running door goes on with its sweep")]
    Interrupted,
}

impl From<MetricsError> for SyncError {
    fn from(error: MetricsError) -> Self {
        Self::Start(error.into())
    }
}

/// What sweep is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WantedSweep {
    /// Also ask for the digest of every tag, and about every recorded manifest.
    pub deep: bool,
    /// Remove what is held to be missing, if the registry still denies it.
    pub accept_removals: bool,
}

/// Runs one sweep, by the running door or else here, and writes one line to `out` for each difference, and one for the
/// whole. Answers whether record and registry are in step.
///
/// # Errors
/// When the sweep cannot be run, or its outcome not be learnt or told.
pub fn sync(config: &Config, wanted: WantedSweep, out: &mut dyn Write) -> Result<bool, SyncError> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| SyncError::Start(error.into()))?;
    let path = socket::path(config);
    runtime.block_on(async {
        let interrupted = signal::ctrl_c();
        let running = async {
            if std::os::unix::net::UnixStream::connect(&path).is_ok() {
                return Client::new(&path)?.sweep(wanted, out).await;
            }
            let StoreUrl::Redb(store) = &config.store.url;
            match RedbStore::open(store) {
                Ok(opened) => alone(config, opened, wanted, out).await,
                Err(OpenError::InUse { .. }) => {
                    Err(SyncError::Unreachable { store: store.clone(), socket: path.clone() })
                }
                Err(error) => Err(StartError::Store(error).into()),
            }
        };
        tokio::select! {
            swept = running => swept,
            _ = interrupted => Err(SyncError::Interrupted),
        }
    })
}

/// Runs a sweep without a door: its part of one, for as long as the sweep takes.
async fn alone(
    config: &Config,
    store: RedbStore,
    wanted: WantedSweep,
    out: &mut dyn Write,
) -> Result<bool, SyncError> {
    let metrics = Metrics::install()?;
    let urls = config.registry.backends.iter().map(|backend| Url::parse(&backend.to_string()));
    let urls = urls.collect::<Result<Vec<_>, _>>().map_err(StartError::Url)?;
    let backends = Arc::new(Backends::new(urls));
    let store = Arc::new(store);
    let any: Arc<dyn Store> = Arc::clone(&store) as _;
    // Nothing but what is asked for.
    let mut only_asked = config.clone();
    (only_asked.sync.interval, only_asked.sync.deep_interval) = (Duration::ZERO, Duration::ZERO);
    let asking = gatehouse::asking(config)?;
    let registry = RegistryClient::new(Arc::clone(&backends), config.registry.timeout);
    let registry = registry.map_err(StartError::Registry)?.asking(asking.clone());
    gatehouse::read_clock(&registry, &asking).await;
    let (clock, offset) = (asking.clock, Arc::clone(&asking.offset));
    let held = gatehouse::held_clock(any.as_ref(), clock).await;
    let judge = Judge::new(Arc::clone(&any), judge_settings(config), clock).aging_by(Arc::clone(&held));
    let judge = Arc::new(judge);
    let hints = Arc::new(HintQueue::new(Arc::clone(&any)));
    let recording = Recording { store: Arc::clone(&any), judge, hints: Arc::clone(&hints) };
    let sweeper = new_sweeper(&only_asked, recording, &backends, asking, || false)?;
    let (_, ready) = watch::channel(true);
    let status: Arc<dyn StatusSource> = Arc::new(Status {
        backends,
        unknown: Arc::new(UnknownIntents::default()),
        ready,
        stopping: AtomicBool::new(false),
        clock,
        offset,
    });
    let journal = Arc::new(Journal::new(clock, config.auth.events_age).aging_by(held));
    let stop = CancellationToken::new();
    let kept = keep_journal(Arc::clone(&journal), Arc::clone(&any), stop.clone());
    let web = WebState {
        gate: None,
        accounts: Arc::new(Accounts::new(Arc::clone(&any), journal, clock)),
        hints,
        pulls: Arc::default(),
        notifications: None,
        store: any,
        sweeper: Arc::clone(&sweeper),
        status,
        metrics,
    };
    let socket: Socket = bind_socket(config)?;
    // The store is this process's as long as it sweeps: commands that need it are carried out here, as by a door.
    let served = socket.serve(web::socket_router(web), stop.clone()).map_err(StartError::System)?;
    let client = Client::new(&socket::path(config))?;
    let sweeping = async {
        let swept = client.sweep(wanted, out).await;
        stop.cancel();
        swept
    };
    let (swept, (), (), ()) = tokio::join!(sweeping, served, sweeper.run(stop.clone()), kept);
    store.close();
    swept
}

#[derive(Deserialize)]
struct Accepted {
    sweep: u64,
    since: Sequence,
    numbered_since: Timestamp,
}

#[derive(Deserialize)]
struct EventsPart {
    items: Vec<Difference>,
    next: Option<String>,
}

/// An event, as far as it is told.
#[derive(Deserialize)]
struct Difference {
    kind: EventKind,
    source: Source,
    repository: RepositoryName,
    tag: Option<Tag>,
    digest: Option<Digest>,
    previous: Option<Digest>,
}

impl Client {
    async fn sweep(&self, wanted: WantedSweep, out: &mut dyn Write) -> Result<bool, SyncError> {
        let request = self.http.post("http://door/api/v1/sync").json(&wanted);
        let accepted: Accepted = self.ask("begin a sweep", request).await?;
        let finished = self.follow(&accepted).await?;
        self.tell_differences(accepted.since, out).await?;
        writeln!(out, "{}", Summary(&finished)).map_err(SyncError::Output)?;
        for problem in &finished.problems {
            let place = problem.repository.as_deref().unwrap_or("the registry");
            writeln!(out, "not compared: {place}: {}", problem.message).map_err(SyncError::Output)?;
        }
        if !finished.held.is_none() {
            writeln!(out, "{}", self.held().await?).map_err(SyncError::Output)?;
        }
        let FinishedSweep { outcome, held, unsettled, .. } = finished;
        Ok(outcome == SweepOutcome::Complete && held.is_none() && unsettled == 0)
    }

    /// Waits for the end of a sweep, showing how far it is where somebody looks.
    async fn follow(&self, accepted: &Accepted) -> Result<FinishedSweep, SyncError> {
        let bar = io::stderr().is_terminal().then(progress_bar);
        let number = accepted.sweep;
        loop {
            let sweep = self.sweeps().await?;
            if sweep.numbered_since != accepted.numbered_since {
                return Err(SyncError::Restarted);
            }
            if let Some(last) = sweep.last.filter(|last| last.number >= number) {
                if let Some(bar) = bar {
                    bar.finish_and_clear();
                }
                return Ok(last);
            }
            if let (Some(bar), Some(running)) = (&bar, &sweep.running) {
                show(bar, running, number);
            }
            tokio::time::sleep(PACE).await;
        }
    }

    async fn tell_differences(&self, since: Sequence, out: &mut dyn Write) -> Result<(), SyncError> {
        let mut after = since.to_string();
        loop {
            let request = self.http.get(format!("http://door/api/v1/events?n=1000&after={after}"));
            let EventsPart { items, next } = self.ask("tell its events", request).await?;
            for difference in items.iter().filter(|event| event.source == Source::Swept) {
                writeln!(out, "{difference}").map_err(SyncError::Output)?;
            }
            match next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, repository, tag, digest, previous, .. } = self;
        let digest = digest.as_ref().map_or("", |digest| digest.as_str());
        match (kind, tag, previous) {
            (EventKind::ManifestPut, Some(tag), None) => {
                write!(formatter, "new      {repository}:{tag} {digest}")
            }
            (EventKind::ManifestPut, Some(tag), Some(previous)) => {
                write!(formatter, "changed  {repository}:{tag} {digest}, was {previous}")
            }
            (EventKind::ManifestPut, None, _) => write!(formatter, "new      {repository}@{digest}"),
            (EventKind::TagRestored, Some(tag), _) => {
                write!(formatter, "back     {repository}:{tag} {digest}")
            }
            (EventKind::TagRestored, None, _) => write!(formatter, "back     {repository}@{digest}"),
            (EventKind::TagDeleted, Some(tag), _) => {
                write!(formatter, "gone     {repository}:{tag} {digest}")
            }
            (EventKind::TagDeleted | EventKind::ManifestDeleted, ..) => {
                write!(formatter, "gone     {repository}@{digest}")
            }
            (EventKind::RepositoryFound, ..) => write!(formatter, "new      {repository} (empty)"),
            (EventKind::RepositoryGone, ..) => write!(formatter, "gone     {repository}"),
        }
    }
}

/// How a sweep ended, in one line.
pub(super) struct Summary<'a>(pub(super) &'a FinishedSweep);

impl std::fmt::Display for Summary<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let FinishedSweep {
            outcome, cause, repositories, tags, found, problem_count, held, unsettled, ..
        } = self.0;
        match outcome {
            SweepOutcome::Complete if *unsettled > 0 || !held.is_none() => {
                formatter.write_str("everything was compared, not all is in step")?;
            }
            SweepOutcome::Complete => formatter.write_str("in step")?,
            SweepOutcome::Partial => formatter.write_str("not everything could be compared")?,
            SweepOutcome::Failed => formatter.write_str("the sweep came to no end")?,
        }
        if let Some(cause) = cause {
            write!(formatter, " ({cause})")?;
        }
        write!(formatter, ": {repositories} repositories and {tags} tags compared, {found} corrections")?;
        if *problem_count > 0 {
            write!(formatter, ", {problem_count} problems")?;
        }
        if *unsettled > 0 {
            write!(
                formatter,
                ", {unsettled} references to be asked about again, since they were written just now and the registry says \
                 otherwise"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use axum::{Json, Router};
    use serde_json::json;
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_sweep_is_told_when_another_door_answers_whose_numbers_are_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("door.sock");
        let times = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"];
        let accepted = json!({ "sweep": 7, "since": 0, "numbered_since": times[0] });
        let sweep = json!({ "running": null, "last": null, "next_at": null, "numbered_since": times[1] });
        let status = json!({ "sweep": sweep, "store": { "tags": 0 } });
        let router = Router::new()
            .route("/api/v1/sync", post(async || Json(accepted)))
            .route("/api/v1/status", get(async || Json(status)));
        let listener = UnixListener::bind(&path).unwrap();
        let served = tokio::spawn(async { axum::serve(listener, router).await });
        let mut out = Vec::new();
        let swept = Client::new(&path).unwrap().sweep(WantedSweep::default(), &mut out).await;
        assert!(matches!(swept, Err(SyncError::Restarted)), "{swept:?}");
        served.abort();
    }
}
