//! A second handle on a connection to the registry, by which the door can end it from outside.
//!
//! pingora owns the connections; its own timers cannot tell whose turn it is. [`super::watch`] can, and needs two things
//! of a connection: whether the registry takes bytes, and its end.

use std::collections::HashMap;
use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use pingora_core::upstreams::peer::{PeerOptions, Tracer, Tracing};
use pingora_core::{Error, ErrorType};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::TcpSocket;

/// The connections that can be ended, by the descriptor under which pingora knows them. A descriptor is used again once
/// its connection is closed, so there are at most as many entries as descriptors.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<HashMap<RawFd, Weak<Line>>>>);

/// A connection to the registry. It lives exactly as long as pingora's: held by what pingora drops with it.
#[derive(Debug, Default)]
pub(super) struct Line {
    socket: OnceLock<TcpStream>,
}

impl Lines {
    /// Has a connection made with these options known here.
    pub fn follow(&self, options: &mut PeerOptions) {
        let line = Arc::new(Line::default());
        options.tracer = Some(Tracer(Box::new(Held(Arc::clone(&line)))));
        let lines = self.clone();
        options.upstream_tcp_sock_tweak_hook = Some(Arc::new(move |socket: &TcpSocket| {
            let handle = socket.as_fd().try_clone_to_owned().map_err(|error| {
                Error::because(
                    ErrorType::SocketError,
                    "a second handle on a connection to the registry",
                    error,
                )
            })?;
            // Set once: each of these options makes one connection.
            let _ = line.socket.set(TcpStream::from(handle));
            lines.lock().insert(socket.as_raw_fd(), Arc::downgrade(&line));
            Ok(())
        }));
    }

    /// The connection with this descriptor.
    pub fn get(&self, descriptor: RawFd) -> Weak<Line> {
        self.lock().get(&descriptor).cloned().unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RawFd, Weak<Line>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Whether the registry takes bytes: there is room between it and the door.
    pub fn takes_bytes(&self) -> bool {
        let Some(socket) = self.socket.get() else { return true };
        let mut asked = [PollFd::new(socket, PollFlags::OUT)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // An error is for pingora to find.
        poll(&mut asked, Some(&at_once)).map_or(true, |ready| ready > 0)
    }

    /// Ends the connection: the registry sees its end, pingora an error.
    pub fn end(&self) {
        if let Some(socket) = self.socket.get() {
            // One that has ended already is what is wanted.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Holds a line for as long as pingora's connection exists.
struct Held(Arc<Line>);

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
