//! What a client to the registry is made from, so that a second one (sweeps have connections of their own) is made alike.

use std::sync::Arc;
use std::time::Duration;

use super::{Asking, Backends, RegistryClient, Transport};

/// Where the registry is, how it is asked, and how long its answers may take.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// Its backends.
    pub backends: Arc<Backends>,
    /// What it is, how the door shows itself, and whose time counts.
    pub asking: Asking,
    /// The wait for a connection, and for an answer to begin.
    pub timeout: Duration,
    /// The wait for the answer to a write, while the registry shows signs of life; at least `timeout`.
    pub commit_timeout: Duration,
}

impl RegistrySettings {
    /// A client that sends its requests by this transport.
    pub fn client(&self, transport: Arc<dyn Transport>) -> RegistryClient {
        RegistryClient::with_transport(Arc::clone(&self.backends), self.timeout, transport)
            .committing_within(self.commit_timeout)
            .asking(self.asking.clone())
    }
}
