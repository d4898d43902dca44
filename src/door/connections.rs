//! Which connections of clients are open, and whether a client may have another one.
//!
//! Each client, that is, each IPv4 address and each /64 of IPv6, may have so many, so that one alone does not shut out others;
//! trusted proxies may have as many as there may be, since behind them are many clients. When there are as many as there may
//! be, the one on which no request has run for longest makes room for the new one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client_connection::{ClientConnection, ConnectionTimeouts};
use super::concurrency_limit::{ConcurrencyLimit, LimitReached, Permit};
use super::refused_connections::count_refused;
use crate::auth::Network;
use crate::telemetry::LogThrottle;

/// How many displaced connections may be about to close: they still have their descriptors.
const CLOSING: usize = 8;

/// How long a new connection waits, with those behind it, for one of so many to be closed. That takes milliseconds, and more on
/// a busy machine.
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
    /// The places of those that are about to close.
    closing: Arc<Semaphore>,
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
    place: Place,
}

/// What a connection takes up as long as it is open.
#[derive(Debug)]
#[expect(dead_code, reason = "held until the connection is closed")]
enum Place {
    /// One among those that there may be.
    Open(Permit),
    /// It is displaced, and the new one counts instead: one among those that are about to close.
    Closing(OwnedSemaphorePermit),
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
            closing: Arc::new(Semaphore::new(CLOSING)),
            refused: Default::default(),
        })
    }

    /// Lets a new connection in, for which another one may have to close first; nothing when there may be no other one.
    pub(super) async fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admission> {
        let peer = peer.to_canonical();
        let is_trusted = self.trusted_proxies.iter().any(|network| network.contains(&peer));
        let counted = (!is_trusted).then(|| Network::of(peer));
        let mut permit = self.limit.acquire(counted);
        // The room that is made may be taken by a connection that another thread has accepted.
        for _ in 0..CLOSING {
            if !matches!(permit, Err(LimitReached::Total)) || !self.displace().await {
                break;
            }
            permit = self.limit.acquire(counted);
        }
        match permit {
            Ok(permit) => Some(self.enter(permit)),
            Err(reached) => {
                self.refuse(reached, peer);
                None
            }
        }
    }

    fn enter(self: &Arc<Self>, permit: Permit) -> Admission {
        let connection = Arc::new(ClientConnection::new(self.timeouts));
        let entry = Entry { connection: Arc::clone(&connection), place: Place::Open(permit) };
        let mut entries = self.lock();
        let number = entries.next;
        entries.next += 1;
        entries.by_number.insert(number, entry);
        drop(entries);
        metrics::gauge!("portreeve_connections", "listener" => "door").increment(1.0);
        Admission { connections: Arc::clone(self), number, connection }
    }

    /// Has the connection closed on which no request has run for longest. Answers whether there was one.
    async fn displace(&self) -> bool {
        let closing = tokio::time::timeout(CLOSING_TIMEOUT, Arc::clone(&self.closing).acquire_owned());
        let Ok(Ok(closing)) = closing.await else { return false };
        let mut entries = self.lock();
        let open = entries.by_number.values_mut().filter(|entry| !entry.connection.is_ended());
        let idle = open.filter_map(|entry| Some((entry.connection.idle_since()?, entry)));
        let Some((_, longest)) = idle.min_by_key(|(since, _)| *since) else { return false };
        if !longest.connection.end() {
            return false;
        }
        let permit = std::mem::replace(&mut longest.place, Place::Closing(closing));
        drop(entries);
        drop(permit);
        count_refused("displaced");
        true
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
        // Frees its place once the entries are not locked any more.
        let entry = self.connections.lock().by_number.remove(&self.number);
        drop(entry);
    }
}

#[cfg(test)]
mod tests {
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

    async fn admitted(
        connections: &Arc<Connections>,
        peers: impl IntoIterator<Item = IpAddr>,
    ) -> Vec<Admission> {
        let mut admitted = Vec::new();
        for peer in peers {
            admitted.extend(connections.admit(peer).await);
        }
        admitted
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_one_makes_room_and_one_with_a_request_never_does() {
        let connections = connections(3, 1);
        let busy = connections.admit(address("192.0.2.1")).await.unwrap();
        let running = busy.connection().begin_request();
        let first = connections.admit(address("192.0.2.2")).await.unwrap();
        let second = connections.admit(address("192.0.2.3")).await.unwrap();
        let third = connections.admit(address("192.0.2.4")).await.unwrap();
        let is_displaced = |admission: &Admission| !admission.connection().end();
        assert!(is_displaced(&first));
        let _third = third.connection().begin_request();
        let _second = second.connection().begin_request();
        assert!(connections.admit(address("192.0.2.5")).await.is_none(), "all have requests");
        drop(running);
        assert!(connections.admit(address("192.0.2.5")).await.is_some());
        assert!(is_displaced(&busy));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_at_its_limit_displaces_no_connection() {
        let connections = connections(2, 1);
        let one = connections.admit(address("192.0.2.1")).await.unwrap();
        let two = connections.admit(address("192.0.2.2")).await.unwrap();
        assert!(connections.admit(address("192.0.2.1")).await.is_none());
        assert!(one.connection().end() && two.connection().end());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trusted_proxy_is_many_clients() {
        let connections = connections(100, 1);
        for proxy in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
            let many = admitted(&connections, vec![address(proxy); 20]).await;
            assert_eq!(many.len(), 20, "{proxy}");
        }
        let stranger = connections.admit(address("2001:db8::1")).await.unwrap();
        assert!(connections.admit(address("2001:db8::2")).await.is_none());
        drop(stranger);
        assert!(connections.admit(address("2001:db8::2")).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_about_to_close_are_bounded_and_a_new_one_waits_for_one_of_them() {
        let connections = connections(CLOSING * 2, 1);
        let numbers =
            |first: u8| (0..).map(move |number| IpAddr::from([192, 0, first, number])).take(CLOSING * 2);
        let mut held = admitted(&connections, numbers(1)).await;
        let newer = admitted(&connections, numbers(2)).await;
        assert_eq!((held.len(), newer.len()), (CLOSING * 2, CLOSING), "those beyond were refused in the end");
        let waiting = connections.admit(address("192.0.3.1"));
        let closes = async {
            tokio::time::sleep(CLOSING_TIMEOUT / 2).await;
            held.retain(|admission| !admission.connection().is_ended());
        };
        let (waited, ()) = tokio::join!(waiting, closes);
        assert!(waited.is_some());
        assert_eq!(connections.lock().by_number.len(), CLOSING * 2 + 1, "one more is about to close");
        drop((held, newer, waited));
        assert!(connections.lock().by_number.is_empty());
        assert_eq!(connections.closing.available_permits(), CLOSING);
    }
}
