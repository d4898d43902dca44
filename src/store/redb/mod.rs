//! The store in one redb file: the default backend, for one door. Only the files of this folder name redb.
//!
//! [`RedbStore`] is the way in, `requests` what it is asked for. `file` opens the file, after a look through an `overlay`;
//! `found` says what it was found with, `tables` and `layout` what is in it, `snapshot` reads it. `writer` is the one thread
//! that writes, by group commit, `work` what it is asked to do, within a `transaction`, which has changes for memory `staged`;
//! `shared` is what readers and writer have in common, `intents` keeps the open ones in memory. `place` watches that the path still leads to the file, and `panics` makes errors
//! of redb's, `copy` has all of the file's rows.

mod copy;
mod failure;
mod file;
mod found;
mod held;
mod intents;
mod layout;
mod older_layouts;
mod overlay;
mod panics;
mod place;
mod requests;
mod shared;
mod snapshot;
mod staged;
mod tables;
mod transaction;
mod work;
mod writer;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use redb::Database;
use tokio::sync::watch;

pub use file::OpenError;

use self::failure::Failure;
use self::panics::is_panic;
use self::place::Place;
use self::shared::{Reopen, Shared};
use self::snapshot::Snapshot;
use self::writer::{Notice, Writer};
use super::group::{self, Entrance, Work};
use super::{StoreError, metrics};

/// What a failing read answers that it attempted.
const READ: &str = "be read";

/// How long a read waits for the file to be opened again after an I/O error.
const REOPENING_TIMEOUT: Duration = Duration::from_millis(500);

/// A store in one redb file, which belongs to this process as long as the store is open.
///
/// Its writer thread ends, and the file is closed, with [`Store::close`](crate::store::Store::close) or when the store is dropped; either waits
/// for what was already asked.
pub struct RedbStore {
    shared: Arc<Shared>,
    /// The way to the writer.
    entrance: Entrance<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl RedbStore {
    /// Opens the store at `path`, or creates one there, readable for its owner alone, if there is no file. Every intent
    /// found in it is [`Unknown`](super::IntentState::Unknown).
    ///
    /// Blocks for some tens of milliseconds; longer only if the file needs a repair, which a crash alone does not cause.
    ///
    /// # Errors
    /// When the file is in use, of another layout, no store at all, damaged, or when the system refuses. It is then
    /// left as it was.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_checked(path.as_ref(), file::CHECKED_BYTES)
    }

    /// The same where there is a file; one that is not there is not made.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`OpenError::Absent`].
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let (database, place) = file::open_existing(path, file::CHECKED_BYTES)?;
        let again = Arc::clone(&place);
        Self::with(path, database, place, Box::new(move || file::reopen(&again)))
    }

    /// Opens the store at `path` for reading: its file stays byte for byte as it is. What is written to this store all the same
    /// is lost with it.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`OpenError::Absent`].
    pub fn open_to_read(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let (database, place) = file::open_to_read(path, file::CHECKED_BYTES)?;
        let again = Arc::clone(&place);
        Self::with(path, database, place, Box::new(move || file::reopen_to_read(&again)))
    }

    /// The same as [`open`](Self::open), with every page checked of a file of up to so many bytes.
    fn open_checked(path: &Path, bytes: u64) -> Result<Self, OpenError> {
        let (database, place) = file::open(path, bytes)?;
        let again = Arc::clone(&place);
        Self::with(path, database, place, Box::new(move || file::reopen(&again)))
    }

    fn with(
        path: &Path,
        database: Database,
        place: Arc<Place>,
        reopen: Box<Reopen>,
    ) -> Result<Self, OpenError> {
        let shared = Shared::new(path, database, place, reopen)?;
        let shared = Arc::new(shared);
        let (entrance, queue) = group::queue();
        let writer = Writer::new(Arc::clone(&shared), queue);
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(|cause| OpenError::Unusable {
                path: path.to_owned(),
                attempted: "start the writer of",
                cause: Box::new(cause),
            })?;
        Ok(Self { shared, entrance, writer: Mutex::new(Some(writer)) })
    }

    /// [`Store::close`](crate::store::Store::close).
    fn shut(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.intents.waiters.wake_all();
        self.entrance.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!(store = %self.shared.path.display(), "the store's writer had panicked");
        }
    }

    /// How many groups of writes were made durable since the store was opened.
    #[cfg(test)]
    pub(super) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Acquire)
    }

    async fn write<W: Work<Shared>>(&self, work: W) -> Result<W::Answer, StoreError> {
        self.entrance.write(work, &self.shared).await
    }

    /// Reads in place: for what touches a handful of pages.
    async fn point<T>(
        &self,
        read: impl Fn(&Snapshot) -> Result<T, Failure> + Send + Sync,
    ) -> Result<T, StoreError> {
        let mut opened = self.shared.opened.subscribe();
        loop {
            match self.shared.read(&read) {
                Err(Failure::Interrupted) => self.interrupted(&mut opened).await?,
                result => return result.map_err(|failure| self.failed(failure)),
            }
        }
    }

    /// What the reader is told whose reading failed.
    fn failed(&self, failure: Failure) -> StoreError {
        if is_panic(&failure) {
            metrics::failed();
            tracing::error!(store = %self.shared.path.display(), ?failure, "a page of the store is damaged");
            // If the store is closed meanwhile, there is nothing to look after.
            let _ = self.entrance.notify(Notice::Panicked);
        }
        failure.into_error(READ)
    }

    /// Reads on a thread that may block: for lists and scans.
    async fn scan<T: Send + 'static>(
        &self,
        read: impl Fn(&Snapshot) -> Result<T, Failure> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let mut opened = self.shared.opened.subscribe();
        let read = Arc::new(read);
        loop {
            let (shared, read) = (Arc::clone(&self.shared), Arc::clone(&read));
            let task = tokio::task::spawn_blocking(move || shared.read(&*read));
            match task.await.unwrap_or_else(|error| Err(Failure::Medium(Arc::new(error)))) {
                Err(Failure::Interrupted) => self.interrupted(&mut opened).await?,
                result => return result.map_err(|failure| self.failed(failure)),
            }
        }
    }

    /// Waits until the file has been opened again.
    async fn interrupted(&self, opened: &mut watch::Receiver<u64>) -> Result<(), StoreError> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        self.entrance.notify(Notice::Inspect)?;
        match tokio::time::timeout(REOPENING_TIMEOUT, opened.changed()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Failure::Interrupted.into_error(READ)),
        }
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.shut();
    }
}

#[cfg(test)]
mod tests;
