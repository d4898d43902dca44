//! Blobs that manifests name.

use crate::oci::{Digest, RepositoryName};

/// The most blobs that one look at them answers.
pub(super) const MAXIMUM_LARGEST: usize = 100;

/// The place of a blob in the list of all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobPlace {
    /// The repository whose manifests name it.
    pub repository: RepositoryName,
    /// The blob.
    pub digest: Digest,
}

/// A blob that manifests of a repository name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRecord {
    /// Which one, and where.
    pub place: BlobPlace,
    /// How long it is, as the first of the manifests said.
    pub size: u64,
    /// How many manifests of the repository name it.
    pub holders: u64,
}

/// The largest of the blobs that are put in, each in any order.
#[derive(Debug)]
pub(super) struct Largest {
    limit: usize,
    /// In no order; of twice as many as are wanted the smaller half goes.
    found: Vec<BlobRecord>,
}

impl Largest {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.min(MAXIMUM_LARGEST), found: Vec::new() }
    }

    /// Whether one of this size may be among them.
    pub(super) fn may_have(&self, size: u64) -> bool {
        self.found.len() < self.limit || self.found.iter().take(self.limit).any(|kept| kept.size < size)
    }

    pub(super) fn put(&mut self, blob: BlobRecord) {
        self.found.push(blob);
        if self.found.len() >= 2 * self.limit.max(1) {
            self.cut();
        }
    }

    /// The largest first; those of one size in bytewise order.
    pub(super) fn into_sorted(mut self) -> Vec<BlobRecord> {
        self.cut();
        self.found
    }

    fn cut(&mut self) {
        self.found.sort_unstable_by(|one, other| {
            other.size.cmp(&one.size).then_with(|| one.place.cmp(&other.place))
        });
        self.found.truncate(self.limit);
    }
}
