//! Search: what the record holds by parts of names, and lists that are sorted over all repositories. It answers from names and a
//! few columns in memory, which it fills from the record when first asked, keeps up by the events, and drops when nobody asks.
//! What is shown is read from the record. `namespaces` needs none of that: it counts what each holds. `web/` asks; nothing here writes.

mod annotations;
mod arena;
mod cursor;
mod digests;
mod error;
mod find;
mod names;
mod namespaces;
mod newest;
mod part;
mod places;
mod platforms;
mod query;
mod repositories;
mod selection;
mod sight;
mod standing;
mod tags;
#[cfg(test)]
mod tests;
mod upkeep;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use annotations::{Annotation, InvalidAnnotation};
pub use cursor::InvalidCursor;
pub use error::SearchError;
pub use find::FoundCursor;
pub use namespaces::{NamespaceCursor, NamespaceSums, Namespaces};
pub use places::{SortOrder, UnknownWord};
pub use query::{InvalidQuery, Query};
pub use repositories::{RepositoryCursor, RepositoryQuestion, RepositorySort};
pub use tags::{TagCursor, TagFilter, TagQuestion, TagSort};

use self::annotations::Annotated;
use self::arena::Arena;
use self::cursor::{Hit, Hits};
use self::digests::DigestHead;
use self::part::Part;
use self::query::Form;
use self::standing::{Needs, Standing};
use crate::oci::RepositoryName;
use crate::store::{Page, PageRequest, RepositoryRecord, Store, TagRecord};
use crate::telemetry::FailureLog;

/// The most memory that names and columns take, in bytes: room for about three million tags.
pub const MEMORY: usize = 256 * 1024 * 1024;
/// How many questions are looked through at once: each keeps a processor busy for some milliseconds.
const AT_ONCE: usize = 2;
/// How often pulls are taken up, as often as the door itself writes them down, and how often it is looked whether anybody still asks.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Answers questions over all repositories.
pub struct Search {
    store: Arc<dyn Store>,
    standing: Standing,
    turns: Arc<Semaphore>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A repository.
    Repository(RepositoryRecord),
    /// A tag of a repository.
    Tag(RepositoryName, TagRecord),
}

/// What the asker may see, asked once for each repository and question.
pub type Sees = Box<dyn FnMut(&RepositoryName) -> bool + Send>;

