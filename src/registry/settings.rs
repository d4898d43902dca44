//! What a client to the registry is made from, so that a second one (sweeps have connections of their own) is made alike.

use std::sync::Arc;
use std::time::Duration;

use super::{Backends, RegistryCredentials};
use crate::clock::{Clock, ClockOffset};

/// Where the registry is, how it is asked, and how long its answers may take.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// Its backends.
    pub backends: Arc<Backends>,
    /// What it is.
    pub kind: RegistryKind,
    /// The door's credentials for it.
    pub credentials: Arc<RegistryCredentials>,
    /// The door's own clock.
    pub clock: Clock,
    /// What is known of the registry's clock; every answer adds to it.
    pub offset: Arc<ClockOffset>,
    /// The wait for a connection, and for an answer to begin.
    pub timeout: Duration,
    /// The wait for the answer to a write, while the registry shows signs of life; at least `timeout`.
    pub commit_timeout: Duration,
}

/// What the registry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryKind {
    /// It holds what was pushed to it.
    Registry,
    /// It is a pull-through cache of another registry, its origin: what it is asked for and does not hold, it fetches.
    Proxy,
}

impl RegistrySettings {
    /// A registry that asks for no credentials. Writes may take as long as questions, `timeout`; the clock is the system's.
    pub fn new(backends: Arc<Backends>, timeout: Duration) -> Self {
        Self {
            backends,
            kind: RegistryKind::Registry,
            credentials: Arc::new(RegistryCredentials::None),
            clock: Clock::SYSTEM,
            offset: Arc::default(),
            timeout,
            commit_timeout: timeout,
        }
    }
}
