//! One tag of the arena.

use super::{Arena, Columns, RepositoryNumber};
use crate::clock::Timestamp;
use crate::search::digests::DigestHead;

/// A tag of the arena, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(in crate::search) struct TagView<'a> {
    pub(super) arena: &'a Arena,
    pub(super) number: u32,
}

impl<'a> TagView<'a> {
    pub(in crate::search) const fn number(self) -> u32 {
        self.number
    }

    pub(in crate::search) fn name(self) -> &'a str {
        self.arena.tags.names.get(self.number)
    }

    pub(in crate::search) fn repository(self) -> RepositoryNumber {
        self.columns().repository[self.number as usize]
    }

    pub(in crate::search) fn repository_name(self) -> &'a str {
        self.arena.repositories.names.get(self.repository())
    }

    /// When it was pushed, if that is known.
    pub(in crate::search) fn pushed_at(self) -> Option<Timestamp> {
        self.columns().recorded_at[self.number as usize].pushed_at()
    }

    /// When it was pushed or found.
    pub(in crate::search) fn recorded_at(self) -> Timestamp {
        self.columns().recorded_at[self.number as usize].time()
    }

    /// Zero for none.
    pub(in crate::search) fn last_pull(self) -> Timestamp {
        self.columns().last_pull[self.number as usize]
    }

    pub(in crate::search) fn bytes(self) -> u64 {
        self.columns().bytes[self.number as usize]
    }

    pub(in crate::search) fn digest(self) -> DigestHead {
        self.columns().digest[self.number as usize]
    }

    /// The number of its set of platforms.
    pub(in crate::search) fn platforms(self) -> u32 {
        self.columns().platforms[self.number as usize]
    }

    const fn columns(self) -> &'a Columns {
        &self.arena.tags.columns
    }
}
