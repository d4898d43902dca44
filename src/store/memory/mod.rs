//! The store in memory, on maps: for tests. It decides by the same ledger as every backend. What it holds outlives it in a
//! [`MemoryMedium`], as a file does.
//!
//! It has no thread: what a write does is done at its first poll, whole. Others may come between that and its answer, and its
//! caller may leave. [`Steps`] follows it from one thing that it does to the next.

mod accounts;
mod auth_log;
mod clocks;
mod doors;
mod events;
mod health;
mod hints;
mod images;
mod ledger;
mod medium;
mod numbers;
mod pulls;
mod records;
mod state;
mod sweep_state;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

pub use self::medium::MemoryMedium;
pub(in crate::store) use self::state::State;
use super::ledger::{self as decisions, View as _};
use super::record::MAXIMUM_PAGE;
use super::{Epoch, Incarnation, Lease, Page, Sequence, Store, StoreError, StoreTrouble};

/// When a store without anything to write finds out what became of a write of which it has not heard.
const FOUND_OUT: Duration = Duration::from_millis(500);

/// Follows a store from one thing that it does to the next.
pub trait Steps: Send + Sync {
    /// The store is about to do something, once this is over.
    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// What becomes of the next write. Asked once before each.
    fn fate(&self) -> Fate {
        Fate::Done
    }

    /// The store has done something, and this is its last number. Its caller hears of it when this is over, if ever.
    fn step(&self, last: Sequence) -> BoxFuture<'_, ()>;
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Done,
    /// It is done, and its caller is told that it is not: the answer was lost.
    DoneUnheard,
    /// It is not done.
    Failed,
}

/// The answer to a write did not come.
#[derive(Debug, thiserror::Error)]
#[error("the answer to a commit was lost")]
struct AnswerLost;

/// Lets others come in between.
struct Yields;

impl Steps for Yields {
    fn step(&self, _: Sequence) -> BoxFuture<'_, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

/// See the module.
pub struct MemoryStore {
    medium: MemoryMedium,
    /// The epoch of what this store gives out.
    epoch: Epoch,
    /// Whether other doors may be over the same medium.
    is_shared: bool,
    incarnation: Mutex<Incarnation>,
    /// Intents that began although their callers were told otherwise, or nothing.
    unresolved: Arc<Mutex<Vec<Sequence>>>,
    steps: Arc<dyn Steps>,
    closed: AtomicBool,
    trouble: Mutex<Option<StoreTrouble>>,
}

/// An empty one.
impl Default for MemoryStore {
    fn default() -> Self {
        Self::open(&MemoryMedium::default())
    }
}

impl MemoryStore {
    /// Over what a medium holds, once no other store is over it any more: no task is carrying its intents.
    pub fn open(medium: &MemoryMedium) -> Self {
        Self::open_followed(medium, Arc::new(Yields))
    }

    /// The same, followed from step to step.
    pub fn open_followed(medium: &MemoryMedium, steps: Arc<dyn Steps>) -> Self {
        medium.state().open();
        Self::over(medium, Epoch::random().unwrap(), Incarnation::default(), steps)
    }

    fn over(medium: &MemoryMedium, epoch: Epoch, incarnation: Incarnation, steps: Arc<dyn Steps>) -> Self {
        Self {
            medium: medium.clone(),
            epoch,
            is_shared: false,
            incarnation: Mutex::new(incarnation),
            unresolved: Arc::default(),
            steps,
            closed: AtomicBool::new(false),
            trouble: Mutex::default(),
        }
    }

    /// Refuses writes for that reason, or for none any more.
    pub fn set_trouble(&self, trouble: Option<StoreTrouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.medium.state()
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Does something whole, or nothing.
    fn apply<T>(&self, attempted: &'static str, work: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        self.check_open()?;
        if let Some(trouble) = self.trouble() {
            return Err(StoreError::Unavailable { attempted, cause: Arc::new(trouble) });
        }
        let mut state = self.state();
        resolve(&mut state, &self.unresolved);
        let before = state.sequence;
        let answer = work(&mut state);
        if state.sequence > before {
            state.begin_epoch(before, self.epoch);
        }
        Ok(answer)
    }

    /// Does something, which stays done if the caller leaves before hearing of it.
    async fn write<T>(
        &self,
        attempted: &'static str,
        work: impl FnOnce(&mut State) -> T,
    ) -> Result<T, StoreError> {
        self.steps.ready().await;
        let fate = self.steps.fate();
        let lost = || StoreError::Unavailable { attempted, cause: Arc::new(AnswerLost) };
        if fate == Fate::Failed {
            self.step().await;
            return Err(lost());
        }
        let answer = self.apply(attempted, work)?;
        self.step().await;
        if fate == Fate::DoneUnheard { Err(lost()) } else { Ok(answer) }
    }

    /// The same, if the lease is still held.
    async fn write_under<T>(
        &self,
        lease: Lease,
        attempted: &'static str,
        work: impl FnOnce(&mut State) -> T,
    ) -> Result<T, StoreError> {
        let by = self.incarnation();
        let written = self.write(attempted, |state| {
            let Ok(is_held) = state.holds(by, lease);
            is_held.then(|| work(state))
        });
        written.await?.ok_or(StoreError::Fenced)
    }

    fn lock_incarnation(&self) -> MutexGuard<'_, Incarnation> {
        self.incarnation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An intent has begun of which its caller does not know. The store finds that out before its next write, or soon.
    fn leave_unresolved(&self, intent: Sequence) {
        self.unresolved.lock().unwrap_or_else(PoisonError::into_inner).push(intent);
        let (medium, unresolved) = (self.medium.clone(), Arc::clone(&self.unresolved));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(FOUND_OUT).await;
                resolve(&mut medium.state(), &unresolved);
            });
        }
    }

    /// Reads in place.
    fn point<T>(&self, read: impl FnOnce(&State) -> T) -> Result<T, StoreError> {
        self.check_open()?;
        Ok(read(&self.state()))
    }

    /// Reads a list, once others had their turn.
    async fn scan<T>(&self, read: impl FnOnce(&State) -> T) -> Result<T, StoreError> {
        self.steps.ready().await;
        self.step().await;
        self.point(read)
    }

    async fn step(&self) {
        let last = self.state().sequence;
        self.steps.step(last).await;
    }
}

