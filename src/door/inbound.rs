//! A request as its connection brings it: through pingora, or on the direct way.

use std::net::IpAddr;
use std::time::Duration;

use pingora_proxy::Session;

use super::body;

/// What a request's connection tells of it, besides its head.
pub(super) struct Arrival {
    /// Whether it has a body.
    pub has_body: bool,
    /// Whether it came by TLS.
    pub is_tls: bool,
    /// The other end of the connection.
    pub peer: Option<IpAddr>,
}

/// The client's side of a request, as far as it is read from.
pub(super) enum Inbound<'a> {
    /// It came through pingora, and may have a body.
    Session(&'a mut Session),
    /// It has none. This is how long its client may take nothing of the answer.
    WithoutBody(&'a mut Duration),
}

impl Inbound<'_> {
    /// A request that is shed counts no more, so its client has less time to read the answer.
    pub(super) fn shorten_write_timeout(&mut self) {
        match self {
            Self::Session(session) => session.as_downstream_mut().set_write_timeout(Some(body::DRAIN_TIME)),
            Self::WithoutBody(timeout) => **timeout = body::DRAIN_TIME,
        }
    }
}
