//! The worker threads of the traffic: each has a runtime of its own, so that a connection stays where it was accepted.

use std::io;
use std::thread::JoinHandle;

use tokio::runtime;
use tokio_util::sync::CancellationToken;

use crate::door::{Door, Listener};

/// The running threads, and the token that ends them.
pub(super) struct Workers {
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts a thread for each worker of the door; all accept from this listener.
    ///
    /// # Errors
    /// When the system gives no thread or no descriptor.
    pub(super) fn start(door: &Door, listener: &Listener) -> io::Result<Self> {
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
                        // Connections live on this runtime: it runs until the last of them has ended.
                        stop.cancelled().await;
                    });
                    // What still runs is cut off here; blocking reads of the store are abandoned.
                    runtime.shutdown_background();
                })
            })
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self { stop, threads })
    }

    /// Ends the threads, with what still runs on them.
    pub(super) fn stop(self) {
        self.stop.cancel();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}
