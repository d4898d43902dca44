//! What each namespace holds: the first part of the names of its repositories, or nothing for names of one part alone.
//!
//! Nothing of this is kept up in the record: each blob and manifest of all repositories is looked at, part by part, to count it
//! once. So who asks keeps what was found for a while.

mod distinct;
mod name;
mod reading;
mod sums;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub(super) use self::name::namespace_of;
pub use self::sums::NamespaceSums;
use super::cursor::InvalidCursor;
use super::places::{Place, Sorting};
use super::repositories::{RepositoryQuestion, RepositorySort};
use super::selection::Selection;
use super::{SearchError, Sees};
use crate::oci::RepositoryName;
use crate::store::{Page, PageRequest, Store};

/// With what the text of a place begins, so that it is taken for none in a list of repositories.
const CURSOR: &str = "namespace";

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
        let RepositoryQuestion { sort, order, containing, namespace: _ } = question;
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