impl Search {
    /// Answers from this store, with at most so many bytes of memory. Reads nothing yet.
    pub fn new(store: Arc<dyn Store>, memory: usize) -> Self {
        let standing = Standing::new(Arc::clone(&store), memory);
        Self { store, standing, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// What fits the query best, of what the asker sees. A part ends before it has `limit` items where something has gone
    /// meanwhile.
    ///
    /// # Errors
    /// When the record cannot be read, or is too large.
    pub async fn find(
        &self,
        query: Query,
        page: PageRequest<FoundCursor>,
        sees: Sees,
    ) -> Result<Page<Found, FoundCursor>, SearchError> {
        let annotations = matches!(query.0, Form::Annotation(_));
        let needs = Needs { images: annotations, annotations };
        let arena = self.standing.current(needs).await?;
        let PageRequest { after, limit } = page;
        let asked = query.clone();
        let look = move |arena: &Arena| find::find(arena, &asked, after.as_ref(), limit, sees);
        let Hits { hits, has_more, annotated } = self.look(arena, look).await?;
        let (found, mut part) = (hits.len(), Part::new());
        for (Hit { repository, tag }, place) in hits {
            if !part.goes_on(place).await {
                break;
            }
            let Some(tag) = tag else {
                if let Some(record) = self.store.repository(&repository).await? {
                    part.push(Found::Repository(record), size_of::<RepositoryRecord>());
                }
                continue;
            };
            let record = self.store.tag(&repository, &tag).await?;
            if let Some(record) = record.filter(|record| query.still_fits(record))
                && self.says_so(annotated.as_ref(), &repository, &record).await?
            {
                let bytes = part::bytes_of(&record);
                part.push(Found::Tag(repository, record), bytes);
            }
        }
        Ok(part.end(found, has_more))
    }

    /// The tags that the question asks for, in its order, of what the asker sees. A part ends before it has `limit` items where
    /// something has gone, or fits no more, meanwhile, or after about a megabyte of them. The order by the last pull is some ten seconds old.
    ///
    /// # Errors
    /// When the record cannot be read, or is too large.
    pub async fn tags(
        &self,
        question: TagQuestion,
        page: PageRequest<TagCursor>,
        sees: Sees,
    ) -> Result<Page<(RepositoryName, TagRecord), TagCursor>, SearchError> {
        // That something was pulled long ago or never may be wrong in one way alone, which reading the row again finds out.
        let annotations = question.filter.annotation.is_some();
        let needs = Needs { images: annotations || question.filter.platform.is_some(), annotations };
        let arena = self.standing.current(needs).await?;
        let PageRequest { after, limit } = page;
        let asked = question.clone();
        let look = move |arena: &Arena| tags::list(arena, &asked, after.as_ref(), limit, sees);
        let Hits { hits, has_more, annotated } = self.look(arena, look).await?;
        let (found, mut part) = (hits.len(), Part::new());
        for (Hit { repository, tag }, place) in hits {
            if !part.goes_on(place).await {
                break;
            }
            let Some(tag) = tag else { continue };
            let record = self.store.tag(&repository, &tag).await?;
            if let Some(record) = record.filter(|record| question.filter.accepts(record))
                && self.says_so(annotated.as_ref(), &repository, &record).await?
            {
                let bytes = part::bytes_of(&record);
                part.push((repository, record), bytes);
            }
        }
        Ok(part.end(found, has_more))
    }

    /// The repositories that the question asks for, in its order, of those that the asker sees. A part ends before it has `limit`
    /// items where something has gone meanwhile, or after about a megabyte of them. The orders by pulls are some ten seconds old.
    ///
    /// # Errors
    /// When the record cannot be read, or is too large.
    pub async fn repositories(
        &self,
        question: RepositoryQuestion,
        page: PageRequest<RepositoryCursor>,
        sees: Sees,
    ) -> Result<Page<RepositoryRecord, RepositoryCursor>, SearchError> {
        let arena = self.standing.current(Needs::default()).await?;
        let PageRequest { after, limit } = page;
        let look = move |arena: &Arena| repositories::list(arena, &question, after.as_ref(), limit, sees);
        let Hits { hits, has_more, .. } = self.look(arena, look).await?;
        let (found, mut part) = (hits.len(), Part::new());
        for (Hit { repository, .. }, place) in hits {
            if !part.goes_on(place).await {
                break;
            }
            if let Some(record) = self.store.repository(&repository).await? {
                part.push(record, size_of::<RepositoryRecord>());
            }
        }
        Ok(part.end(found, has_more))
    }

    /// Whether what a tag points to now is there, and one of the manifests that say what was asked for, if that was.
    async fn says_so(
        &self,
        annotated: Option<&Annotated>,
        repository: &RepositoryName,
        record: &TagRecord,
    ) -> Result<bool, SearchError> {
        let Some(annotated) = annotated else { return Ok(true) };
        Ok(annotated.placement(DigestHead::of(&record.digest)).is_some()
            && self.store.has_manifest(repository, &record.digest).await?)
    }

    /// Looks through the arena on a thread that may be busy for a while.
    async fn look<T: Send + 'static>(
        &self,
        arena: Arc<RwLock<Arena>>,
        look: impl FnOnce(&Arena) -> T + Send + 'static,
    ) -> Result<T, SearchError> {
        // It is never closed; what waits here is bounded by the requests under way. It is held until the looking ends, also when
        // the asker has left.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        let looking = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            look(&arena.read().unwrap_or_else(PoisonError::into_inner))
        });
        looking.await.map_err(|_| SearchError::Interrupted)
    }

    /// Takes up pulls every ten seconds, so that no question waits for that, and lets go of the memory whenever nobody has asked
    /// for ten minutes, until told to stop.
    pub async fn keep(&self, stop: CancellationToken) {
        let failures = FailureLog::new();
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            self.standing.drop_if_idle().await;
            match stop.run_until_cancelled(self.standing.follow_pulls()).await {
                None => return,
                Some(Ok(())) => {
                    if failures.worked() {
                        tracing::info!("the orders by pulls are brought up to date again");
                    }
                }
                Some(Err(error)) => {
                    if failures.failed(&error) {
                        tracing::warn!(%error, "the orders by pulls cannot be brought up to date now");
                    }
                }
            }
        }
        // What is being filled is not waited for: it is lost anyway.
    }
}
