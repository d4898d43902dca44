//! What readers and the writer share: the open database, and what is kept in memory beside it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redb::{Database, ReadableDatabase};
use tokio::sync::watch;

use super::failure::Failure;
use super::file::{self, OpenError};
use super::found::{Found, found};
use super::held::HeldManifests;
use super::intents::OpenIntents;
use super::panics::{caught, dropped};
use super::place::Place;
use super::snapshot::Snapshot;
use crate::store::recent::RecentlyObserved;
use crate::store::{Epoch, Missing, Sequence, StoreError, StoreTrouble, metrics};

/// How the writer opens the file again after an I/O error: [`super::file::reopen`], but for tests of such errors.
pub(super) type Reopen = dyn Fn() -> Result<Database, Failure> + Send + Sync;

/// What readers and the writer share.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) reopen: Box<Reopen>,
    /// Absent while it is being opened anew, and once closed. Locked only for moments.
    pub(super) database: RwLock<Option<Database>>,
    /// Counts how often the file was opened anew.
    pub(super) opened: watch::Sender<u64>,
    pub(super) closed: AtomicBool,
    pub(super) writable: AtomicBool,
    /// What keeps it from writing.
    pub(super) trouble: Mutex<Option<StoreTrouble>>,
    /// Where the file is.
    pub(super) place: Arc<Place>,
    /// The last sequence number of a durable commit.
    pub(super) sequence: AtomicU64,
    /// The number of the last durable event, or a later one.
    pub(super) last_event: watch::Sender<Sequence>,
    /// How many commits were durable since the store was opened.
    pub(super) commits: AtomicU64,
    pub(super) intents: OpenIntents,
    pub(super) observed: RecentlyObserved,
    /// Manifests that were found in the present state of the record.
    pub(super) held: HeldManifests,
    /// How much is missing, as last made durable.
    pub(super) missing: RwLock<Missing>,
    /// The epoch of what this process gives out.
    pub(super) epoch: Epoch,
}

impl Shared {
    pub(super) fn new(
        path: &Path,
        database: Database,
        place: Arc<Place>,
        reopen: Box<Reopen>,
    ) -> Result<Self, OpenError> {
        let Found { intents, sequence, last_event, missing, observed } = match caught(|| found(&database)) {
            Ok(found) => found,
            Err(failure) => {
                let failure = dropped(database).err().unwrap_or(failure);
                return Err(file::damaged(path, failure));
            }
        };
        let epoch = Epoch::random().map_err(|cause| OpenError::Unusable {
            path: path.to_owned(),
            attempted: "begin an epoch of",
            cause: Box::new(cause),
        })?;
        metrics::trouble(None);
        metrics::missing(missing);
        Ok(Self {
            path: path.to_owned(),
            reopen,
            database: RwLock::new(Some(database)),
            opened: watch::Sender::new(0),
            closed: AtomicBool::new(false),
            writable: AtomicBool::new(true),
            trouble: Mutex::new(None),
            place,
            sequence: AtomicU64::new(sequence),
            last_event: watch::Sender::new(last_event),
            commits: AtomicU64::new(0),
            intents: OpenIntents::found(intents),
            observed,
            held: HeldManifests::default(),
            missing: RwLock::new(missing),
            epoch,
        })
    }

    /// Whether there is a file to read, and it is still the record's.
    pub(super) fn is_readable(&self) -> bool {
        !self.closed.load(Ordering::Acquire) && self.trouble() != Some(StoreTrouble::Overwritten)
    }

    pub(super) fn snapshot(&self) -> Result<Snapshot, Failure> {
        // What another program has written over the file is none of the record.
        if self.trouble() == Some(StoreTrouble::Overwritten) {
            return Err(StoreTrouble::Overwritten.into());
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        Ok(Snapshot(database.as_ref().ok_or(Failure::Interrupted)?.begin_read()?))
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Snapshot) -> Result<T, Failure>) -> Result<T, Failure> {
        let snapshot = caught(|| self.snapshot())?;
        let result = caught(|| read(&snapshot));
        dropped(snapshot).and(result)
    }

    /// The file was found with this as its last sequence number: that of an event of which nobody was told, perhaps.
    pub(super) fn found_sequence(&self, sequence: u64) {
        self.held.forget();
        self.sequence.store(sequence, Ordering::Release);
        self.last_event.send_if_modified(|last| {
            let is_news = last.get() < sequence;
            *last = Sequence::new(sequence).max(*last);
            is_news
        });
    }

    pub(super) fn trouble(&self) -> Option<StoreTrouble> {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something keeps it from writing, or nothing does.
    pub(super) fn set_trouble(&self, trouble: Option<StoreTrouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        self.writable.store(trouble.is_none(), Ordering::Release);
        metrics::trouble(trouble);
    }

    /// For what is answered from memory.
    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }
}
