//! How pingora is to connect to a backend.

use std::net::SocketAddr;
use std::time::Duration;

use pingora_core::upstreams::peer::{H1UpgradePolicy, HttpPeer};

use super::upstream_connection::UpstreamConnections;
use crate::registry::Backend;

/// How long an idle connection to the registry is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(60);
/// The group of connections to the registry that carry watched exchanges; the others are in group 0.
const WATCHED: u64 = 1;

/// The peer for a backend at this address; `timeout` bounds the wait for a connection. With `watched`, connections are its
/// own kind, which the watchdog can close; without, `timeout` also bounds how long the registry may be silent.
pub(super) fn build(
    backend: &Backend,
    address: SocketAddr,
    timeout: Duration,
    watched: Option<&UpstreamConnections>,
) -> HttpPeer {
    let mut peer = HttpPeer::new(address, backend.is_tls(), backend.host().to_owned());
    let timeout = Some(timeout);
    peer.options.connection_timeout = timeout;
    peer.options.total_connection_timeout = timeout;
    match watched {
        Some(connections) => {
            // Connections of their own, each with a handle by which the watchdog closes it; pingora's timers are off.
            peer.group_key = WATCHED;
            connections.track(&mut peer.options);
        }
        None => {
            // Both begin anew with each piece that moves, and do not run while the client is to read.
            peer.options.read_timeout = timeout;
            peer.options.write_timeout = timeout;
        }
    }
    peer.options.idle_timeout = Some(IDLE_CONNECTION);
    // An upgraded connection would be a way around everything that reads requests here.
    peer.options.http_upstream_request_policy.h1_upgrade = H1UpgradePolicy::Deny;
    peer
}

/// Whether the connections of this peer are watched.
pub(super) fn is_watched(peer: &HttpPeer) -> bool {
    peer.group_key == WATCHED
}
