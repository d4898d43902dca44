//! Hints: untrusted suggestions to verify a reference, kept until that was done.

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
}

/// Whether hints were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queued {
    /// They are, durably, as these.
    Kept(Vec<Hint>),
    /// There are too many.
    Full,
}
