//! What strangers can make the door hold: bodies, heads, answers and lines of the log, each bounded however many come.

mod answers;
mod bodies;
mod followers;
mod heads;
mod logs;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{Body, Client};

use crate::support::http::client_builder;

/// Within which time what has to happen has happened, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A client that speaks HTTP/2 over one connection, from this address.
fn http2_from(address: IpAddr) -> Client {
    client_builder().http2_prior_knowledge().local_address(address).build().unwrap()
}

/// A client of HTTP/1.1, from this address.
fn http1_from(address: IpAddr) -> Client {
    // The door does not read what it has no room for, for longer than the client's system waits by default.
    client_builder().http1_only().local_address(address).tcp_user_timeout(None).build().unwrap()
}

/// One of the many addresses of this machine.
fn address(number: u8) -> IpAddr {
    IpAddr::from([127, 0, 7, number])
}

/// A body of these bytes that never ends.
fn unfinished(bytes: Bytes) -> Body {
    let pieces: Vec<_> =
        bytes.chunks(16_000).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    Body::wrap_stream(stream::iter(pieces).chain(stream::pending()))
}
