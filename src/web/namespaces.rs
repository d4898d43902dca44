//! What namespaces hold, for the API and for pages. To find it all that the caller may pull is looked at, so it is kept for a while, for
//! those alone who have the same rights: to others it would tell of what they may not see.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use utoipa::ToSchema;

use crate::auth::{Rights, Viewer};
use crate::clock::Timestamp;
use crate::search::{NamespaceCursor, NamespaceSums, Namespaces, RepositoryQuestion, SearchError};
use crate::store::{Page, PageRequest, Store};

/// How long what was found stays as it is: to look at all digests takes a second for each million or two.
const KEPT: Duration = Duration::from_mins(5);
/// The most bytes that is kept, and once more what is being read.
const MEMORY: usize = 32 * 1024 * 1024;
/// For so many different rights it is kept at most.
const MOST_RIGHTS: usize = 100;

/// What namespaces hold, as it was last found.
#[derive(Debug, Default)]
pub struct KeptNamespaces {
    /// The oldest first. Locked only for moments.
    kept: Arc<Mutex<Vec<Kept>>>,
    /// Held by who reads: one at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// What reads, also when the asker has left.
    reading: TaskTracker,
}

/// What callers with these rights are told.
#[derive(Debug)]
struct Kept {
    rights: Rights,
    found: Found,
    memory: usize,
}

#[derive(Clone, Debug)]
struct Found {
    namespaces: Arc<Namespaces>,
    /// When it began to be read.
    since: Instant,
}

/// By what repositories are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum GroupBy {
    /// The first part of their names.
    Namespace,
}

/// Not one of them.
#[derive(Debug, thiserror::Error)]
#[error("it can be `namespace`")]
pub(super) struct UnknownGroup;

impl FromStr for GroupBy {
    type Err = UnknownGroup;

    fn from_str(text: &str) -> Result<Self, UnknownGroup> {
        if text == "namespace" { Ok(Self::Namespace) } else { Err(UnknownGroup) }
    }
}

/// What the repositories whose names have the same first part hold together, of those that the caller may pull.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Namespace {
    /// The first part of their names; empty for those whose names have one part alone.
    #[schema(value_type = String)]
    pub(super) namespace: Box<str>,
    pub(super) repositories: u64,
    pub(super) tags: u64,
    /// Counted once for each repository that has them.
    pub(super) manifests: u64,
    /// Each manifest and blob counted once within the namespace.
    pub(super) bytes: u64,
    pub(super) last_push: Option<Timestamp>,
    pub(super) last_pull: Option<Timestamp>,
    /// Through the door.
    pub(super) pulls: u64,
}

impl From<NamespaceSums> for Namespace {
    fn from(sums: NamespaceSums) -> Self {
        let NamespaceSums { namespace, repositories, tags, manifests, bytes, last_push, last_pull, pulls } =
            sums;
        Self { namespace, repositories, tags, manifests, bytes, last_push, last_pull, pulls }
    }
}

/// A part of a list of namespaces.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NamespaceList {
    pub(super) items: Vec<Namespace>,
    /// What to give as `after` for the next part.
    pub(super) next: Option<String>,
    /// How long ago this was found; at most five minutes.
    age_seconds: u64,
}

impl NamespaceList {
    /// How long ago it was found.
    pub(super) const fn age(&self) -> Duration {
        Duration::from_secs(self.age_seconds)
    }
}

impl KeptNamespaces {
    /// A part of the namespaces that the viewer sees, found anew if that was long ago.
    ///
    /// # Errors
    /// When the record cannot be read, or there are too many namespaces.
    pub(super) async fn list(
        &self,
        store: &Arc<dyn Store>,
        viewer: &Viewer,
        question: RepositoryQuestion,
        page: PageRequest<NamespaceCursor>,
    ) -> Result<NamespaceList, SearchError> {
        let Found { namespaces, since } = self.find(store, viewer).await?;
        let listing = tokio::task::spawn_blocking(move || namespaces.list(&question, &page));
        let Page { items, next } = listing.await.map_err(|_| SearchError::Interrupted)?;
        Ok(NamespaceList {
            items: items.into_iter().map(Namespace::from).collect(),
            next: next.map(|next| next.to_string()),
            age_seconds: since.elapsed().as_secs(),
        })
    }

    async fn find(&self, store: &Arc<dyn Store>, viewer: &Viewer) -> Result<Found, SearchError> {
        let rights = viewer.rights();
        if let Some(found) = self.kept_for(&rights) {
            return Ok(found);
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // Whoever had it before may have had the same rights.
        if let Some(found) = self.kept_for(&rights) {
            return Ok(found);
        }
        // A task of its own: one who does not wait for so long would have it begin anew with each question.
        let (store, sees, kept) = (Arc::clone(store), viewer.sees(), Arc::clone(&self.kept));
        let reading = self.reading.spawn(async move {
            let _turn = turn;
            let since = Instant::now();
            let namespaces = Arc::new(Namespaces::read(&*store, sees, MEMORY).await?);
            let found = Found { namespaces, since };
            keep(&mut kept.lock().unwrap_or_else(PoisonError::into_inner), rights, found.clone());
            Ok(found)
        });
        reading.await.map_err(|_| SearchError::Interrupted)?
    }

    fn kept_for(&self, rights: &Rights) -> Option<Found> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(Kept::is_good);
        kept.iter().find(|kept| kept.rights == *rights).map(|kept| kept.found.clone())
    }
}

impl Kept {
    fn is_good(&self) -> bool {
        self.found.since.elapsed() < KEPT
    }
}

/// Keeps what was found, if need be in the place of what is older.
fn keep(kept: &mut Vec<Kept>, rights: Rights, found: Found) {
    kept.retain(|other| other.is_good() && other.rights != rights);
    let memory = found.namespaces.memory();
    kept.push(Kept { rights, found, memory });
    let mut taken: usize = kept.iter().map(|kept| kept.memory).sum();
    while kept.len() > 1 && (kept.len() > MOST_RIGHTS || taken > MEMORY) {
        taken -= kept.remove(0).memory;
    }
}
