//! What readers and the writer have in common, and what is kept in memory beside the database.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use super::connection::PostgresAddress;
use super::failure::Failure;
use super::transaction::Transaction;
use crate::store::group::Backend;
use crate::store::recent::RecentlyObserved;
use crate::store::waiting::Waiters;
use crate::store::{Epoch, Event, Incarnation, Missing, Sequence, StoreError, StoreTrouble, metrics};

/// See the module.
pub(super) struct Shared {
    pub address: PostgresAddress,
    /// The epoch of what this door gives out.
    pub epoch: Epoch,
    /// The life that this door is in.
    incarnation: Mutex<Incarnation>,
    pub closed: AtomicBool,
    pub writable: AtomicBool,
    /// Why it refuses what is to be written; absent while it works.
    refusal: Mutex<Option<Failure>>,
    /// The number of the last event that can be read, or a later one.
    pub last_event: watch::Sender<Sequence>,
    pub observed: RecentlyObserved,
    /// Whether the tables were made when it was opened.
    pub is_new: bool,
    /// Whether no standby had what was committed when it was opened.
    pub is_alone: bool,
    pub missing: RwLock<Missing>,
    /// Callers whose intents wait for others.
    pub waiters: Waiters,
    /// Intents of which their callers never heard.
    abandoned: Mutex<Vec<Sequence>>,
}

impl Shared {
    pub(super) fn new(
        address: PostgresAddress,
        epoch: Epoch,
        incarnation: Incarnation,
        observed: RecentlyObserved,
    ) -> Self {
        Self {
            address,
            epoch,
            incarnation: Mutex::new(incarnation),
            closed: AtomicBool::new(false),
            writable: AtomicBool::new(true),
            refusal: Mutex::new(None),
            last_event: watch::Sender::new(Sequence::ZERO),
            observed,
            is_new: false,
            is_alone: false,
            missing: RwLock::default(),
            waiters: Waiters::default(),
            abandoned: Mutex::default(),
        }
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        *self.lock_incarnation()
    }

    pub(super) fn set_incarnation(&self, incarnation: Incarnation) {
        *self.lock_incarnation() = incarnation;
    }

    fn lock_incarnation(&self) -> MutexGuard<'_, Incarnation> {
        self.incarnation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn trouble(&self) -> Option<StoreTrouble> {
        self.refusal().map(|_| StoreTrouble::Database)
    }

    /// Why nothing can be written now, if so.
    pub(super) fn refusal(&self) -> Option<Failure> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// This keeps it from writing, or nothing does.
    pub(super) fn set_refusal(&self, refusal: Option<Failure>) {
        let trouble = refusal.as_ref().map(|_| StoreTrouble::Database);
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
        self.writable.store(trouble.is_none(), Ordering::Release);
        metrics::trouble(trouble);
    }

    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// The caller of this intent has left before it heard of it.
    pub(super) fn abandon(&self, intents: impl IntoIterator<Item = Sequence>) {
        self.lock_abandoned().extend(intents);
    }

    pub(super) fn abandoned(&self) -> Vec<Sequence> {
        self.lock_abandoned().clone()
    }

    /// These are removed.
    pub(super) fn forget_abandoned(&self, removed: &[Sequence]) {
        self.lock_abandoned().retain(|intent| !removed.contains(intent));
    }

    fn lock_abandoned(&self) -> MutexGuard<'_, Vec<Sequence>> {
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These events, of whichever door, can be read.
    pub(super) fn tell_events<'e>(&self, events: impl IntoIterator<Item = &'e Event>) {
        let mut last = None;
        for event in events {
            self.observed.note(event, Duration::ZERO);
            last = Some(event.sequence);
        }
        if let Some(last) = last {
            self.last_event.send_replace(last);
        }
    }

    pub(super) fn set_missing(&self, missing: Missing) {
        *self.missing.write().unwrap_or_else(PoisonError::into_inner) = missing;
        metrics::missing(missing);
    }
}

impl Backend for Shared {
    type Transaction<'t> = Transaction<'t>;
    type Failure = Failure;
    type Notice = ();

    fn error(failure: Failure, attempted: &'static str) -> StoreError {
        failure.into_error(attempted)
    }
}
