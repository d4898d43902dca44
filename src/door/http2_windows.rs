//! How much HTTP/2 clients may send ahead of being read: their windows (RFC 9113 section 5.2), which bound what waits on a
//! connection when a registry, or the door, does not take it.
//!
//! The windows of all connections together are as large as `limits.body_memory`. Each new connection gets a part of what is
//! left, so that there is always some; when next to none is, it gets the least that HTTP/2 has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};

/// The largest windows: enough for an upload at full speed.
const LARGEST_CONNECTION_WINDOW: u64 = 4 * 1024 * 1024;
const LARGEST_STREAM_WINDOW: u32 = 1024 * 1024;
/// The smallest, with which every connection begins in any case (RFC 9113 section 6.9.2).
const SMALLEST_WINDOW: u64 = 65_535;
/// Which part of what is left a new connection gets.
const PART: u64 = 16;
/// How much of an answer may wait on one stream for its client to read it.
const SEND_BUFFER: usize = 128 * 1024;

/// What is left for windows. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Windows(Arc<AtomicU64>);

/// The windows of one connection. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct Window {
    left: Windows,
    /// What was taken: nothing for the smallest one.
    taken: u64,
}

impl Windows {
    /// Windows of so many bytes together.
    pub(super) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// The windows of a new connection.
    pub(super) fn open(&self) -> Window {
        let part = |left: u64| match (left / PART).min(LARGEST_CONNECTION_WINDOW) {
            part if part > SMALLEST_WINDOW => part,
            _ => 0,
        };
        let left = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| Some(left - part(left)));
        let (Ok(left) | Err(left)) = left;
        Window { left: self.clone(), taken: part(left) }
    }
}

impl Window {
    /// How such a connection is set up. Lists of headers have 64 KiB at most, by pingora's default.
    pub(super) fn options(&self) -> H2Options {
        // Both are below 2^31, the largest that there are.
        let connection = u32::try_from(self.taken.max(SMALLEST_WINDOW)).unwrap_or(u32::MAX >> 1);
        let mut options = default_h2_options();
        options.initial_window_size(connection.min(LARGEST_STREAM_WINDOW));
        options.initial_connection_window_size(connection);
        options.max_send_buffer_size(SEND_BUFFER);
        options
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.left.0.fetch_add(self.taken, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_windows_together_have_their_bound_and_each_connection_has_one() {
        let windows = Windows::new(64 << 20);
        let open: Vec<_> = (0..1000).map(|_| windows.open()).collect();
        assert_eq!(open[0].taken, LARGEST_CONNECTION_WINDOW);
        assert!(open[10].taken > LARGEST_CONNECTION_WINDOW / 2, "few connections have large ones");
        assert!(open.iter().map(|window| window.taken).sum::<u64>() <= 64 << 20);
        assert_eq!(open[999].taken, 0, "the smallest one counts for its connection");
        drop(open);
        assert_eq!(windows.open().taken, LARGEST_CONNECTION_WINDOW);
    }
}
