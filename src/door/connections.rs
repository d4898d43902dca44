//! Which connections of clients are open, and who may have another one.
//!
//! Each client, that is, each IPv4 address and each /64 of IPv6, has so many, so that one alone shuts nobody out; proxies that
//! are trusted have as many as there are, since behind them are many clients. When all are taken, the one on which no request
//! has run for longest makes room for the new one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ipnet::IpNet;

use super::places::{Full, Place, Places};
use super::presence::{Patience, Presence};
use crate::auth::Network;
use crate::telemetry::Seldom;

/// How many displaced connections may be about to close: they still have their descriptors.
const CLOSING: usize = 8;

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
    places: Arc<Places>,
    trusted_proxies: Vec<IpNet>,
    patience: Patience,
    entries: Mutex<Entries>,
    closing: AtomicUsize,
    refused: [Seldom; 2],
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    /// At most as many as there are places, and [`CLOSING`].
    by_number: HashMap<u64, Weak<Presence>>,
}

/// A connection's entry. It ends with the connection.
#[derive(Debug)]
pub(super) struct Open {
    connections: Arc<Connections>,
    number: u64,
    /// Empty for one that is displaced: its place is the new one's.
    place: Mutex<Option<Place>>,
}

impl Connections {
    /// None yet.
    pub fn new(limits: ConnectionLimits, patience: Patience) -> Arc<Self> {
        Arc::new(Self {
            places: Places::new(limits.all, limits.per_address),
            trusted_proxies: limits.trusted_proxies,
            patience,
            entries: Mutex::default(),
            closing: AtomicUsize::new(0),
            refused: Default::default(),
        })
    }

    /// Lets a new connection in; nothing when there is no place for it.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Arc<Presence>> {
        let peer = peer.to_canonical();
        let is_trusted = self.trusted_proxies.iter().any(|network| network.contains(&peer));
        let counted = (!is_trusted).then(|| Network::of(peer));
        let place = match self.places.take(counted) {
            Err(Full::All) if self.displace() => self.places.take(counted),
            taken => taken,
        };
        match place {
            Ok(place) => Some(self.enter(place)),
            Err(full) => {
                self.refuse(full, peer);
                None
            }
        }
    }

    fn enter(self: &Arc<Self>, place: Place) -> Arc<Presence> {
        let mut entries = self.lock();
        let number = entries.next;
        entries.next += 1;
        let open = Open { connections: Arc::clone(self), number, place: Mutex::new(Some(place)) };
        let presence = Arc::new(Presence::new(self.patience, open));
        entries.by_number.insert(number, Arc::downgrade(&presence));
        metrics::gauge!("portreeve_connections", "listener" => "door").increment(1.0);
        presence
    }

    /// Has the connection end on which no request has run for longest. Says whether there was one.
    fn displace(&self) -> bool {
        if self.closing.load(Ordering::Acquire) >= CLOSING {
            return false;
        }
        // Kept until the lock is let go: the last handle on a connection takes the lock.
        let present: Vec<_> = self.lock().by_number.values().filter_map(Weak::upgrade).collect();
        let idle = present.iter().filter(|presence| !presence.has_ended());
        let idle = idle.filter_map(|presence| Some((presence.idle_since()?, presence)));
        let Some((_, longest)) = idle.min_by_key(|(since, _)| *since) else { return false };
        if !longest.displace() {
            return false;
        }
        self.closing.fetch_add(1, Ordering::AcqRel);
        super::listen::refused("displaced");
        longest.open().give_place_back();
        true
    }

    fn refuse(&self, full: Full, peer: IpAddr) {
        let (cause, seldom, key) = match full {
            Full::All => ("limit", &self.refused[0], "limits.connections"),
            Full::Network => ("address_limit", &self.refused[1], "limits.connections_per_address"),
        };
        super::listen::refused(cause);
        if let Some(times) = seldom.happened() {
            tracing::warn!(%peer, times, "connections were closed at once: there are as many as {key} allows");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn has_place(&self) -> bool {
        self.place().is_some()
    }

    fn give_place_back(&self) {
        drop(self.place().take());
    }

    fn place(&self) -> MutexGuard<'_, Option<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("portreeve_connections", "listener" => "door").decrement(1.0);
        self.connections.lock().by_number.remove(&self.number);
        if !self.has_place() {
            self.connections.closing.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn connections(all: usize, per_address: usize) -> Arc<Connections> {
        let limits = ConnectionLimits {
            all,
            per_address,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        };
        let patience = Patience { head: Duration::from_secs(30), idle: Duration::from_secs(60) };
        Connections::new(limits, patience)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_idle_one_makes_room_and_one_with_a_request_never_does() {
        let connections = connections(3, 1);
        let busy = connections.admit(address("192.0.2.1")).unwrap();
        let running = busy.run();
        let first = connections.admit(address("192.0.2.2")).unwrap();
        let second = connections.admit(address("192.0.2.3")).unwrap();
        let third = connections.admit(address("192.0.2.4")).unwrap();
        let is_displaced = |presence: &Presence| !presence.displace();
        assert!(is_displaced(&first));
        let _third = third.run();
        let _second = second.run();
        assert!(connections.admit(address("192.0.2.5")).is_none(), "all have requests");
        drop(running);
        assert!(connections.admit(address("192.0.2.5")).is_some());
        assert!(is_displaced(&busy));
    }

    #[test]
    fn an_address_at_its_limit_displaces_nobody() {
        let connections = connections(2, 1);
        let one = connections.admit(address("192.0.2.1")).unwrap();
        let two = connections.admit(address("192.0.2.2")).unwrap();
        assert!(connections.admit(address("192.0.2.1")).is_none());
        assert!(one.displace() && two.displace());
    }

    #[test]
    fn a_trusted_proxy_is_many_clients() {
        let connections = connections(100, 1);
        for proxy in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
            let many: Vec<_> = (0..20).filter_map(|_| connections.admit(address(proxy))).collect();
            assert_eq!(many.len(), 20, "{proxy}");
        }
        let stranger = connections.admit(address("2001:db8::1")).unwrap();
        assert!(connections.admit(address("2001:db8::2")).is_none());
        drop(stranger);
        assert!(connections.admit(address("2001:db8::2")).is_some());
    }

    #[test]
    fn those_that_are_about_to_close_are_bounded() {
        let connections = connections(CLOSING * 2, 1);
        let number = |number: usize| IpAddr::from([192, 0, 2, u8::try_from(number).unwrap()]);
        let held: Vec<_> = (0..CLOSING * 2).filter_map(|last| connections.admit(number(last))).collect();
        let newer: Vec<_> =
            (0..CLOSING * 2).filter_map(|last| connections.admit(number(100 + last))).collect();
        assert_eq!((held.len(), newer.len()), (CLOSING * 2, CLOSING));
        drop(held);
        assert!(connections.admit(number(200)).is_some());
        drop(newer);
        assert!(connections.lock().by_number.is_empty());
    }
}
