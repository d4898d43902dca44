//! Ports for servers that have to come back on the same one.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{LazyLock, Mutex};

use super::random::{Random, seed};

/// Below the range from which the system gives out ports by itself, so that no outgoing connection takes one while its
/// server is down.
const FIRST: u64 = 20_000;
const COUNT: u64 = 12_000;

/// A port of the loopback address that nobody listens on, never given out twice by this process. Another process may
/// still be quicker: whoever fails to bind asks again.
pub fn free() -> SocketAddr {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    let mut random = Random::new(seed());
    loop {
        let port = u16::try_from(FIRST + random.below(COUNT)).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() && GIVEN.lock().unwrap().insert(port) {
            return address;
        }
    }
}
