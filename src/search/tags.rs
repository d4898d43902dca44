//! Sorted and filtered lists of the tags of all repositories. Pure.

use std::fmt;
use std::str::FromStr;

use memchr::memmem::Finder;

use super::annotations::{Annotated, Annotation};
use super::arena::{Arena, RecordedAt, TagView};
use super::cursor::{Hit, Hits, InvalidCursor};
use super::digests::DigestHead;
use super::places::{Place, Places, SortOrder, Sorting, UnknownWord};
use super::platforms;
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::TagRecord;

/// By what tags are sorted; those that are equal by the names of repository and tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagSort {
    /// By the names of repository and tag.
    Name,
    /// By when they were pushed; those of which that is not known come before all others.
    PushedAt,
    /// By when they were pulled last; what never was counts as pulled before all others.
    LastPull,
    /// By bytes.
    Size,
}

/// Which tags are wanted: those of which all of this is true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagFilter {
    /// In this repository.
    pub repository: Option<RepositoryName>,
    /// Has this in its name.
    pub containing: Option<String>,
    /// Last pulled before, or never.
    pub pulled_before: Option<Timestamp>,
    /// Pushed before, as far as that is known.
    pub pushed_before: Option<Timestamp>,
    /// Points to this.
    pub digest: Option<Digest>,
    /// Has this platform, or a variant of it.
    pub platform: Option<String>,
    /// Points to a manifest that says this of itself.
    pub annotation: Option<Annotation>,
}

/// A question for tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagQuestion {
    /// By what they are sorted.
    pub sort: TagSort,
    /// In which direction.
    pub order: SortOrder,
    /// Which are wanted.
    pub filter: TagFilter,
}

/// Where an answer ended: the next one begins behind it, whatever came or went meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagCursor {
    sort: TagSort,
    value: u64,
    repository: RepositoryName,
    tag: Tag,
}

/// The first tags behind a place, of what the asker sees.
pub(super) fn list<F: FnMut(&RepositoryName) -> bool>(
    arena: &Arena,
    question: &TagQuestion,
    after: Option<&TagCursor>,
    limit: usize,
    sees: F,
) -> Hits<TagCursor> {
    let TagQuestion { sort, order, filter } = question;
    let none = Hits { hits: Vec::new(), has_more: false, annotated: None };
    let Some(matcher) = Matcher::of(arena, filter) else { return none };
    let sorting = Sorting { order: *order, is_by_name: *sort == TagSort::Name };
    let after = after.map(|after| (after.value, after.repository.as_str(), after.tag.as_str()));
    let mut places = Places::of(arena, sorting, after, limit, sees);
    for tag in arena.tags().filter(|tag| matcher.accepts(*tag)) {
        places.offer(sort.value(tag), tag.repository(), || (tag.repository_name(), tag.name()));
    }
    let (places, has_more) = places.into_first();
    let named = |place: Place<'_>| {
        // What is in the arena was a name when it was put there.
        let repository = RepositoryName::parse(place.repository).ok()?;
        let tag = Tag::parse(place.tag).ok()?;
        let cursor =
            TagCursor { sort: *sort, value: place.value, repository: repository.clone(), tag: tag.clone() };
        Some((Hit { repository, tag: Some(tag) }, cursor))
    };
    let hits = places.into_iter().filter_map(named).collect();
    Hits { hits, has_more, annotated: matcher.annotated }
}

/// A filter, as it is looked up in the arena.
struct Matcher<'a> {
    repository: Option<u32>,
    containing: Option<Finder<'a>>,
    pulled_before: Option<Timestamp>,
    pushed_before: Option<Timestamp>,
    digest: Option<DigestHead>,
    /// By the numbers of the sets of platforms.
    platforms: Option<Vec<bool>>,
    annotated: Option<Annotated>,
}

