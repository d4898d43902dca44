//! The search itself: what has the wanted text in it, the best first. Pure.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use memchr::memmem::Finder;

use super::annotations::{Annotated, Annotation};
use super::arena::{Arena, RepositoryNumber, TagView};
use super::cursor::{Hit, Hits, InvalidCursor};
use super::digests::DigestPrefix;
use super::names::Placement;
use super::query::{Form, Query};
use super::selection::Selection;
use super::sight::Sight;
use crate::clock::Timestamp;
use crate::oci::{RepositoryName, Tag};

/// How well something fits: where the text stands in it, then how new it is.
type Rank = (Placement, Reverse<Timestamp>);

/// Something that fits, in the order of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate<'a> {
    rank: Rank,
    repository: &'a str,
    /// None for the repository itself.
    tag: Option<&'a str>,
}

/// Where an answer ended: the next one begins behind it, whatever came or went meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCursor {
    rank: Rank,
    repository: RepositoryName,
    tag: Option<Tag>,
}

/// The best of what fits behind a place, of what the asker sees.
pub(super) fn find<F: FnMut(&RepositoryName) -> bool>(
    arena: &Arena,
    query: &Query,
    after: Option<&FoundCursor>,
    limit: usize,
    sees: F,
) -> Hits<FoundCursor> {
    let sight = Sight::of(arena.repository_numbers(), sees);
    let best = Selection::of(limit.saturating_add(1));
    let mut search = Search { arena, after, best, annotated: None, sight };
    match &query.0 {
        Form::Name { text, digest } => search.by_name(text, digest.as_ref()),
        Form::Tagged { repository, tag } => search.by_tag(repository, tag),
        Form::Annotation(annotation) => search.by_annotation(annotation),
        Form::Digest { repository, digest } => search.by_digest(repository, digest, |_| false),
    }
    search.answer(limit)
}

struct Search<'a, F> {
    arena: &'a Arena,
    after: Option<&'a FoundCursor>,
    best: Selection<Candidate<'a>>,
    annotated: Option<Annotated>,
    sight: Sight<F>,
}

impl<'a, F: FnMut(&RepositoryName) -> bool> Search<'a, F> {
    fn by_name(&mut self, text: &str, digest: Option<&DigestPrefix>) {
        let arena = self.arena;
        arena.repository_names().find(text, Placement::Inside, |number, placement| {
            let Some(columns) = arena.repository_at(number) else { return };
            let recent = columns.last_push.unwrap_or(Timestamp::from_milliseconds(0));
            let name = arena.repository_names().get(number);
            let rank = (placement, Reverse(recent));
            self.offer(number, rank, || Candidate { rank, repository: name, tag: None });
        });
        let offer = |found: &mut Self, tag: TagView<'a>, placement: Placement| {
            let by_digest = digest.filter(|digest| digest.may_begin(tag.digest())).map(placement_of);
            found.offer_tag(tag, by_digest.map_or(placement, |by_digest| placement.min(by_digest)));
        };
        // The newest first: where the text is in many names, these are the answer but for what fits better.
        let (since, finder) = (arena.newest_since(), Finder::new(text));
        for tag in arena.newest().filter(|tag| tag.recorded_at() >= since) {
            if let Some(placement) = arena.tag_names().placement_in(tag.number(), &finder) {
                offer(self, tag, placement);
            }
        }
        let worst = match self.best.bar().map(|bar| bar.rank) {
            // What fits as well and is newer was among the newest.
            Some((worst, Reverse(recent))) if recent >= since && digest.is_none() => worst.better(),
            Some(_) | None => Some(Placement::Inside),
        };
        if let Some(worst) = worst {
            arena.tag_names().find(text, worst, |number, placement| {
                if let Some(tag) = arena.tag(number).filter(|tag| tag.recorded_at() < since) {
                    offer(self, tag, placement);
                }
            });
        }
        if let Some(digest) = digest {
            self.by_digest("", digest, |tag| tag.name().contains(text));
        }
    }

    /// As if each tag were written behind its repository and a colon.
    fn by_tag(&mut self, repository: &str, tag: &str) {
        let arena = self.arena;
        let ending = ending(arena, repository);
        let offer = |found: &mut Self, view: TagView<'a>, is_whole: bool| {
            let Some(placement) = ending.get(view.repository() as usize).copied().flatten() else { return };
            let placement =
                if placement == Placement::Exact && !is_whole { Placement::Prefix } else { placement };
            found.offer_tag(view, placement);
        };
        let is_in =
            |repository: RepositoryNumber| ending.get(repository as usize).is_some_and(Option::is_some);
        for view in arena.tags_of(is_in).filter(|view| view.name().starts_with(tag)) {
            offer(self, view, view.name() == tag);
        }
    }

    fn by_digest(&mut self, repository: &str, digest: &DigestPrefix, is_known: impl Fn(TagView<'a>) -> bool) {
        let arena = self.arena;
        let ending = (!repository.is_empty()).then(|| ending(arena, repository));
        for tag in arena.tags_with(|head| digest.may_begin(head)) {
            let is_in = ending
                .as_ref()
                .is_none_or(|ending| ending.get(tag.repository() as usize).is_some_and(Option::is_some));
            if is_in && !is_known(tag) {
                self.offer_tag(tag, placement_of(digest));
            }
        }
    }

    fn by_annotation(&mut self, annotation: &Annotation) {
        let annotations = self.arena.annotations();
        let annotated = annotations.map(|known| known.beginning_with(annotation)).unwrap_or_default();
        for tag in self.arena.tags() {
            if let Some(placement) = annotated.placement(tag.digest()) {
                self.offer_tag(tag, placement);
            }
        }
        self.annotated = Some(annotated);
    }

    fn offer_tag(&mut self, tag: TagView<'a>, placement: Placement) {
        let rank = (placement, Reverse(tag.recorded_at()));
        self.offer(tag.repository(), rank, || Candidate {
            rank,
            repository: tag.repository_name(),
            tag: Some(tag.name()),
        });
    }

    /// Keeps a candidate if it is among the best, behind where the answer begins, and seen by the asker.
    fn offer(&mut self, repository: u32, rank: Rank, candidate: impl FnOnce() -> Candidate<'a>) {
        // Most are turned away by their rank alone.
        if self.best.bar().is_some_and(|bar| rank > bar.rank)
            || self.after.is_some_and(|after| rank < after.rank)
        {
            return;
        }
        let candidate = candidate();
        if self.after.is_none_or(|after| after.is_before(&candidate))
            && self.best.bar().is_none_or(|bar| candidate < *bar)
            && self.sight.reaches(repository, candidate.repository)
        {
            self.best.offer(candidate);
        }
    }

    fn answer(self, limit: usize) -> Hits<FoundCursor> {
        let candidates = self.best.into_sorted();
        let has_more = candidates.len() > limit;
        let named = |candidate: Candidate<'_>| {
            // What is in the arena was a name when it was put there.
            let repository = RepositoryName::parse(candidate.repository).ok()?;
            let tag = candidate.tag.map(Tag::parse).transpose().ok()?;
            let place =
                FoundCursor { rank: candidate.rank, repository: repository.clone(), tag: tag.clone() };
            Some((Hit { repository, tag }, place))
        };
        let hits = candidates.into_iter().take(limit).filter_map(named).collect();
        Hits { hits, has_more, annotated: self.annotated }
    }
}

