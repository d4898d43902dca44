//! A part of an answer, while it is read from the record.

use crate::store::{Page, TagRecord};

/// The most bytes of one part, about: an index names any number of platforms, which its tags have as well. One item that is
/// larger is a part by itself.
const MAXIMUM_BYTES: usize = 1024 * 1024;
/// How many rows are read before others have their turn.
const TURN: usize = 100;

/// See the module.
pub(super) struct Part<T, C> {
    items: Vec<T>,
    bytes: usize,
    read: usize,
    /// The place of what was read last.
    last: Option<C>,
}

impl<T, C> Part<T, C> {
    pub(super) const fn new() -> Self {
        Self { items: Vec::new(), bytes: 0, read: 0, last: None }
    }

    /// Goes on to what has this place. Answers whether there is room for it.
    pub(super) async fn goes_on(&mut self, place: C) -> bool {
        if self.bytes >= MAXIMUM_BYTES {
            return false;
        }
        self.read += 1;
        self.last = Some(place);
        if self.read.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
        true
    }

    /// Adds what is there.
    pub(super) fn push(&mut self, item: T, bytes: usize) {
        self.items.push(item);
        self.bytes += bytes;
    }

    /// The part of an answer of which so many were found, and whether there are more behind these.
    pub(super) fn end(self, found: usize, has_more: bool) -> Page<T, C> {
        let Self { items, read, last, .. } = self;
        Page { items, next: last.filter(|_| has_more || read < found) }
    }
}

/// How many bytes a tag takes, about.
pub(super) fn bytes_of(record: &TagRecord) -> usize {
    let platforms: usize = record.platforms.iter().map(|name| size_of::<String>() + name.len()).sum();
    size_of::<TagRecord>() + platforms
}
