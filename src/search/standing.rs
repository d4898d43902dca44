//! The arena as it stands: filled when first asked for, brought up to date with each question, dropped when nobody asks.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::arena::Arena;
use super::error::SearchError;
use super::upkeep::{self, Followed, Position, PulledTags};
use crate::store::{Sequence, Store};

/// How long it is kept after the last question.
const IDLE: Duration = Duration::from_secs(600);
/// How long a record that was too large is not read again.
const TOO_LARGE_FOR: Duration = Duration::from_secs(60);
/// From how many numbers of the history on it is quicker to build all anew.
const MOST_TO_FOLLOW: u64 = 50_000;

/// What an answer needs, beside all that was recorded before the question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// What was read of images by now.
    pub images: bool,
    /// What manifests say of themselves.
    pub annotations: bool,
}

/// See the module.
pub(super) struct Standing {
    store: Arc<dyn Store>,
    /// The most bytes that it may take.
    memory: usize,
    /// Held while it is filled or brought up to date: others wait for that, and find little left to do.
    kept: Arc<Mutex<Kept>>,
    /// What fills it, also when the asker has left.
    filling: TaskTracker,
}

enum Kept {
    Nothing,
    Filled(Filled),
    /// It does not fit, as was found out then.
    TooLarge(Instant),
}

struct Filled {
    arena: Arc<RwLock<Arena>>,
    position: Position,
    /// Up to which event images were read when their tags were taken up.
    images: Sequence,
    /// When it was asked last.
    asked: Instant,
}

impl Standing {
    pub(super) fn new(store: Arc<dyn Store>, memory: usize) -> Self {
        let kept = Arc::new(Mutex::new(Kept::Nothing));
        Self { store, memory, kept, filling: TaskTracker::new() }
    }

    /// The arena with everything that was recorded before this was asked.
    pub(super) async fn current(&self, needs: Needs) -> Result<Arc<RwLock<Arena>>, SearchError> {
        let mut kept = Arc::clone(&self.kept).lock_owned().await;
        match &*kept {
            Kept::TooLarge(since) if since.elapsed() < TOO_LARGE_FOR => {
                return Err(SearchError::TooLarge { memory: self.memory });
            }
            Kept::TooLarge(_) => *kept = Kept::Nothing,
            Kept::Nothing | Kept::Filled(_) => {}
        }
        if let Kept::Filled(filled) = &mut *kept {
            match self.follow(filled, needs).await {
                Ok(Followed::UpToDate) if !needs.annotations || filled.has_annotations() => {
                    return Ok(Arc::clone(&filled.arena));
                }
                Ok(Followed::UpToDate) => {}
                Ok(Followed::Outdated) => *kept = Kept::Nothing,
                Err(error) => return Err(noted(&mut kept, error)),
            }
        }
        // A task of its own: one who does not wait for so long would have it begin anew with each question.
        let (store, memory) = (Arc::clone(&self.store), self.memory);
        let filling = self.filling.spawn(async move {
            let filled = fill(&*store, memory, &mut kept, needs).await;
            filled.map_err(|error| noted(&mut kept, error))
        });
        filling.await.map_err(|_| SearchError::Interrupted)?
    }

    async fn follow(&self, filled: &mut Filled, needs: Needs) -> Result<Followed, SearchError> {
        let store = &*self.store;
        filled.asked = Instant::now();
        let Filled { arena, position, .. } = filled;
        let followed = upkeep::follow(store, arena, position, self.memory, MOST_TO_FOLLOW).await?;
        if followed == Followed::UpToDate && needs.images {
            let Filled { arena, images, .. } = filled;
            return upkeep::follow_images(store, arena, images, self.memory, MOST_TO_FOLLOW).await;
        }
        Ok(followed)
    }

    /// Takes up pulls, of all repositories, beside the questions that are asked meanwhile: each waits for a part at most.
    pub(super) async fn follow_pulls(&self) -> Result<(), SearchError> {
        let arena = match &*self.kept.lock().await {
            Kept::Filled(filled) => Arc::clone(&filled.arena),
            Kept::Nothing | Kept::TooLarge(_) => return Ok(()),
        };
        let mut after = None;
        loop {
            let pulled = upkeep::pulled(&*self.store, &arena, after).await?;
            for record in pulled.items {
                let mut part = PulledTags::of(record);
                // What changes meanwhile is taken up by those who ask: neither takes up a row that is older than the other's.
                while part.has_more() {
                    let kept = self.kept.lock().await;
                    match &*kept {
                        Kept::Filled(filled) if Arc::ptr_eq(&filled.arena, &arena) => {}
                        // One that is filled meanwhile has them.
                        Kept::Filled(_) | Kept::Nothing | Kept::TooLarge(_) => return Ok(()),
                    }
                    part.take_up(&*self.store, &arena).await?;
                    drop(kept);
                    tokio::task::yield_now().await;
                }
            }
            let Some(next) = pulled.next else { return Ok(()) };
            after = Some(next);
            tokio::task::yield_now().await;
        }
    }

    /// Drops it if nobody has asked for long.
    pub(super) async fn drop_if_idle(&self) {
        let mut kept = self.kept.lock().await;
        if let Kept::Filled(Filled { asked, .. }) | Kept::TooLarge(asked) = &*kept
            && asked.elapsed() >= IDLE
        {
            *kept = Kept::Nothing;
        }
    }

    /// The bytes of memory that it takes now.
    #[cfg(test)]
    pub(super) async fn memory(&self) -> usize {
        match &*self.kept.lock().await {
            Kept::Filled(filled) => filled.arena.read().unwrap().memory(),
            Kept::Nothing | Kept::TooLarge(_) => 0,
        }
    }

    /// Whether a question would be answered at once.
    #[cfg(test)]
    pub(super) fn is_free(&self) -> bool {
        self.kept.try_lock().is_ok()
    }

    /// Whether anything is kept.
    #[cfg(test)]
    pub(super) async fn is_filled(&self) -> bool {
        matches!(*self.kept.lock().await, Kept::Filled(_))
    }
}

impl Filled {
    fn has_annotations(&self) -> bool {
        self.arena.read().unwrap_or_else(PoisonError::into_inner).annotations().is_some()
    }
}

/// Fills what is not there yet.
async fn fill(
    store: &dyn Store,
    memory: usize,
    kept: &mut Kept,
    needs: Needs,
) -> Result<Arc<RwLock<Arena>>, SearchError> {
    let arena = if let Kept::Filled(filled) = kept {
        Arc::clone(&filled.arena)
    } else {
        let images = store.images_read_until().await?;
        let (arena, position) = upkeep::build(store, memory).await?;
        let arena = Arc::new(RwLock::new(arena));
        *kept = Kept::Filled(Filled { arena: Arc::clone(&arena), position, images, asked: Instant::now() });
        arena
    };
    if needs.annotations {
        upkeep::read_annotations(store, &arena, memory).await?;
    }
    Ok(arena)
}

/// Drops what is too large.
fn noted(kept: &mut OwnedMutexGuard<Kept>, error: SearchError) -> SearchError {
    if matches!(error, SearchError::TooLarge { .. }) {
        **kept = Kept::TooLarge(Instant::now());
    }
    error
}
