//! The state of this process, for the API and the probes.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::{Clock, ClockOffset};
use crate::registry::Backends;
use crate::sync::{FirstPass, UnknownIntents};
use crate::web::{
    BackendStatus, ClockStatus, RegistryStatus, ServiceState, StatusSource, VerificationStatus,
};

/// The state of this process.
pub(super) struct Status {
    pub backends: Arc<Backends>,
    pub unknown: Arc<UnknownIntents>,
    pub ready: FirstPass,
    pub stopping: AtomicBool,
    /// The door's own clock, and what is known of the registry's.
    pub clock: Clock,
    pub offset: Arc<ClockOffset>,
}

impl Status {
    /// Why the door cannot do its work at the registry.
    fn trouble(&self) -> Option<Cow<'static, str>> {
        if !self.backends.all().iter().any(|backend| backend.is_healthy()) {
            return Some("the registry cannot be reached".into());
        }
        self.backends.credentials_problem().map(|problem| problem.to_string().into())
    }
}

impl StatusSource for Status {
    fn state(&self) -> ServiceState {
        if self.stopping.load(Ordering::Relaxed) {
            ServiceState::Stopping
        } else if !*self.ready.borrow() {
            ServiceState::Starting
        } else if self.trouble().is_none() {
            ServiceState::Ready
        } else {
            ServiceState::Degraded
        }
    }

    fn verifications(&self) -> VerificationStatus {
        let counts = self.unknown.counts();
        VerificationStatus { pending: counts.pending, completed: counts.completed, failed: counts.failed }
    }

    fn registry(&self) -> RegistryStatus {
        let backends: Vec<_> = self
            .backends
            .all()
            .iter()
            .map(|backend| BackendStatus {
                url: backend.url().to_string(),
                healthy: backend.is_healthy(),
                foreign: backend.foreign_status().map(|status| status.as_u16()),
                latency_milliseconds: backend.probe_latency().map(|latency| latency.as_secs_f64() * 1000.0),
            })
            .collect();
        let clock = self.offset.seen_from(self.clock).map(ClockStatus::from);
        let reachable = backends.iter().any(|backend| backend.healthy);
        RegistryStatus { reachable, trouble: self.trouble(), backends, clock }
    }
}
