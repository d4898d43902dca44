//! A second handle on a connection to the registry, by which the door can close it from outside.
//!
//! pingora owns the connections; its own timers cannot tell whether the client or the registry keeps the other waiting.
//! [`super::watchdog`] can, and needs two things of a connection: to know whether the registry takes bytes, and to close it.

use std::collections::HashMap;
use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use pingora_core::upstreams::peer::{PeerOptions, Tracer, Tracing};
use pingora_core::{Error, ErrorType};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::TcpSocket;

/// The connections that can be closed, by the descriptor under which pingora knows them. A descriptor is used again once
/// its connection is closed, so there are at most as many entries as descriptors.
#[derive(Clone, Default)]
pub(super) struct UpstreamConnections(Arc<Mutex<HashMap<RawFd, Weak<UpstreamConnection>>>>);

/// A connection to the registry. It lives exactly as long as pingora's: held by what pingora drops with it.
#[derive(Debug, Default)]
pub(super) struct UpstreamConnection {
    socket: OnceLock<TcpStream>,
}

impl UpstreamConnections {
    /// Has a connection that is made with these options known here.
    pub(super) fn track(&self, options: &mut PeerOptions) {
        let connection = Arc::new(UpstreamConnection::default());
        options.tracer = Some(Tracer(Box::new(Held(Arc::clone(&connection)))));
        let connections = self.clone();
        options.upstream_tcp_sock_tweak_hook = Some(Arc::new(move |socket: &TcpSocket| {
            let handle = socket.as_fd().try_clone_to_owned().map_err(|error| {
                Error::because(
                    ErrorType::SocketError,
                    "a second handle on a connection to the registry",
                    error,
                )
            })?;
            // Set once: each of these options makes one connection.
            let _ = connection.socket.set(TcpStream::from(handle));
            connections.lock().insert(socket.as_raw_fd(), Arc::downgrade(&connection));
            Ok(())
        }));
    }

    /// The connection with this descriptor.
    pub(super) fn get(&self, descriptor: RawFd) -> Weak<UpstreamConnection> {
        self.lock().get(&descriptor).cloned().unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RawFd, Weak<UpstreamConnection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UpstreamConnection {
    /// Whether the registry takes bytes: there is room between it and the door.
    pub(super) fn is_writable(&self) -> bool {
        let Some(socket) = self.socket.get() else { return true };
        let mut asked = [PollFd::new(socket, PollFlags::OUT)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // An error is for pingora to find.
        poll(&mut asked, Some(&at_once)).map_or(true, |ready| ready > 0)
    }

    /// Closes it: the registry sees its end, pingora an error.
    pub(super) fn close(&self) {
        if let Some(socket) = self.socket.get() {
            // One that is closed already is what is wanted.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Holds the handle for as long as pingora's connection exists.
struct Held(Arc<UpstreamConnection>);

impl fmt::Debug for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Held")
    }
}

impl Tracing for Held {
    fn on_connected(&self) {}

    fn on_disconnected(&self) {}

    fn boxed_clone(&self) -> Box<dyn Tracing> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}
