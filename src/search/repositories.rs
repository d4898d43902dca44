//! Sorted lists of repositories. Pure.

use std::fmt;
use std::str::FromStr;

use super::arena::{Arena, RepositoryColumns};
use super::cursor::{Hit, Hits, InvalidCursor};
use super::namespaces::namespace_of;
use super::places::{Place, Places, SortOrder, Sorting, UnknownWord};
use crate::clock::Timestamp;
use crate::oci::RepositoryName;

/// By what repositories are sorted; those that are equal by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositorySort {
    /// By their names.
    Name,
    /// By when something was pushed to them last; what never was comes before all others.
    LastPush,
    /// By when something was pulled from them last; what never was comes before all others.
    LastPull,
    /// By how often something was pulled from them.
    Pulls,
    /// By bytes.
    Size,
    /// By how many tags they have.
    Tags,
}

/// A question for repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryQuestion {
    /// By what they are sorted.
    pub sort: RepositorySort,
    /// In which direction.
    pub order: SortOrder,
    /// Those only whose name has this in it.
    pub containing: Option<String>,
    /// Those only of this namespace: the first part of their names, or nothing for names of one part alone.
    pub namespace: Option<String>,
}

/// Where an answer ended: the next one begins behind it, whatever came or went meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryCursor {
    sort: RepositorySort,
    value: u64,
    name: RepositoryName,
}

/// The first repositories behind a place, of those that the asker sees.
pub(super) fn list<F: FnMut(&RepositoryName) -> bool>(
    arena: &Arena,
    question: &RepositoryQuestion,
    after: Option<&RepositoryCursor>,
    limit: usize,
    sees: F,
) -> Hits<RepositoryCursor> {
    let RepositoryQuestion { sort, order, containing, namespace } = question;
    let sorting = Sorting { order: *order, is_by_name: *sort == RepositorySort::Name };
    let after = after.map(|after| (after.value, after.name.as_str(), ""));
    let mut places = Places::of(arena, sorting, after, limit, sees);
    for (number, columns) in arena.repositories() {
        let name = arena.repository_names().get(number);
        if containing.as_ref().is_none_or(|part| name.contains(part))
            && namespace.as_ref().is_none_or(|wanted| namespace_of(name) == wanted)
        {
            places.offer(sort.value(columns), number, || (name, ""));
        }
    }
    let (places, has_more) = places.into_first();
    let named = |place: Place<'_>| {
        // What is in the arena was a name when it was put there.
        let repository = RepositoryName::parse(place.repository).ok()?;
        let cursor = RepositoryCursor { sort: *sort, value: place.value, name: repository.clone() };
        Some((Hit { repository, tag: None }, cursor))
    };
    let hits = places.into_iter().filter_map(named).collect();
    Hits { hits, has_more, annotated: None }
}

impl RepositorySort {
    const ALL: [(Self, &str); 6] = [
        (Self::Name, "name"),
        (Self::LastPush, "last_push"),
        (Self::LastPull, "last_pull"),
        (Self::Pulls, "pulls"),
        (Self::Size, "size"),
        (Self::Tags, "tags"),
    ];

    fn value(self, columns: &RepositoryColumns) -> u64 {
        let milliseconds = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_milliseconds);
        match self {
            Self::Name => 0,
            Self::LastPush => milliseconds(columns.last_push),
            Self::LastPull => milliseconds(columns.last_pull),
            Self::Pulls => columns.pulls.count(),
            Self::Size => columns.bytes,
            Self::Tags => columns.tags,
        }
    }

    /// The direction that is usually wanted: names from the beginning, all else the largest first.
    pub const fn usual_order(self) -> SortOrder {
        match self {
            Self::Name => SortOrder::Ascending,
            Self::LastPush | Self::LastPull | Self::Pulls | Self::Size | Self::Tags => SortOrder::Descending,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(sort, _)| *sort == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for RepositorySort {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(sort, _)| *sort)
            .ok_or(UnknownWord("`name`, `last_push`, `last_pull`, `pulls`, `size` or `tags`"))
    }
}

impl RepositoryCursor {
    /// By what the answer was sorted in which this is a place.
    pub const fn sort(&self) -> RepositorySort {
        self.sort
    }
}

/// The cursor as text: the word for the order, the value and the name.
impl fmt::Display for RepositoryCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sort, value, name } = self;
        write!(formatter, "{}:{value}:{name}", sort.as_str())
    }
}

impl FromStr for RepositoryCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let parse = || {
            let mut parts = text.splitn(3, ':');
            Some(Self {
                sort: parts.next()?.parse().ok()?,
                value: parts.next()?.parse().ok()?,
                name: RepositoryName::parse(parts.next()?).ok()?,
            })
        };
        parse().ok_or(InvalidCursor)
    }
}
