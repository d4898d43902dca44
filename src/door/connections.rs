//! Which connections of clients are open, and whether a client may have another one.
//!
//! Each client, that is, each IPv4 address and each /64 of IPv6, may have so many, so that one alone does not shut out others;
//! trusted proxies may have as many as there may be, since behind them are many clients. When there are as many as there may
//! be, the one on which no request has run for longest makes room for the new one. While many of those are about to close, the
//! new one waits for a moment, and the clients behind it in the queue of the socket.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client_connection::{ClientConnection, ConnectionTimeouts};
use super::concurrency_limit::{ConcurrencyLimit, LimitReached, Permit};
use super::refused_connections::count_refused;
use crate::auth::Network;
use crate::telemetry::LogThrottle;

/// How many displaced connections may be about to close: they still have their descriptors.
const CLOSING: usize = 8;
/// How long a new connection waits for one of them to be closed. The threads that were told to close them may be busy.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(1);

/// How many connections clients may have.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// In all: `limits.connections`, or as many as there are descriptors for.
    pub all: usize,
    /// Of one address, or of one /64 of IPv6: `limits.connections_per_address`.
    pub per_address: usize,
    /// The networks of proxies that are trusted, which have no limit of their own.
    pub trusted_proxies: Vec<IpNet>,
}

/// All open connections of clients.
#[derive(Debug)]
pub(super) struct Connections {
    limit: Arc<ConcurrencyLimit>,
    trusted_proxies: Vec<IpNet>,
    timeouts: ConnectionTimeouts,
    entries: Mutex<Entries>,
    closing: AtomicUsize,
    /// Told when a connection was closed.
    closed: Notify,
    refused: [LogThrottle; 2],
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    /// At most as many as may be open, and [`CLOSING`].
    by_number: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    connection: Arc<ClientConnection>,
    /// None for one that is displaced: the new one counts instead.
    permit: Option<Permit>,
}

/// What became of the longest idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Displacement {
    /// It makes room.
    Displaced,
    /// There is none: a request runs on each.
    NoneIdle,
    /// It has to wait: as many as may be are about to close.
    TooManyClosing,
}

/// A connection that was let in. Dropping it, when the connection is closed, makes room for another one.
#[derive(Debug)]
pub(super) struct Admission {
    connections: Arc<Connections>,
    number: u64,
    connection: Arc<ClientConnection>,
}

impl Connections {
    /// None yet.
    pub(super) fn new(limits: ConnectionLimits, timeouts: ConnectionTimeouts) -> Arc<Self> {
        Arc::new(Self {
            limit: ConcurrencyLimit::new(limits.all, limits.per_address),
            trusted_proxies: limits.trusted_proxies,
            timeouts,
            entries: Mutex::default(),
            closing: AtomicUsize::new(0),
            closed: Notify::new(),
            refused: Default::default(),
        })
    }

    /// Lets a new connection in; nothing when there may be no other one. Waits for a moment while too many are about to close.
    /// Dropping the future lets none in.
    pub(super) async fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admission> {
        let peer = peer.to_canonical();
        let is_trusted = self.trusted_proxies.iter().any(|network| network.contains(&peer));
        let counted = (!is_trusted).then(|| Network::of(peer));
        let mut deadline = None;
        let reached = loop {
            match self.limit.acquire(counted) {
                Ok(permit) => return Some(self.enter(permit)),
                Err(LimitReached::Network) => break LimitReached::Network,
                Err(LimitReached::Total) => {}
            }
            match self.displace() {
                // Unless another thread takes the room that was made.
                Displacement::Displaced => continue,
                Displacement::NoneIdle => break LimitReached::Total,
                Displacement::TooManyClosing => {}
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + CLOSING_TIMEOUT);
            if tokio::time::timeout_at(deadline, self.closed.notified()).await.is_err() {
                break LimitReached::Total;
            }
        };
        self.refuse(reached, peer);
        None
    }

    fn enter(self: &Arc<Self>, permit: Permit) -> Admission {
        let connection = Arc::new(ClientConnection::new(self.timeouts));
        let entry = Entry { connection: Arc::clone(&connection), permit: Some(permit) };
        let mut entries = self.lock();
        let number = entries.next;
        entries.next += 1;
        entries.by_number.insert(number, entry);
        drop(entries);
        metrics::gauge!("portreeve_connections", "listener" => "door").increment(1.0);
        Admission { connections: Arc::clone(self), number, connection }
    }

    /// Has the connection closed on which no request has run for longest.
    fn displace(&self) -> Displacement {
        let mut entries = self.lock();
        if self.closing.load(Ordering::Acquire) >= CLOSING {
            return Displacement::TooManyClosing;
        }
        let open = entries.by_number.values_mut().filter(|entry| !entry.connection.is_ended());
        let idle = open.filter_map(|entry| Some((entry.connection.idle_since()?, entry)));
        let Some((_, longest)) = idle.min_by_key(|(since, _)| *since) else { return Displacement::NoneIdle };
        if !longest.connection.end() {
            return Displacement::NoneIdle;
        }
        self.closing.fetch_add(1, Ordering::AcqRel);
        let permit = longest.permit.take();
        drop(entries);
        drop(permit);
        count_refused("displaced");
        Displacement::Displaced
    }

