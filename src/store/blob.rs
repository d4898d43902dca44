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

/// A manifest of a repository, or a blob that its manifests name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizedDigest {
    /// Which one.
    pub digest: Digest,
    /// How long it is: a blob as the first of the manifests said.
    pub size: u64,
}

/// The largest of the blobs that are put in, in any order. Each once, in whichever repository: a base layer may be in all of
/// them.
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
        if self.found.iter().any(|kept| kept.place.digest == blob.place.digest) {
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_that_very_many_repositories_have_hides_no_other() {
        let mut largest = Largest::new(2);
        let blob = |number: u64, name: &str, size| {
            let repository = RepositoryName::parse(&format!("r{number}")).unwrap();
            let place = BlobPlace { repository, digest: Digest::sha256(name.as_bytes()) };
            BlobRecord { place, size, holders: 1 }
        };
        for number in 0..1_000 {
            for (name, size) in [("base", 9), ("own", 5), ("small", 1)] {
                if largest.may_have(size) {
                    largest.put(blob(number, name, size));
                }
            }
        }
        let sizes: Vec<u64> = largest.into_sorted().iter().map(|blob| blob.size).collect();
        assert_eq!(sizes, [9, 5]);
    }
}
