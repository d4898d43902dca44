//! The signals that the door listens to: SIGTERM and SIGINT stop it, SIGHUP has files read again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The installed handlers: none of these signals ends the process by itself any more.
pub(super) struct Signals {
    pub stop: StopSignals,
    pub hangup: Signal,
}

/// The signals that stop the door.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Installs the handlers. Needs a runtime.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn install() -> io::Result<Self> {
        let stop = StopSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        Ok(Self { stop, hangup: signal(SignalKind::hangup())? })
    }
}

impl StopSignals {
    /// Waits for the next of them.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
