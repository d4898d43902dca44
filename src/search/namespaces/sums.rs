//! The sums of one namespace.

use crate::clock::Timestamp;
use crate::search::repositories::RepositorySort;
use crate::store::RepositoryRecord;

/// What a namespace holds, of what the asker sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceSums {
    /// Its name; empty for that of the repositories whose names have one part.
    pub namespace: Box<str>,
    /// How many repositories it has.
    pub repositories: u64,
    /// How many tags they have.
    pub tags: u64,
    /// How many manifests they have, counted once for each repository that has them.
    pub manifests: u64,
    /// The bytes of the manifests and of all blobs they name, each counted once within the namespace.
    pub bytes: u64,
    /// When something was last pushed to it through the door; unknown for what was only found.
    pub last_push: Option<Timestamp>,
    /// When something was last pulled from it, as far as the door saw or was told.
    pub last_pull: Option<Timestamp>,
    /// How many manifests were pulled from it through the door.
    pub pulls: u64,
}

impl NamespaceSums {
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.into(),
            repositories: 0,
            tags: 0,
            manifests: 0,
            bytes: 0,
            last_push: None,
            last_pull: None,
            pulls: 0,
        }
    }

    /// Counts a repository, all but its bytes.
    pub(super) fn add(&mut self, record: &RepositoryRecord) {
        self.repositories += 1;
        self.tags += record.tags;
        self.manifests += record.manifests;
        self.last_push = self.last_push.max(record.last_push);
        self.last_pull = self.last_pull.max(record.last_pull);
        self.pulls = self.pulls.saturating_add(record.pulls);
    }

    /// By what it is sorted.
    pub(super) fn value(&self, sort: RepositorySort) -> u64 {
        let milliseconds = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_milliseconds);
        match sort {
            RepositorySort::Name => 0,
            RepositorySort::LastPush => milliseconds(self.last_push),
            RepositorySort::LastPull => milliseconds(self.last_pull),
            RepositorySort::Pulls => self.pulls,
            RepositorySort::Size => self.bytes,
            RepositorySort::Tags => self.tags,
        }
    }

    /// The bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.namespace.len()
    }
}
