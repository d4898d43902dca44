//! The thread of the sweeps: reading long listings must not keep anything else waiting.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime;
use tokio_util::sync::CancellationToken;

use crate::sync::Sweeper;

/// The running thread.
pub(super) struct SweepThread(JoinHandle<()>);

impl SweepThread {
    /// Runs sweeps on a thread of their own until told to stop.
    pub fn start(sweeper: Arc<Sweeper>, stop: CancellationToken) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            runtime.block_on(sweeper.run(stop));
            // Blocking reads of the store are let go.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("sweep".to_owned()).spawn(run).map(Self)
    }

    /// Waits for its end, once it was told to stop.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the thread of the sweeps panicked");
        }
    }
}