    fn refuse(&self, reached: LimitReached, peer: IpAddr) {
        let (cause, throttle, key) = match reached {
            LimitReached::Total => ("limit", &self.refused[0], "limits.connections"),
            LimitReached::Network => ("address_limit", &self.refused[1], "limits.connections_per_address"),
        };
        count_refused(cause);
        if let Some(times) = throttle.count() {
            tracing::warn!(%peer, times, "connections were closed at once: there are as many as {key} allows");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission {
    /// The connection.
    pub(super) fn connection(&self) -> &Arc<ClientConnection> {
        &self.connection
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        metrics::gauge!("portreeve_connections", "listener" => "door").decrement(1.0);
        let entry = self.connections.lock().by_number.remove(&self.number);
        if entry.is_some_and(|entry| entry.permit.is_none()) {
            self.connections.closing.fetch_sub(1, Ordering::AcqRel);
        }
        self.connections.closed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn connections(all: usize, per_address: usize) -> Arc<Connections> {
        let limits = ConnectionLimits {
            all,
            per_address,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        };
        let timeouts = ConnectionTimeouts { head: Duration::from_secs(30), idle: Duration::from_secs(60) };
        Connections::new(limits, timeouts)
    }

    /// Admits a client that does not wait.
    fn admit(connections: &Arc<Connections>, address: &str) -> Option<Admission> {
        connections.admit(address.parse().unwrap()).now_or_never().flatten()
    }

    #[tokio::test]
    async fn the_longest_idle_one_makes_room_and_one_with_a_request_never_does() {
        let connections = connections(3, 1);
        let busy = admit(&connections, "192.0.2.1").unwrap();
        let running = busy.connection().begin_request();
        let first = admit(&connections, "192.0.2.2").unwrap();
        let second = admit(&connections, "192.0.2.3").unwrap();
        let third = admit(&connections, "192.0.2.4").unwrap();
        let is_displaced = |admission: &Admission| !admission.connection().end();
        assert!(is_displaced(&first));
        let _third = third.connection().begin_request();
        let _second = second.connection().begin_request();
        assert!(admit(&connections, "192.0.2.5").is_none(), "all have requests");
        drop(running);
        assert!(admit(&connections, "192.0.2.5").is_some());
        assert!(is_displaced(&busy));
    }

    #[tokio::test]
    async fn an_address_at_its_limit_displaces_no_connection() {
        let connections = connections(2, 1);
        let one = admit(&connections, "192.0.2.1").unwrap();
        let two = admit(&connections, "192.0.2.2").unwrap();
        assert!(admit(&connections, "192.0.2.1").is_none());
        assert!(one.connection().end() && two.connection().end());
    }

    #[tokio::test]
    async fn a_trusted_proxy_is_many_clients() {
        let connections = connections(100, 1);
        for proxy in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
            let many: Vec<_> = (0..20).filter_map(|_| admit(&connections, proxy)).collect();
            assert_eq!(many.len(), 20, "{proxy}");
        }
        let stranger = admit(&connections, "2001:db8::1").unwrap();
        assert!(admit(&connections, "2001:db8::2").is_none());
        drop(stranger);
        assert!(admit(&connections, "2001:db8::2").is_some());
    }

    /// As many closing connections as there may be, and as many that took their room.
    fn with_many_closing() -> (Arc<Connections>, Vec<Admission>, Vec<Admission>) {
        let connections = connections(CLOSING * 2, 1);
        let admitted = |subnet: usize| {
            let numbers = 0..CLOSING * 2;
            numbers.filter_map(|last| admit(&connections, &format!("192.0.{subnet}.{last}"))).collect()
        };
        let (held, newer): (Vec<_>, Vec<_>) = (admitted(2), admitted(3));
        assert_eq!((held.len(), newer.len()), (CLOSING * 2, CLOSING));
        (connections, held, newer)
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_about_to_close_are_bounded() {
        let (connections, held, newer) = with_many_closing();
        assert!(connections.admit(IpAddr::from([192, 0, 4, 1])).await.is_none(), "not one of them is closed");
        drop(held);
        assert!(admit(&connections, "192.0.4.1").is_some());
        drop(newer);
        assert!(connections.lock().by_number.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_behind_many_that_are_about_to_close_is_let_in_as_soon_as_one_of_them_is_closed() {
        let (connections, mut held, _newer) = with_many_closing();
        let mut waiting = std::pin::pin!(connections.admit(IpAddr::from([192, 0, 4, 1])));
        for _ in 0..3 {
            assert!(futures_util::poll!(&mut waiting).is_pending());
        }
        // The first ones were displaced.
        drop(held.remove(0));
        assert!(waiting.await.is_some());
    }
}