/// Removes the intents that no task carries.
fn resolve(state: &mut State, unresolved: &Mutex<Vec<Sequence>>) {
    for intent in unresolved.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let Ok(()) = decisions::abandon(state, intent);
    }
}

/// A part of a list, whose items come in order behind the page's key.
fn page<T, K: Clone>(items: impl Iterator<Item = (K, T)>, limit: usize) -> Page<T, K> {
    let mut items = items.peekable();
    let (mut found, mut last) = (Vec::new(), None);
    while found.len() < limit.min(MAXIMUM_PAGE)
        && let Some((key, item)) = items.next()
    {
        last = Some(key);
        found.push(item);
    }
    let next = items.peek().and(last);
    Page { items: found, next }
}

impl Store for MemoryStore {
    fn is_writable(&self) -> bool {
        self.trouble().is_none() && self.check_open().is_ok()
    }

    fn trouble(&self) -> Option<StoreTrouble> {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.state().waiters.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Reference;
    use crate::store::contract::several_doors::TwoDoors;
    use crate::store::contract::{contract_tests, push, several_doors_tests};
    use crate::store::sample::{alice, at, image, repository, tag};
    use crate::store::{DoorId, Events as _, IntentState, Ledger as _, Records as _, Write};

    fn empty() -> (Arc<dyn Store>, ()) {
        (Arc::new(MemoryStore::default()), ())
    }

    fn shared() -> (TwoDoors, ()) {
        let medium = MemoryMedium::default();
        let join = |door| Arc::new(MemoryStore::join(&medium, DoorId(door), Arc::new(Yields))) as _;
        ([join(1), join(2)], ())
    }

    contract_tests!(empty);
    several_doors_tests!(shared);

    #[tokio::test]
    async fn what_was_answered_outlives_a_crash_in_a_new_epoch_and_its_intents_are_unknown() {
        let medium = MemoryMedium::default();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&medium));
        push(&store, "r", &image("one", &["base"]), &["t"], 1).await;
        let write = Write::Delete { reference: Reference::Tag(tag("t")) };
        let intent = store.begin(repository("r"), write, alice(), at(2)).await.unwrap();

        let left = medium.left_by_a_crash();
        // The first one goes on for a moment, as a process does that is about to be killed.
        push(&store, "r", &image("two", &[]), &["t"], 3).await;
        let again = MemoryStore::open(&left);

        let one = again.tag(&repository("r"), &tag("t")).await.unwrap().unwrap();
        assert_eq!(one.digest, image("one", &["base"]).digest);
        let open = again.open_intents().await.unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!(
            (open[0].sequence, open[0].state),
            (intent.sequence, IntentState::unknown_since(intent.sequence))
        );
        let last = again.sequence().await.unwrap();
        assert_eq!(last, intent.sequence);
        let before = again.history().await.unwrap();
        again.accept_removals().await.unwrap();
        let after = again.history().await.unwrap();
        assert_eq!(before.identity, after.identity);
        assert_ne!(before.epoch, after.epoch);
        assert!(again.continues(before.epoch, last).await.unwrap());
        assert!(!again.continues(before.epoch, last.next()).await.unwrap(), "that was in another life");
    }

    #[tokio::test]
    async fn a_store_in_trouble_refuses_writes_and_a_closed_one_everything() {
        let store = MemoryStore::default();
        store.set_trouble(Some(StoreTrouble::Medium));
        assert!(matches!(store.accept_removals().await, Err(StoreError::Unavailable { .. })));
        assert_eq!((store.sequence().await.unwrap(), store.is_writable()), (Sequence::ZERO, false));
        store.set_trouble(None);
        store.accept_removals().await.unwrap();
        store.close();
        assert!(matches!(store.sequence().await, Err(StoreError::Closed)));
    }
}
