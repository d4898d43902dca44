//! The thread of the sweeps: reading long listings must not keep anything else waiting.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime;
use tokio_util::sync::CancellationToken;

use crate::sync::Sweeper;

/// The pause after a panic between two sweeps; a panic within a sweep is that sweep's failure.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(5);

/// The running thread.
pub(super) struct SweepThread(JoinHandle<()>);

impl SweepThread {
    /// Runs sweeps on a thread of their own until told to stop, whatever happens.
    pub(super) fn start(sweeper: Arc<Sweeper>, stop: CancellationToken) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            while !stop.is_cancelled() {
                let running = AssertUnwindSafe(|| runtime.block_on(sweeper.run(stop.clone())));
                if catch_unwind(running).is_err() {
                    tracing::error!(
                        "the thread of the sweeps panicked, which is a mistake in this program; it is started again"
                    );
                    runtime.block_on(stop.run_until_cancelled(tokio::time::sleep(PAUSE_AFTER_PANIC)));
                }
            }
            // Blocking reads of the store are abandoned.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("sweep".to_owned()).spawn(run).map(Self)
    }

    /// Waits for its end, once it was told to stop.
    pub(super) fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the thread of the sweeps panicked");
        }
    }
}
