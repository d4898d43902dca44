//! The section `limits`: how much of the door clients may take, together and each.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::settings::Settings;
use super::value;

/// The section `limits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `limits.connections`: open connections of clients in all; at most a million.
    pub connections: NonZeroUsize,
    /// `limits.connections_per_address`: those of one address, or of one /64 of IPv6; trusted proxies have no such limit.
    pub connections_per_address: NonZeroUsize,
    /// `limits.requests`: requests in flight in all; at most a million.
    pub requests: NonZeroUsize,
    /// `limits.requests_per_address`: those of one address, or of one /64 of IPv6.
    pub requests_per_address: NonZeroUsize,
    /// `limits.event_streams`: streams of events that are sent at once; at most a million.
    pub event_streams: NonZeroUsize,
    /// `limits.head_timeout`: within which time a new connection must have brought the whole head of its first request,
    /// the TLS handshake included, and each later head must have come from its first byte on; above zero, at most a day.
    pub head_timeout: Duration,
    /// `limits.idle_timeout`: how long a connection is kept on which no request runs; above zero, at most a day.
    pub idle_timeout: Duration,
    /// `limits.body_memory`: the bytes of bodies that are held in memory at once; from 16 MiB to 64 GiB.
    pub body_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: const { NonZeroUsize::new(4096).unwrap() },
            connections_per_address: const { NonZeroUsize::new(1024).unwrap() },
            requests: const { NonZeroUsize::new(4096).unwrap() },
            requests_per_address: const { NonZeroUsize::new(1024).unwrap() },
            event_streams: const { NonZeroUsize::new(1024).unwrap() },
            head_timeout: Duration::from_secs(30),
            // A load balancer that keeps connections to the door must give them up before the door does, or a request may meet
            // the end of its connection: load balancers keep them for up to ten minutes, the clients of Docker for 90 s.
            idle_timeout: Duration::from_mins(11),
            body_memory: 64 << 20,
        }
    }
}

/// Reads the section.
pub(super) fn read(settings: &mut Settings) -> Limits {
    let mut limits = Limits::default();
    settings.read_into(&mut limits.connections, "limits.connections", value::limit);
    settings.read_into(&mut limits.connections_per_address, "limits.connections_per_address", value::limit);
    settings.read_into(&mut limits.requests, "limits.requests", value::limit);
    settings.read_into(&mut limits.requests_per_address, "limits.requests_per_address", value::limit);
    settings.read_into(&mut limits.event_streams, "limits.event_streams", value::limit);
    settings.read_into(&mut limits.head_timeout, "limits.head_timeout", value::positive_duration);
    settings.read_into(&mut limits.idle_timeout, "limits.idle_timeout", value::positive_duration);
    settings.read_into(&mut limits.body_memory, "limits.body_memory", value::body_memory);
    limits
}
