//! `portreeve sync`: one sweep now, and what came of it in words.
//!
//! It asks the running door through its socket. Where no door runs, it opens the store, becomes what a door is behind its
//! socket ([`Standalone`]) for as long as the sweep takes, and asks that.

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::{runtime, signal};

use super::door_client::{Client, DoorError};
use super::progress_bar::{progress_bar, show};
use super::standalone::Standalone;
use super::start_error::StartError;
use super::sync_output::{Difference, Summary};
use super::{socket, store_setup};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::store::{Sequence, Source};
use crate::sync::{FinishedSweep, SweepOutcome};

/// How often the door is asked how far it is.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Why a sweep could not be run, or its differences not be written.
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
    /// The door could not be asked, or refused.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The door goes on with another record than the one in which it was asked for the sweep.
    #[error(
        "the door was restarted with another record meanwhile, which knows nothing of this sweep: ask again"
    )]
    AnotherRecord,
    /// Without a door, it could not be run here.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The differences cannot be written.
    #[error("the differences cannot be written: {0}")]
    Output(io::Error),
    /// The user does not want it any more.
    #[error("interrupted; a running door goes on with its sweep")]
    Interrupted,
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
/// sweep. Answers whether record and registry are in step.
///
/// # Errors
/// When the sweep cannot be run, or its outcome not be learnt or written.
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
            match store_setup::open_existing(&config.store) {
                Ok(opened) => {
                    let standalone = Standalone::start(config, opened).await?;
                    let swept = match Client::new(&path) {
                        Ok(client) => client.sweep(wanted, out).await,
                        Err(error) => Err(error.into()),
                    };
                    standalone.stop().await;
                    swept
                }
                Err(error) => Err(match error.in_use() {
                    Some(store) => SyncError::Unreachable { store: store.to_owned(), socket: path.clone() },
                    None => StartError::Store(error).into(),
                }),
            }
        };
        tokio::select! {
            swept = running => swept,
            _ = interrupted => Err(SyncError::Interrupted),
        }
    })
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

impl Client {
    async fn sweep(&self, wanted: WantedSweep, out: &mut dyn Write) -> Result<bool, SyncError> {
        let request = self.http.post("http://door/api/v1/sync").json(&wanted);
        let accepted: Accepted = self.ask("begin a sweep", request).await?;
        let finished = self.follow(&accepted).await?;
        self.write_differences(accepted.since, out).await?;
        writeln!(out, "{}", Summary(&finished)).map_err(SyncError::Output)?;
        for problem in &finished.problems {
            let place = problem.repository.as_deref().unwrap_or("the registry");
            writeln!(out, "not compared: {place}: {}", problem.message).map_err(SyncError::Output)?;
        }
        if !finished.held.is_none() {
            writeln!(out, "{}", self.missing_report().await?).map_err(SyncError::Output)?;
        }
        let FinishedSweep { outcome, held, unsettled, .. } = finished;
        Ok(outcome == SweepOutcome::Complete && held.is_none() && unsettled == 0)
    }

    /// Waits for the end of a sweep, and shows on a terminal how far it is.
    async fn follow(&self, accepted: &Accepted) -> Result<FinishedSweep, SyncError> {
        let bar = io::stderr().is_terminal().then(progress_bar);
        let number = accepted.sweep;
        loop {
            let sweep = self.sweeps().await?;
            if sweep.numbered_since != accepted.numbered_since {
                return Err(SyncError::AnotherRecord);
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
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn write_differences(&self, since: Sequence, out: &mut dyn Write) -> Result<(), SyncError> {
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

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use axum::{Json, Router};
    use serde_json::json;
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn the_sweeps_of_another_record_are_not_taken_for_those_of_the_one_that_was_asked() {
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
        assert!(matches!(swept, Err(SyncError::AnotherRecord)), "{swept:?}");
        served.abort();
    }
}
