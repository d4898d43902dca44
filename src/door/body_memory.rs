//! How much of bodies is held in memory at once (`limits.body_memory`), and by whom.
//!
//! Whoever holds a body takes room for it as it grows, and gives it back when the body is dropped: a manifest until it is carried,
//! a form until it is answered, an answer of the door's own until the client has read it. One client cannot take all: what it
//! holds beyond its share is refused, while its first body is only bounded by what is free.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::Refusal;
use crate::auth::Network;
use crate::oci::ErrorCode;

/// Room is taken in steps of so many bytes.
const STEP: u64 = 16 * 1024;
/// One client may hold this part of it by several bodies.
const SHARE: u64 = 4;
/// And its first one this part.
const FIRST: u64 = 2;

/// The room for bodies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BodyMemory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: u64,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    /// Those alone who hold something.
    by_client: HashMap<Network, u64>,
}

/// Room that is taken. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Held {
    memory: BodyMemory,
    client: Network,
    bytes: u64,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for {wanted} bytes of a body: {cause} (limits.body_memory)")]
pub(super) struct NoRoom {
    wanted: u64,
    cause: &'static str,
}

impl BodyMemory {
    /// Room for so many bytes.
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(Shared { limit, taken: Mutex::default() }))
    }

    /// How many bytes there may be in all.
    pub(super) fn limit(&self) -> u64 {
        self.0.limit
    }

    /// Nothing yet, for a body from or to this client.
    pub(super) fn hold(&self, client: IpAddr) -> Held {
        Held { memory: self.clone(), client: Network::of(client), bytes: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Takes as much more as makes so many bytes in all; what is taken already stays.
    ///
    /// # Errors
    /// When there is no room for it. Then nothing is changed.
    pub fn grow_to(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let wanted = bytes.next_multiple_of(STEP);
        let Some(more) = wanted.checked_sub(self.bytes).filter(|more| *more > 0) else { return Ok(()) };
        let limit = self.memory.0.limit;
        let mut taken = self.memory.lock();
        let of_client = taken.by_client.get(&self.client).copied().unwrap_or(0);
        let is_alone = of_client == self.bytes;
        let share = if is_alone { limit / FIRST } else { limit / SHARE };
        let refused = |cause| {
            metrics::counter!("portreeve_bodies_refused_total", "cause" => cause).increment(1);
            Err(NoRoom { wanted, cause })
        };
        if taken.bytes + more > limit {
            return refused("full");
        }
        if of_client + more > share {
            return refused("share");
        }
        taken.bytes += more;
        *taken.by_client.entry(self.client).or_default() += more;
        self.bytes = wanted;
        Ok(())
    }

    /// Takes so many bytes more, or as many as one body may ever have: for what a body becomes that is there.
    ///
    /// # Errors
    /// When there is no room for it. Then nothing is changed.
    pub fn grow_by(&mut self, bytes: u64) -> Result<(), NoRoom> {
        self.grow_to((self.bytes + bytes).min(self.memory.0.limit / SHARE))
    }

    /// The same bytes, with which the room is given back.
    pub fn with(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(HeldBytes { bytes, _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut taken = self.memory.lock();
        taken.bytes -= self.bytes;
        if let Some(of_client) = taken.by_client.get_mut(&self.client) {
            *of_client -= self.bytes;
            if *of_client == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

struct HeldBytes {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for HeldBytes {
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
    fn room_is_taken_as_a_body_grows_and_given_back_with_it() {
        let memory = BodyMemory::new(64 * MIB);
        let mut held = memory.hold(client(1));
        for bytes in [1, 2, 20_000, 5] {
            held.grow_to(bytes).unwrap();
        }
        assert_eq!(memory.lock().bytes, 2 * STEP);
        let bytes = held.with(Bytes::from_static(b"body"));
        let part = bytes.slice(1..2);
        drop(bytes);
        assert_eq!((memory.lock().bytes, &part[..]), (2 * STEP, &b"o"[..]));
        drop(part);
        assert_eq!(memory.lock().bytes, 0);
        assert!(memory.lock().by_client.is_empty());
    }

    #[test]
    fn beyond_the_limit_nobody_gets_room_and_nothing_is_changed() {
        let memory = BodyMemory::new(64 * MIB);
        let mut held: Vec<_> = (1..=5).map(|number| memory.hold(client(number))).collect();
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
        let hold = |address: &str| memory.hold(address.parse().unwrap());
        let mut first = hold("2001:db8::1");
        first.grow_to(20 * MIB).unwrap();
        assert_eq!(first.grow_to(33 * MIB).unwrap_err().cause, "share", "not even one body may be more");
        assert_eq!(hold("2001:db8::ffff:2").grow_to(1).unwrap_err().cause, "share");
        hold("2001:db8:0:1::1").grow_to(1).unwrap();
        let mut mapped = hold("::ffff:192.0.2.1");
        mapped.grow_to(MIB).unwrap();
        assert_eq!(memory.hold(client(1)).grow_to(16 * MIB).unwrap_err().cause, "share");
    }
}
