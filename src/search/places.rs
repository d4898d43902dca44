//! The first places of a sorted list, behind where the last part ended.

use std::cmp::Ordering;
use std::str::FromStr;

use super::arena::{Arena, RepositoryNumber};
use super::selection::Selection;
use super::sight::Sight;
use crate::oci::RepositoryName;

/// In which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortOrder {
    /// The smallest first.
    Ascending,
    /// The largest first.
    Descending,
}

/// Not one of the words that can stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it can be {0}")]
pub struct UnknownWord(pub(super) &'static str);

/// How a list is sorted: by values, and those that are equal by their names; or by the names alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sorting {
    pub(super) order: SortOrder,
    pub(super) is_by_name: bool,
}

/// The place of something in a sorted list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) sorting: Sorting,
    pub(super) value: u64,
    pub(super) repository: &'a str,
    /// Empty for a repository itself, or for a namespace in its place.
    pub(super) tag: &'a str,
}

/// The first places, of what the asker sees.
pub(super) struct Places<'a, F> {
    sorting: Sorting,
    after: Option<Place<'a>>,
    first: Selection<Place<'a>>,
    limit: usize,
    sight: Sight<F>,
}

impl<'a, F: FnMut(&RepositoryName) -> bool> Places<'a, F> {
    /// At most so many of them, behind the place with this value and these names.
    pub(super) fn of(
        arena: &Arena,
        sorting: Sorting,
        after: Option<(u64, &'a str, &'a str)>,
        limit: usize,
        sees: F,
    ) -> Self {
        let after = after.map(|(value, repository, tag)| Place { sorting, value, repository, tag });
        let sight = Sight::of(arena.repository_numbers(), sees);
        Self { sorting, after, first: Selection::of(limit.saturating_add(1)), limit, sight }
    }

    /// Keeps it if it is among the first.
    pub(super) fn offer(
        &mut self,
        value: u64,
        number: RepositoryNumber,
        names: impl FnOnce() -> (&'a str, &'a str),
    ) {
        // Most are turned away by their value alone.
        let compare = |other: &Place<'_>| self.sorting.order.of(value.cmp(&other.value));
        if self.first.bar().is_some_and(|bar| compare(bar).is_gt())
            || self.after.as_ref().is_some_and(|after| compare(after).is_lt())
        {
            return;
        }
        let (repository, tag) = names();
        let place = Place { sorting: self.sorting, value, repository, tag };
        if self.first.bar().is_none_or(|bar| place < *bar)
            && self.after.is_none_or(|after| place > after)
            && self.sight.reaches(number, repository)
        {
            self.first.offer(place);
        }
    }

    /// The first places in order, and whether there are more behind them.
    pub(super) fn into_first(self) -> (Vec<Place<'a>>, bool) {
        let mut places = self.first.into_sorted();
        let has_more = places.len() > self.limit;
        places.truncate(self.limit);
        (places, has_more)
    }
}

impl SortOrder {
    const fn of(self, ordering: Ordering) -> Ordering {
        match self {
            Self::Ascending => ordering,
            Self::Descending => ordering.reverse(),
        }
    }
}

impl FromStr for SortOrder {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "asc" => Ok(Self::Ascending),
            "desc" => Ok(Self::Descending),
            _ => Err(UnknownWord("`asc` or `desc`")),
        }
    }
}

impl Ord for Place<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let Sorting { order, is_by_name } = self.sorting;
        let names = (self.repository, self.tag).cmp(&(other.repository, other.tag));
        if is_by_name { order.of(names) } else { order.of(self.value.cmp(&other.value)).then(names) }
    }
}

impl PartialOrd for Place<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Place<'_> {}