impl<'a> Matcher<'a> {
    /// None if no tag can pass.
    fn of(arena: &Arena, filter: &'a TagFilter) -> Option<Self> {
        let TagFilter { repository, containing, pulled_before, pushed_before, digest, platform, annotation } =
            filter;
        let repository = match repository {
            None => None,
            Some(name) => Some(arena.number(name)?),
        };
        Some(Self {
            repository,
            containing: containing.as_ref().map(Finder::new),
            pulled_before: *pulled_before,
            pushed_before: *pushed_before,
            digest: digest.as_ref().map(DigestHead::of),
            platforms: platform.as_ref().map(|platform| arena.sets_with(platform)),
            annotated: annotation.as_ref().map(|annotation| {
                arena.annotations().map(|known| known.with(annotation)).unwrap_or_default()
            }),
        })
    }

    fn accepts(&self, tag: TagView<'_>) -> bool {
        self.repository.is_none_or(|repository| repository == tag.repository())
            && self.pushed_before.is_none_or(|time| tag.pushed_at().is_some_and(|pushed| pushed < time))
            && self.pulled_before.is_none_or(|time| tag.last_pull() < time)
            && self.digest.is_none_or(|digest| digest == tag.digest())
            && self.containing.as_ref().is_none_or(|text| text.find(tag.name().as_bytes()).is_some())
            && self
                .platforms
                .as_ref()
                .is_none_or(|having| having.get(tag.platforms() as usize) == Some(&true))
    }
}

impl TagFilter {
    /// Whether what is recorded now passes. The arena may be some seconds behind with pulls.
    pub(super) fn accepts(&self, record: &TagRecord) -> bool {
        let pushed_at = RecordedAt::of(record).pushed_at();
        self.pushed_before.is_none_or(|time| pushed_at.is_some_and(|pushed| pushed < time))
            && self.pulled_before.is_none_or(|time| record.last_pull.is_none_or(|last| last < time))
            && self.digest.as_ref().is_none_or(|digest| *digest == record.digest)
            && self.platform.as_ref().is_none_or(|platform| platforms::has(&record.platforms, platform))
    }
}

impl TagSort {
    const ALL: [(Self, &str); 4] = [
        (Self::Name, "name"),
        (Self::PushedAt, "pushed_at"),
        (Self::LastPull, "last_pull"),
        (Self::Size, "size"),
    ];

    fn value(self, tag: TagView<'_>) -> u64 {
        match self {
            Self::Name => 0,
            Self::PushedAt => tag.pushed_at().map_or(0, Timestamp::as_milliseconds),
            Self::LastPull => tag.last_pull().as_milliseconds(),
            Self::Size => tag.bytes(),
        }
    }

    /// The direction that is usually wanted: names from the beginning, all else the largest first.
    pub const fn usual_order(self) -> SortOrder {
        match self {
            Self::Name => SortOrder::Ascending,
            Self::PushedAt | Self::LastPull | Self::Size => SortOrder::Descending,
        }
    }

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(sort, _)| *sort == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for TagSort {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(sort, _)| *sort).ok_or(UnknownWord("`name`, `pushed_at`, `last_pull` or `size`"))
    }
}

impl TagCursor {
    /// By what the answer was sorted in which this is a place.
    pub const fn sort(&self) -> TagSort {
        self.sort
    }
}

/// The cursor as text: the word for the order, the value, the repository and the tag.
impl fmt::Display for TagCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sort, value, repository, tag } = self;
        write!(formatter, "{}:{value}:{repository}:{tag}", sort.as_str())
    }
}

impl FromStr for TagCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let parse = || {
            let mut parts = text.splitn(4, ':');
            Some(Self {
                sort: parts.next()?.parse().ok()?,
                value: parts.next()?.parse().ok()?,
                repository: RepositoryName::parse(parts.next()?).ok()?,
                tag: Tag::parse(parts.next()?).ok()?,
            })
        };
        parse().ok_or(InvalidCursor)
    }
}
