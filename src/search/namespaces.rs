//! What each namespace holds: the first part of the names of its repositories, or nothing for names of one part alone.
//!
//! Nothing of this is kept up in the record: each blob and manifest of all repositories is looked at, part by part, to count it
//! once. So who asks keeps what was found for a while.

mod distinct;
mod reading;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use super::cursor::InvalidCursor;
use super::places::{Place, Sorting};
use super::repositories::{RepositoryQuestion, RepositorySort};
use super::selection::Selection;
use super::{SearchError, Sees};
use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::store::{Page, PageRequest, RepositoryRecord, Store};

/// With what the text of a place begins, so that it is taken for none in a list of repositories.
const CURSOR: &str = "namespace";

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

/// All namespaces that an asker sees, as they were when they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespaces {
    /// In bytewise order of their names.
    sums: Vec<NamespaceSums>,
}

/// Where a part of the list ended: the next one begins behind it, whatever came or went meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceCursor {
    sort: RepositorySort,
    value: u64,
    namespace: Box<str>,
}

/// The namespace of a repository.
fn namespace_of(name: &str) -> &str {
    name.split_once('/').map_or("", |(namespace, _)| namespace)
}

impl NamespaceSums {
    fn new(namespace: &str) -> Self {
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
    fn add(&mut self, record: &RepositoryRecord) {
        self.repositories += 1;
        self.tags += record.tags;
        self.manifests += record.manifests;
        self.last_push = self.last_push.max(record.last_push);
        self.last_pull = self.last_pull.max(record.last_pull);
        self.pulls = self.pulls.saturating_add(record.pulls);
    }

    /// By what it is sorted.
    fn value(&self, sort: RepositorySort) -> u64 {
        let milliseconds = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_milliseconds);
        match sort {
            RepositorySort::Name => 0,
            RepositorySort::LastPush => milliseconds(self.last_push),
            RepositorySort::LastPull => milliseconds(self.last_pull),
            RepositorySort::Size => self.bytes,
            RepositorySort::Tags => self.tags,
        }
    }

    /// The bytes of memory that it takes.
    fn memory(&self) -> usize {
        size_of::<Self>() + self.namespace.len()
    }
}

impl Namespaces {
    /// Reads what is recorded of all repositories that the asker sees, and what they hold, part by part. What changes meanwhile
    /// may be counted or not.
    ///
    /// # Errors
    /// When the record cannot be read, or the sums take more than so many bytes of memory.
    pub async fn read(store: &dyn Store, sees: Sees, memory: usize) -> Result<Self, SearchError> {
        let sums = reading::read(store, sees, memory, distinct::MOST).await?;
        Ok(Self { sums })
    }

    /// The bytes of memory that they take.
    pub fn memory(&self) -> usize {
        self.sums.iter().map(NamespaceSums::memory).sum()
    }

    /// A part of the list that the question asks for, in its order; `containing` is a part of the names of namespaces. Takes
    /// some milliseconds for a hundred thousand of them.
    pub fn list(
        &self,
        question: &RepositoryQuestion,
        page: &PageRequest<NamespaceCursor>,
    ) -> Page<NamespaceSums, NamespaceCursor> {
        let RepositoryQuestion { sort, order, containing } = question;
        let sorting = Sorting { order: *order, is_by_name: *sort == RepositorySort::Name };
        let place = |value, namespace| Place { sorting, value, repository: namespace, tag: "" };
        let after = page.after.as_ref().map(|after| place(after.value, &*after.namespace));
        let mut first = Selection::of(page.limit.saturating_add(1));
        for (number, sums) in self.sums.iter().enumerate() {
            let place = place(sums.value(*sort), &*sums.namespace);
            if containing.as_ref().is_none_or(|part| sums.namespace.contains(part))
                && after.is_none_or(|after| place > after)
            {
                first.offer((place, number));
            }
        }
        let mut found = first.into_sorted();
        let has_more = found.len() > page.limit;
        found.truncate(page.limit);
        let next = found.last().filter(|_| has_more).map(|(place, _)| NamespaceCursor {
            sort: *sort,
            value: place.value,
            namespace: place.repository.into(),
        });
        let items = found.into_iter().filter_map(|(_, number)| self.sums.get(number).cloned()).collect();
        Page { items, next }
    }
}

impl NamespaceCursor {
    /// By what the list was sorted in which this is a place.
    pub const fn sort(&self) -> RepositorySort {
        self.sort
    }
}

/// The cursor as text: what it is, the word for the order, the value and the name.
impl fmt::Display for NamespaceCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sort, value, namespace } = self;
        write!(formatter, "{CURSOR}:{}:{value}:{namespace}", sort.as_str())
    }
}

impl FromStr for NamespaceCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let parse = || {
            let mut parts = text.strip_prefix(CURSOR)?.strip_prefix(':')?.splitn(3, ':');
            let (sort, value) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let namespace = parts.next()?;
            let is_one = |text: &str| !text.contains('/') && RepositoryName::parse(text).is_ok();
            (namespace.is_empty() || is_one(namespace)).then(|| Self {
                sort,
                value,
                namespace: namespace.into(),
            })
        };
        parse().ok_or(InvalidCursor)
    }
}