impl FoundCursor {
    fn is_before(&self, candidate: &Candidate<'_>) -> bool {
        let own = (self.rank, self.repository.as_str(), self.tag.as_ref().map(Tag::as_str));
        own < (candidate.rank, candidate.repository, candidate.tag)
    }
}

/// By digest, where a whole one is better than a part.
const fn placement_of(digest: &DigestPrefix) -> Placement {
    if digest.is_whole() { Placement::Exact } else { Placement::Prefix }
}

/// By the repositories' numbers: where this text stands in the name, if the name ends with it.
fn ending(arena: &Arena, text: &str) -> Vec<Option<Placement>> {
    let placement = |number: u32| {
        let before = arena.repository_names().get(number).strip_suffix(text)?;
        Some(match before.as_bytes().last() {
            None => Placement::Exact,
            Some(byte) if !byte.is_ascii_alphanumeric() => Placement::WordStart,
            Some(_) => Placement::Inside,
        })
    };
    (0..).take(arena.repository_numbers()).map(placement).collect()
}

/// The cursor as text: the placement's number, milliseconds, the repository and the tag.
impl fmt::Display for FoundCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (placement, Reverse(recent)) = self.rank;
        let placement = PLACEMENTS.iter().position(|known| *known == placement).unwrap_or_default();
        write!(formatter, "{placement}:{}:{}", recent.as_milliseconds(), self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(formatter, ":{tag}"))
    }
}

const PLACEMENTS: [Placement; 4] =
    [Placement::Exact, Placement::Prefix, Placement::WordStart, Placement::Inside];

impl FromStr for FoundCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let parse = || {
            let mut parts = text.splitn(4, ':');
            let placement = PLACEMENTS.get(parts.next()?.parse::<usize>().ok()?)?;
            let recent = Timestamp::from_milliseconds(parts.next()?.parse().ok()?);
            let repository = RepositoryName::parse(parts.next()?).ok()?;
            let tag = parts.next().map(Tag::parse).transpose().ok()?;
            Some(Self { rank: (*placement, Reverse(recent)), repository, tag })
        };
        parse().ok_or(InvalidCursor)
    }
}
