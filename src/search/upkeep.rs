//! Filling an arena from the record, and following what is recorded from then on.
//!
//! An event only says what to look at: the row as it is now is what is taken up. So it does no harm to look at something twice,
//! nor when it has changed once more meanwhile: that is a later event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};

use super::annotations::Annotations;
use super::arena::{Arena, Full, PullState};
use super::digests::DigestHead;
use super::error::SearchError;
use crate::oci::{RepositoryName, Tag};
use crate::store::{
    Epoch, Event, EventKind, ManifestRecord, Page, PageRequest, RepositoryRecord, Sequence, Store, TagRecord,
};

/// How many rows are read at once.
const PART: usize = 1_000;

/// Up to where an arena follows the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) epoch: Epoch,
    pub(super) sequence: Sequence,
}

/// Reads all that is recorded into an arena of at most so many bytes. What changes meanwhile may be in it or not: it is
/// behind the position, so that what follows takes it up.
pub(super) async fn build(store: &dyn Store, memory: usize) -> Result<(Arena, Position), SearchError> {
    let position = position(store).await?;
    let tags = usize::try_from(store.statistics().await?.tags).unwrap_or(usize::MAX);
    // No tag has less; more would be asked for in vain.
    let mut arena = Arena::with_room(tags.min(memory / LEAST_BYTES_OF_TAG));
    let mut after = None;
    loop {
        let Page { items, next } = store.repositories(None, PageRequest { after, limit: PART }).await?;
        for record in &items {
            arena.put_repository(record)?;
        }
        fits(&arena, memory)?;
        let Some(next) = next else { break };
        after = Some(next);
        tokio::task::yield_now().await;
    }
    let mut after = None;
    loop {
        let Page { items, next } = store.all_tags(PageRequest { after, limit: PART }).await?;
        for (repository, record) in &items {
            arena.put_tag(repository, record)?;
        }
        fits(&arena, memory)?;
        let Some(next) = next else { break };
        after = Some(next);
        tokio::task::yield_now().await;
    }
    Ok((arena, position))
}

/// Reads what the manifests that tags point to say of themselves, unless that is there.
pub(super) async fn read_annotations(
    store: &dyn Store,
    arena: &RwLock<Arena>,
    memory: usize,
) -> Result<(), SearchError> {
    let room = {
        let arena = arena.read().unwrap_or_else(PoisonError::into_inner);
        if arena.annotations().is_some() {
            return Ok(());
        }
        memory.saturating_sub(arena.memory())
    };
    let mut annotations = Annotations::default();
    let mut after = None;
    loop {
        let names = store.repository_names(PageRequest { after, limit: PART }).await?;
        for repository in &names.items {
            let mut after = None;
            loop {
                let page = PageRequest { after, limit: PART };
                let Page { items, next } = store.manifests(repository, page).await?;
                for record in items.iter().filter(|record| !record.tags.is_empty()) {
                    put_annotations(&mut annotations, record)?;
                }
                if annotations.memory() > room {
                    return Err(SearchError::TooLarge { memory });
                }
                let Some(next) = next else { break };
                after = Some(next);
            }
        }
        let Some(next) = names.next else { break };
        after = Some(next.to_string());
        tokio::task::yield_now().await;
    }
    *arena.write().unwrap_or_else(PoisonError::into_inner).annotations_mut() = Some(annotations);
    Ok(())
}

fn put_annotations(annotations: &mut Annotations, record: &ManifestRecord) -> Result<(), Full> {
    if annotations.put(record) { Ok(()) } else { Err(Full) }
}

/// What a tag takes at least.
const LEAST_BYTES_OF_TAG: usize = 64;

async fn position(store: &dyn Store) -> Result<Position, SearchError> {
    // The epoch first: one that begins between the two continues it.
    let epoch = store.history().await?.epoch;
    Ok(Position { epoch, sequence: store.sequence().await? })
}

fn fits(arena: &Arena, memory: usize) -> Result<(), SearchError> {
    if arena.memory() > memory { Err(SearchError::TooLarge { memory }) } else { Ok(()) }
}

