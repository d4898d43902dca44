//! Hints: untrusted suggestions to verify a reference, kept until that was done.

use super::Retry;
use crate::oci::{Reference, RepositoryName};

/// The most hints that are kept at once.
pub(super) const MAXIMUM_HINTS: usize = 100_000;

/// What a hint is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HintedReference {
    /// In which repository.
    pub repository: RepositoryName,
    /// Which tag or manifest.
    pub reference: Reference,
}

/// A hint that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// What it is about.
    pub about: HintedReference,
    /// Different each time it is given.
    pub number: u64,
    /// Whether the registry has answered once, and is only to be asked once more.
    pub is_second_look: bool,
    /// How often it was looked at without that being settled, and when that is due next.
    pub retry: Retry,
}

impl Hint {
    /// One that was given just now.
    pub const fn new(about: HintedReference, number: u64) -> Self {
        Self { about, number, is_second_look: false, retry: Retry::FIRST }
    }
}

/// Whether hints were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queued {
    /// They are, durably, as these.
    Kept(Vec<Hint>),
    /// There are too many.
    Full,
}
