//! The door's own client to the registry: which backends there are and how they fare, asking about manifests, and
//! carrying a write.
//!
//! Clients' blob traffic does not come through here: the door streams it with its own connections, to the backends that this
//! module names. Only small blobs are fetched (`blobs`). Used by `sync/` (questions, writes), by `door/` (backends) and by `server.rs` (health).

mod authorities;
mod backend;
mod bearer_tokens;
mod blobs;
mod carry;
mod client;
mod connection_fault;
mod credentials;
mod error;
mod health;
mod inspect;
mod listing;
mod manifests;
mod metrics;
mod page_size;
mod probe;
mod probe_result;
mod pull_through_cache;
mod question;
mod response;
mod retry_after;
mod settings;
mod timeouts;
mod transport;
mod write;

pub use authorities::{Authorities, InvalidAuthorities};
pub use backend::{Backend, BackendKey, Backends};
pub use bearer_tokens::{BearerToken, BearerTokens, TokenError};
pub use client::RegistryClient;
pub use connection_fault::ConnectionFault;
pub use credentials::{RegistryCredentials, RequestCredentials, SentCredentials};
pub use error::{CarryError, MalformedAnswer, RegistryError};
pub use health::watch_health;
pub use inspect::{ClockReading, Deletion, Inspection};
pub use listing::{Continuation, ListingPage};
pub use manifests::ManifestHead;
pub use metrics::{describe_metrics, first_byte_seconds};
pub use page_size::PageLimit;
pub use probe_result::{CredentialsProblem, ProbeResult};
pub use retry_after::retry_after;
pub use settings::{RegistryKind, RegistrySettings};
pub use timeouts::{Activity, Awaited, RegistryTimeouts, TimedOut};
pub use transport::{
    BodyError, Causes, HttpTransport, Received, Request, RequestTimeout, Transport, TransportError,
};
pub use write::{OutgoingWrite, WriteAnswer};
