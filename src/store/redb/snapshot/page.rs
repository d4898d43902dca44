//! Pages of lists, while they are filled.

use std::ops::Bound;

use crate::oci::RepositoryName;
use crate::store::record::MAXIMUM_PAGE;
use crate::store::{Page, PageRequest};

/// The most bytes of items in one page, as they are kept: one that is larger is a page by itself. An index names any number of
/// platforms, which its tags have as well.
const MAXIMUM_PAGE_BYTES: usize = 1024 * 1024;

/// A range of keys of two parts.
type Keys<'a> = (Bound<(&'a str, &'a str)>, Bound<(&'a str, &'a str)>);

/// The keys of a repository behind `after`; `end` is [`behind`](super::super::tables::behind) the repository. No key of two parts has an empty
/// second one, so an empty `after` is the beginning.
pub(super) fn keys_behind<'a>(repository: &'a RepositoryName, end: &'a str, after: &'a str) -> Keys<'a> {
    (Bound::Excluded((repository.as_str(), after)), Bound::Excluded((end, "")))
}

/// A page that is being filled.
pub(super) struct Filling<T, K> {
    items: Vec<T>,
    last: Option<K>,
    pub limit: usize,
    bytes: usize,
}

impl<T, K: Clone> Filling<T, K> {
    pub(super) fn new(page: &PageRequest<K>) -> Self {
        Self { last: page.after.clone(), ..Self::of(page.limit) }
    }

    /// One of at most so many items, which begins behind no item of the list.
    pub(super) fn of(limit: usize) -> Self {
        Self { items: Vec::new(), last: None, limit: limit.min(MAXIMUM_PAGE), bytes: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.items.len() == self.limit
    }

    /// Whether an item of so many bytes still belongs to this page: the first does in any case.
    pub(super) fn has_room(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.items.is_empty() || self.bytes <= MAXIMUM_PAGE_BYTES
    }

    /// Counts so many bytes more of the item that follows.
    pub(super) fn count(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    pub(super) fn push(&mut self, key: K, item: T) {
        self.items.push(item);
        self.last = Some(key);
    }

    /// What has this key was looked at, and is no item of the list.
    pub(super) fn pass(&mut self, key: K) {
        self.last = Some(key);
    }

    /// There is more behind it.
    pub(super) fn part(self) -> Page<T, K> {
        Page { items: self.items, next: self.last }
    }

    /// This was all.
    pub(super) fn end(self) -> Page<T, K> {
        Page { items: self.items, next: None }
    }
}
