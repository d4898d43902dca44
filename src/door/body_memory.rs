//! How much of bodies is held in memory at once (`limits.body_memory`), and of which client.
//!
//! Memory for a body is reserved as the body grows, and released when it is dropped: a manifest until it is carried, a form
//! until it is answered, an answer of the door's own until the client has read it. One client cannot take all: what it holds
//! beyond its share is refused. Its only body may take more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::Refusal;
use crate::auth::Network;
use crate::oci::ErrorCode;
use crate::telemetry::CounterFamily;

pub(super) static REFUSED: CounterFamily = CounterFamily {
    name: "portreeve_bodies_refused_total",
    help: "Bodies for which limits.body_memory had no room, by cause: all of it full, or a client's share",
    labels: &[("cause", &["full", "share"])],
};

/// Memory is reserved in steps of so many bytes.
const STEP: u64 = 16 * 1024;
/// Several bodies of one client may take one part in so many.
const SHARE: u64 = 4;
/// The only body of a client may take one part in so many.
const ONLY_BODY_SHARE: u64 = 2;

/// The memory for bodies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BodyMemory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: u64,
    reserved: Mutex<Reserved>,
}

#[derive(Debug, Default)]
struct Reserved {
    bytes: u64,
    /// Only of clients that hold some.
    by_client: HashMap<Network, u64>,
}

/// Memory that is reserved. Dropping it releases the memory.
#[derive(Debug)]
pub(super) struct Reservation {
    memory: BodyMemory,
    client: Network,
    bytes: u64,
}

/// The memory is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for {wanted} bytes of a body: {cause} (limits.body_memory)")]
pub(super) struct NoRoom {
    wanted: u64,
    cause: &'static str,
}

impl BodyMemory {
    /// So many bytes.
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(Shared { limit, reserved: Mutex::default() }))
    }

    /// How many bytes there may be in all.
    pub(super) fn limit(&self) -> u64 {
        self.0.limit
    }

    /// Nothing yet, for a body from or to this client.
    pub(super) fn reserve(&self, client: IpAddr) -> Reservation {
        Reservation { memory: self.clone(), client: Network::of(client), bytes: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Reserved> {
        self.0.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Reserves as much more as makes so many bytes in all; what is reserved already stays.
    ///
    /// # Errors
    /// When there is no memory for it. Then nothing is changed.
    pub(super) fn grow_to(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let wanted = bytes.next_multiple_of(STEP);
        let Some(more) = wanted.checked_sub(self.bytes).filter(|more| *more > 0) else { return Ok(()) };
        let limit = self.memory.0.limit;
        let mut reserved = self.memory.lock();
        let of_client = reserved.by_client.get(&self.client).copied().unwrap_or(0);
        let is_only_body = of_client == self.bytes;
        let share = if is_only_body { limit / ONLY_BODY_SHARE } else { limit / SHARE };
        let refused = |cause| {
            REFUSED.with([cause]).increment(1);
            Err(NoRoom { wanted, cause })
        };
        if reserved.bytes + more > limit {
            return refused("full");
        }
        if of_client + more > share {
            return refused("share");
        }
        reserved.bytes += more;
        *reserved.by_client.entry(self.client).or_default() += more;
        self.bytes = wanted;
        Ok(())
    }

    /// Reserves so many bytes more, or as many as one body may ever have: for what a complete body is parsed into.
    ///
    /// # Errors
    /// When there is no memory for it. Then nothing is changed.
    pub(super) fn grow_by(&mut self, bytes: u64) -> Result<(), NoRoom> {
        self.grow_to((self.bytes + bytes).min(self.memory.0.limit / SHARE))
    }

    /// The same bytes; the memory is released when they are dropped.
    pub(super) fn attach_to(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(ReservedBytes { bytes, _reservation: self })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut reserved = self.memory.lock();
        reserved.bytes -= self.bytes;
        if let Some(of_client) = reserved.by_client.get_mut(&self.client) {
            *of_client -= self.bytes;
            if *of_client == 0 {
                reserved.by_client.remove(&self.client);
            }
        }
    }
}

struct ReservedBytes {
    bytes: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for ReservedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<NoRoom> for Refusal {
    fn from(no_room: NoRoom) -> Self {
        Self::new(ErrorCode::Unavailable, "the door holds as many bodies as it has room for; try again soon")
            .because(no_room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn client(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn memory_is_reserved_as_a_body_grows_and_released_with_it() {
        let memory = BodyMemory::new(64 * MIB);
        let mut held = memory.reserve(client(1));
        for bytes in [1, 2, 20_000, 5] {
            held.grow_to(bytes).unwrap();
        }
        assert_eq!(memory.lock().bytes, 2 * STEP);
        let bytes = held.attach_to(Bytes::from_static(b"body"));
        let part = bytes.slice(1..2);
        drop(bytes);
        assert_eq!((memory.lock().bytes, &part[..]), (2 * STEP, &b"o"[..]));
        drop(part);
        assert_eq!(memory.lock().bytes, 0);
        assert!(memory.lock().by_client.is_empty());
    }

    #[test]
    fn beyond_the_limit_no_client_gets_memory_and_nothing_is_changed() {
        let memory = BodyMemory::new(64 * MIB);
        let mut held: Vec<_> = (1..=5).map(|number| memory.reserve(client(number))).collect();
        for one in &mut held[..4] {
            one.grow_to(16 * MIB).unwrap();
        }
        assert_eq!(held[4].grow_to(1).unwrap_err().cause, "full");
        assert_eq!(memory.lock().bytes, 64 * MIB);
        held.remove(0);
        held[3].grow_to(16 * MIB).unwrap();
    }

    #[test]
    fn one_client_gets_its_share_and_an_ipv6_network_is_one_client() {
        let memory = BodyMemory::new(64 * MIB);
        let hold = |address: &str| memory.reserve(address.parse().unwrap());
        let mut first = hold("2001:db8::1");
        first.grow_to(20 * MIB).unwrap();
        assert_eq!(first.grow_to(33 * MIB).unwrap_err().cause, "share", "not even one body may be more");
        assert_eq!(hold("2001:db8::ffff:2").grow_to(1).unwrap_err().cause, "share");
        hold("2001:db8:0:1::1").grow_to(1).unwrap();
        let mut mapped = hold("::ffff:192.0.2.1");
        mapped.grow_to(MIB).unwrap();
        assert_eq!(memory.reserve(client(1)).grow_to(16 * MIB).unwrap_err().cause, "share");
    }
}
