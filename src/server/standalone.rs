//! What stands in for a door while `portreeve sync` runs without one: all that works on the record, and the socket for
//! commands, but nothing for clients. The store is this process's meanwhile, so commands that need it are carried out here.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::composition::{Composition, SweepSchedule};
use super::socket::Socket;
use super::start_error::StartError;
use crate::config::Config;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::web;

/// It, running on the current runtime.
pub(super) struct Standalone {
    store: Arc<dyn Store>,
    background: TaskTracker,
    stop: CancellationToken,
}

impl Standalone {
    /// Starts it over an open store. Sweeps begin on request alone.
    ///
    /// # Errors
    /// When it cannot start. Then nothing runs.
    pub(super) async fn start(config: &Config, store: Arc<dyn Store>) -> Result<Self, StartError> {
        let metrics = Metrics::install()?;
        let composition =
            Composition::build(config, Arc::clone(&store), SweepSchedule::OnRequest, metrics).await?;
        let socket = Socket::configured(config)?;
        let (background, stop) = (TaskTracker::new(), CancellationToken::new());
        let answering = socket.serve(web::socket_router(composition.web_state(None)), stop.clone())?;
        composition.run(&background, &TaskTracker::new(), &stop).await;
        background.spawn(answering);
        let (sweeper, stopped) = (Arc::clone(&composition.engine.sweeper), stop.clone());
        background.spawn(async move { sweeper.run(stopped).await });
        Ok(Self { store, background, stop })
    }

    /// Stops it, and closes the store.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.background.close();
        self.background.wait().await;
        self.store.close();
    }
}