impl From<Full> for SearchError {
    fn from(Full: Full) -> Self {
        // The numbers of names end at four thousand million.
        Self::TooLarge { memory: u32::MAX as usize }
    }
}

/// What became of following the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// The arena has everything that was recorded before this was asked.
    UpToDate,
    /// It has to be built anew: much has changed, or the history is another.
    Outdated,
}

/// Takes up what was recorded behind the position. May be dropped at any time: the position moves when all before it is taken up.
pub(super) async fn follow(
    store: &dyn Store,
    arena: &RwLock<Arena>,
    position: &mut Position,
    memory: usize,
    most: u64,
) -> Result<Followed, SearchError> {
    if !store.continues(position.epoch, position.sequence).await? {
        return Ok(Followed::Outdated);
    }
    let until = self::position(store).await?;
    if until.sequence == position.sequence {
        return Ok(Followed::UpToDate);
    }
    if until.sequence.get().saturating_sub(position.sequence.get()) > most {
        return Ok(Followed::Outdated);
    }
    let followed =
        take_up(store, arena, &mut position.sequence, until.sequence, memory, Annotations::knows).await?;
    if followed == Followed::UpToDate {
        *position = until;
    }
    Ok(followed)
}

/// Takes up what was read of images since: that makes no events, but is told up to which of them it was done. So these are
/// followed once more.
pub(super) async fn follow_images(
    store: &dyn Store,
    arena: &RwLock<Arena>,
    images: &mut Sequence,
    memory: usize,
    most: u64,
) -> Result<Followed, SearchError> {
    let until = store.images_read_until().await?;
    if until <= *images {
        return Ok(Followed::UpToDate);
    }
    if until.get() - images.get() > most {
        return Ok(Followed::Outdated);
    }
    let followed = take_up(store, arena, images, until, memory, Annotations::knows_labels).await?;
    if followed == Followed::UpToDate {
        *images = until;
    }
    Ok(followed)
}

/// Takes up the events behind a position up to a number, and perhaps some behind that. The position moves on the way.
async fn take_up(
    store: &dyn Store,
    arena: &RwLock<Arena>,
    position: &mut Sequence,
    until: Sequence,
    memory: usize,
    knows: fn(&Annotations, DigestHead) -> bool,
) -> Result<Followed, SearchError> {
    loop {
        let page = PageRequest { after: Some(*position), limit: PART };
        let Page { items, next } = store.events(None, page).await?;
        let mut news = news(store, &items).await?;
        news.manifests = manifests(store, &items, arena, knows).await?;
        {
            let mut arena = arena.write().unwrap_or_else(PoisonError::into_inner);
            news.take_up(&mut arena)?;
            fits(&arena, memory)?;
            if arena.is_wasteful() {
                return Ok(Followed::Outdated);
            }
        }
        match next {
            Some(next) if next < until => *position = next,
            Some(_) | None => return Ok(Followed::UpToDate),
        }
    }
}

/// Rows as they are now.
#[derive(Default)]
struct News {
    /// Repositories that are not there.
    gone: Vec<RepositoryName>,
    /// Repositories that have gone, whatever is there now.
    emptied: Vec<RepositoryName>,
    repositories: Vec<RepositoryRecord>,
    tags: Vec<(RepositoryName, Tag, Option<TagRecord>)>,
    /// Manifests of which it is not known what they say.
    manifests: Vec<ManifestRecord>,
}

impl News {
    fn take_up(self, arena: &mut Arena) -> Result<(), Full> {
        arena.remove_repositories(&self.gone);
        arena.remove_all_tags(&self.emptied);
        for record in &self.repositories {
            arena.put_repository(record)?;
        }
        for (repository, tag, record) in &self.tags {
            match record {
                Some(record) => arena.put_tag(repository, record)?,
                None => arena.remove_tag(repository, tag),
            }
        }
        if let Some(annotations) = arena.annotations_mut() {
            self.manifests.iter().try_for_each(|record| put_annotations(annotations, record))?;
        }
        Ok(())
    }
}

