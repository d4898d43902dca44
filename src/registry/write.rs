//! A write on its way to the registry, and the registry's answer to it.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::RequestCredentials;

/// A manifest write as it goes to the registry.
#[derive(Clone)]
pub struct OutgoingWrite {
    /// `PUT` or `DELETE`.
    pub method: Method,
    /// Path and query exactly as the client sent them.
    pub path_and_query: String,
    /// The client's end-to-end headers with the door's forwarding headers; no framing, and a `Host` only if that is to be
    /// another one than the backend's.
    pub headers: HeaderMap,
    /// The body; empty for a deletion.
    pub body: Bytes,
    /// The door's credentials, if they replace the client's own `Authorization`.
    pub credentials: Option<RequestCredentials>,
}

/// The registry's answer.
#[derive(Clone, Debug)]
pub struct WriteAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, hop-by-hop ones included.
    pub headers: HeaderMap,
    /// Its body, cut off at 1 MiB: answers to manifest writes are empty or an error body.
    pub body: Bytes,
}

impl std::fmt::Debug for OutgoingWrite {
    /// Without headers, which carry credentials.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OutgoingWrite")
            .field("method", &self.method)
            .field("path_and_query", &self.path_and_query)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
