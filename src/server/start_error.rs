//! Why the door does not start.

use std::io;
use std::path::PathBuf;

use super::store_setup::StoreOpenError;
use crate::auth::{KeyRingError, SealError};
use crate::config::ConfigError;
use crate::telemetry::MetricsError;

/// Why the door did not start. Each is one sentence that names what has to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What the configuration names cannot be used: everything that is wrong at once.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// TLS cannot be set up at all.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The store cannot be opened.
    #[error("store.url: {0}")]
    Store(#[from] StoreOpenError),
    /// The socket for commands.
    #[error("server.socket: {} cannot be bound: {source}; name a path of at most 100 bytes in a directory of the door's own", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The keys of tokens.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// What hides targets of the registry's own in URLs of the door.
    #[error("URLs of uploads cannot be sealed: {0}")]
    Seal(#[from] SealError),
    /// Metrics cannot be recorded.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The client to the registry cannot be made.
    #[error("the client to the registry cannot be set up: {0}; are the system's CA certificates installed?")]
    Registry(#[from] reqwest::Error),
    /// A backend's URL that the resolver of URLs does not take.
    #[error("registry.url: {0}")]
    Url(#[from] url::ParseError),
    /// The system refuses threads, sockets or signals.
    #[error("the system does not let the door run: {0}")]
    System(#[from] io::Error),
}

impl StartError {
    /// Whether the operator has to change something before it can start: a key, a file, a port.
    pub const fn is_misconfiguration(&self) -> bool {
        match self {
            Self::Config(_) | Self::Store(_) | Self::Socket { .. } | Self::Keys(_) | Self::Url(_) => true,
            Self::Tls(_) | Self::Metrics(_) | Self::Registry(_) | Self::System(_) | Self::Seal(_) => false,
        }
    }
}