/// Reads the manifests that are there since these events, where it is of interest what they say.
async fn manifests(
    store: &dyn Store,
    events: &[Event],
    arena: &RwLock<Arena>,
    knows: fn(&Annotations, DigestHead) -> bool,
) -> Result<Vec<ManifestRecord>, SearchError> {
    let unknown: Vec<_> = {
        let arena = arena.read().unwrap_or_else(PoisonError::into_inner);
        let Some(annotations) = arena.annotations() else { return Ok(Vec::new()) };
        let puts = events.iter().filter(|event| event.media_type.is_some());
        let manifests = puts.filter_map(|event| Some((&event.repository, event.digest.as_ref()?)));
        manifests.filter(|(_, digest)| !knows(annotations, DigestHead::of(digest))).collect()
    };
    let mut found = Vec::new();
    for (repository, digest) in unknown {
        found.extend(store.manifest(repository, digest).await?);
    }
    Ok(found)
}

/// Reads what these events speak of.
async fn news(store: &dyn Store, events: &[Event]) -> Result<News, SearchError> {
    /// What was touched in a repository.
    #[derive(Default)]
    struct Touched<'a> {
        is_emptied: bool,
        tags: BTreeSet<&'a Tag>,
    }
    let mut touched: BTreeMap<&RepositoryName, Touched<'_>> = BTreeMap::new();
    for event in events {
        let here = touched.entry(&event.repository).or_default();
        match event.kind {
            EventKind::RepositoryGone => *here = Touched { is_emptied: true, tags: BTreeSet::new() },
            EventKind::ManifestPut
            | EventKind::TagRestored
            | EventKind::TagDeleted
            | EventKind::ManifestDeleted
            | EventKind::RepositoryFound => here.tags.extend(&event.tag),
        }
    }
    let mut news = News::default();
    for (repository, touched) in touched {
        let Some(record) = store.repository(repository).await? else {
            news.gone.push(repository.clone());
            continue;
        };
        news.repositories.push(record);
        if touched.is_emptied {
            news.emptied.push(repository.clone());
        }
        for tag in touched.tags {
            let record = store.tag(repository, tag).await?;
            news.tags.push((repository.clone(), tag.clone(), record));
        }
    }
    Ok(news)
}

/// Repositories from which something was pulled since their pulls were taken up, of one part of all.
pub(super) async fn pulled(
    store: &dyn Store,
    arena: &RwLock<Arena>,
    after: Option<RepositoryName>,
) -> Result<Page<RepositoryRecord, RepositoryName>, SearchError> {
    let Page { mut items, next } = store.repositories(None, PageRequest { after, limit: PART }).await?;
    let arena = arena.read().unwrap_or_else(PoisonError::into_inner);
    items.retain(|record| {
        arena.repository(&record.name).is_some_and(|known| known.pulls != PullState::of(record))
    });
    Ok(Page { items, next })
}

/// The tags of a repository from which something was pulled. Pulls make no events: which of the tags were pulled is not known.
pub(super) struct PulledTags {
    record: RepositoryRecord,
    after: Option<Tag>,
    has_more: bool,
}

impl PulledTags {
    /// Those of this repository.
    pub(super) const fn of(record: RepositoryRecord) -> Self {
        Self { record, after: None, has_more: true }
    }

    /// Whether there are some that were not taken up.
    pub(super) const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Takes up the next of them.
    pub(super) async fn take_up(
        &mut self,
        store: &dyn Store,
        arena: &RwLock<Arena>,
    ) -> Result<(), SearchError> {
        let Self { record, after, .. } = self;
        let page = PageRequest { after: after.take(), limit: PART };
        let Page { items, next } = store.tags(&record.name, page).await?;
        let mut arena = arena.write().unwrap_or_else(PoisonError::into_inner);
        for tag in &items {
            arena.put_tag(&record.name, tag)?;
        }
        if next.is_none() {
            arena.note_pulls(record);
        }
        self.has_more = next.is_some();
        self.after = next;
        Ok(())
    }
}
