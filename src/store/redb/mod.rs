//! The store in one redb file: the default backend, for one door. Only the files of this folder name redb.
//!
//! [`RedbStore`] is the way in. `file` opens the file, after a look through an `overlay`; `tables` says what is in it,
//! `snapshot` reads it. `writer` is the one thread that writes, `work` what it is asked to do, within a `transaction`;
//! `intents` keeps the open ones in memory. `place` watches that the path still leads to the file, and `panics` makes errors
//! of redb's. For tests, `inline` is a store without threads.

mod failure;
mod file;
#[cfg(test)]
mod inline;
mod intents;
mod older_layouts;
mod overlay;
mod panics;
mod place;
mod recent;
mod snapshot;
mod tables;
mod transaction;
mod work;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};
use tokio::sync::{Semaphore, watch};

pub use file::OpenError;
#[cfg(test)]
pub use inline::{MemoryFile, Steps};

use self::failure::Failure;
use self::intents::OpenIntents;
use self::panics::{caught, dropped, is_panic};
use self::place::Place;
use self::recent::RecentlyObserved;
use self::snapshot::Snapshot;
use self::tables::{EVENTS, INTENTS, META, META_SEQUENCE, decode, number};
use self::work::{
    AcceptRemovals, AddAuthEvents, AddHints, Begin, ChangeAccounts, ForgetSweep, KeepClock, KeepSweep,
    Record, RecordPulls, RemoveHints, Settle,
};
use self::writer::{Call, Message, QUEUE, Work, Writer};
use super::{
    Account, AccountChange, AccountKind, Actor, AuthEvent, Change, Changed, Epoch, Event, Guard, Hint,
    HintedReference, History, Intent, KeptSweep, LastWrite, ManifestRecord, Missing, Outcome, Page,
    PageRequest, Pull, Queued, Recorded, RepositoryRecord, Retention, Sequence, Settled, Source, Statistics,
    Store, StoreError, StoreTrouble, TagRecord, Write, metrics,
};
use crate::clock::{Estimate, Timestamp};
use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};

/// What a failing read answers that it attempted.
const READ: &str = "be read";

/// How many rows without contents a read may touch in place.
const HANDFUL: usize = 100;

/// How many of the last events are looked at for what was observed of late.
const LOOKED_AT: usize = 65_536;

/// How long a read waits for the file to be opened again after an I/O error.
const PATIENCE: Duration = Duration::from_millis(500);

/// A store in one redb file, which belongs to this process as long as the store is open.
///
/// Its writer thread ends, and the file is closed, with [`RedbStore::close`] or when the store is dropped; either waits
/// for what was already asked.
pub struct RedbStore {
    shared: Arc<Shared>,
    /// A place for each request that waits for the writer.
    places: Arc<Semaphore>,
    /// The way to the writer; absent once closed.
    messages: Mutex<Option<Sender<Message>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Present where there is no writer thread, and callers do its work themselves.
    #[cfg(test)]
    inline: Option<inline::Inline>,
}

/// How the writer opens the file again after an I/O error: [`file::reopen`], but for tests of such errors.
type Reopen = dyn Fn() -> Result<Database, Failure> + Send + Sync;

/// What readers and the writer share.
struct Shared {
    path: PathBuf,
    reopen: Box<Reopen>,
    /// Absent while it is being opened anew, and once closed. Locked only for moments.
    database: RwLock<Option<Database>>,
    /// Counts how often the file was opened anew.
    opened: watch::Sender<u64>,
    closed: AtomicBool,
    writable: AtomicBool,
    /// What keeps it from writing.
    trouble: Mutex<Option<StoreTrouble>>,
    /// Where the file is; nowhere for one in memory.
    place: Option<Arc<Place>>,
    /// The last sequence number of a durable commit.
    sequence: AtomicU64,
    /// How many commits were durable since the store was opened.
    commits: AtomicU64,
    intents: OpenIntents,
    observed: RecentlyObserved,
    /// How much is missing, as last made durable.
    missing: RwLock<Missing>,
    /// The epoch of what this process gives out.
    epoch: Epoch,
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

    /// The same, with every page checked of a file of up to so many bytes.
    fn open_checked(path: &Path, bytes: u64) -> Result<Self, OpenError> {
        let (database, place) = file::open(path, bytes)?;
        let again = Arc::clone(&place);
        Self::with(path, database, Some(place), Box::new(move || file::reopen(&again)))
    }

    fn with(
        path: &Path,
        database: Database,
        place: Option<Arc<Place>>,
        reopen: Box<Reopen>,
    ) -> Result<Self, OpenError> {
        let shared = Shared::new(path, database, place, reopen)?;
        let shared = Arc::new(shared);
        let (messages, received) = channel();
        let writer = Writer::new(Arc::clone(&shared), received);
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(|cause| OpenError::Unusable {
                path: path.to_owned(),
                attempted: "start the writer of",
                cause: Box::new(cause),
            })?;
        Ok(Self {
            shared,
            places: Arc::new(Semaphore::new(QUEUE)),
            messages: Mutex::new(Some(messages)),
            writer: Mutex::new(Some(writer)),
            #[cfg(test)]
            inline: None,
        })
    }

    /// Stops taking requests, finishes those that wait, and closes the file. Blocks until that is done; a second call
    /// does nothing.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.places.close();
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).take();
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

    fn send(&self, message: Message) -> Result<(), StoreError> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.as_ref().and_then(|messages| messages.send(message).ok()).ok_or(StoreError::Closed)
    }

    async fn write<W: Work>(&self, work: W) -> Result<W::Answer, StoreError> {
        #[cfg(test)]
        if let Some(inline) = &self.inline {
            return self.write_inline(inline, work).await;
        }
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (call, waiting) = Call::new(work, place, Arc::clone(&self.shared));
        self.send(Message::Request(Box::new(call)))?;
        waiting.answer().await
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
            let _ = self.send(Message::Doubt);
        }
        failure.into_error(READ)
    }

    /// Reads on a thread that may block: for lists and scans.
    async fn scan<T: Send + 'static>(
        &self,
        read: impl Fn(&Snapshot) -> Result<T, Failure> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        #[cfg(test)]
        if let Some(inline) = &self.inline {
            self.step(inline).await;
            return self.point(read).await;
        }
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
        self.send(Message::Inspect)?;
        match tokio::time::timeout(PATIENCE, opened.changed()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Failure::Interrupted.into_error(READ)),
        }
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn new(
        path: &Path,
        database: Database,
        place: Option<Arc<Place>>,
        reopen: Box<Reopen>,
    ) -> Result<Self, OpenError> {
        let Found { intents, sequence, missing, observed } = match caught(|| found(&database)) {
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
            commits: AtomicU64::new(0),
            intents: OpenIntents::found(intents),
            observed,
            missing: RwLock::new(missing),
            epoch,
        })
    }

    fn snapshot(&self) -> Result<Snapshot, Failure> {
        // What somebody else has written over the file is none of the record.
        if self.trouble() == Some(StoreTrouble::Overwritten) {
            return Err(StoreTrouble::Overwritten.into());
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        Ok(Snapshot(database.as_ref().ok_or(Failure::Interrupted)?.begin_read()?))
    }

    fn read<T>(&self, read: impl FnOnce(&Snapshot) -> Result<T, Failure>) -> Result<T, Failure> {
        let snapshot = caught(|| self.snapshot())?;
        let result = caught(|| read(&snapshot));
        dropped(snapshot).and(result)
    }

    fn trouble(&self) -> Option<StoreTrouble> {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something keeps it from writing, or nothing does.
    fn set_trouble(&self, trouble: Option<StoreTrouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        self.writable.store(trouble.is_none(), Ordering::Release);
        metrics::trouble(trouble);
    }

    /// For what is answered from memory.
    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }
}

/// What a file is found with.
struct Found {
    /// The open intents.
    intents: Vec<Intent>,
    /// The last sequence number that was given out.
    sequence: u64,
    missing: Missing,
    observed: RecentlyObserved,
}

fn found(database: &Database) -> Result<Found, Failure> {
    let read = database.begin_read()?;
    let mut intents = Vec::new();
    for entry in read.open_table(INTENTS)?.iter()? {
        let (sequence, row) = entry?;
        intents.push(decode(|| format!("intent {}", sequence.value()), row.value())?);
    }
    let meta = read.open_table(META)?;
    let (sequence, missing) = (number(&meta, META_SEQUENCE)?, snapshot::missing(&meta)?);
    Ok(Found { intents, sequence, missing, observed: recently_observed(&read)? })
}

/// What the last events say was observed.
fn recently_observed(read: &ReadTransaction) -> Result<RecentlyObserved, Failure> {
    let observed = RecentlyObserved::default();
    let now = Timestamp::now();
    let mut last = Vec::new();
    for entry in read.open_table(EVENTS)?.iter()?.rev().take(LOOKED_AT) {
        let (sequence, row) = entry?;
        let event: Event = decode(|| format!("event {}", sequence.value()), row.value())?;
        if now.since(event.time) > recent::LONGEST {
            break;
        }
        last.push(event);
    }
    last.iter().rev().for_each(|event| observed.note(event, now.since(event.time)));
    Ok(observed)
}

#[async_trait]
impl Store for RedbStore {
    async fn begin(
        &self,
        repository: RepositoryName,
        write: Write,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Intent, StoreError> {
        self.write(Begin { repository, write, actor, now }).await
    }

    async fn settle(
        &self,
        intent: Sequence,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Settled, StoreError> {
        self.write(Settle { intent, outcome, now }).await
    }

    async fn doubt(&self, intent: Sequence) -> Result<(), StoreError> {
        // Nothing to write: after a restart every intent is in doubt anyway.
        self.shared.check_open()?;
        self.shared.intents.doubt(intent);
        Ok(())
    }

    async fn record(
        &self,
        changes: Vec<Change>,
        source: Source,
        guard: Guard,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        self.write(Record { changes, source, guard, now }).await
    }

    async fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        self.shared.check_open()?;
        Ok(self.shared.intents.all())
    }

    async fn sequence(&self) -> Result<Sequence, StoreError> {
        self.shared.check_open()?;
        Ok(Sequence::new(self.shared.sequence.load(Ordering::Acquire)))
    }

    fn last_write(&self, repository: &RepositoryName, reference: Option<&Reference>) -> Option<LastWrite> {
        self.shared.observed.last(repository, reference)
    }

    async fn found_removals(&self, since: Timestamp) -> Result<Missing, StoreError> {
        self.scan(move |snapshot| snapshot.found_removals(since)).await
    }

    fn missing(&self) -> Missing {
        *self.shared.missing.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn accept_removals(&self) -> Result<(), StoreError> {
        self.write(AcceptRemovals).await
    }

    async fn removals_accepted_until(&self) -> Result<Sequence, StoreError> {
        self.point(Snapshot::accepted).await
    }

    async fn repositories_with_missing(
        &self,
        page: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        if self.missing().is_none() {
            return Ok(Page { items: Vec::new(), next: None });
        }
        self.scan(move |snapshot| snapshot.repositories_with_missing(&page)).await
    }

    async fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRecord>, StoreError> {
        self.point(|snapshot| snapshot.repository(repository)).await
    }

    async fn repositories(
        &self,
        containing: Option<&str>,
        page: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        let containing = containing.map(str::to_owned);
        self.scan(move |snapshot| snapshot.repositories(containing.as_deref(), &page)).await
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRecord>, StoreError> {
        self.point(|snapshot| snapshot.tag(repository, tag)).await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Tag>,
    ) -> Result<Page<TagRecord, Tag>, StoreError> {
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.tags(&repository, &page)).await
    }

    async fn tag_names(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Tag>,
    ) -> Result<Page<Tag, Tag>, StoreError> {
        if page.limit <= HANDFUL {
            return self.point(|snapshot| snapshot.tag_names(repository, &page)).await;
        }
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.tag_names(&repository, &page)).await
    }

    async fn unsure_tags(&self, repository: &RepositoryName, tags: Vec<Tag>) -> Result<Vec<Tag>, StoreError> {
        if tags.len() <= HANDFUL {
            return self.point(|snapshot| snapshot.unsure_tags(repository, &tags)).await;
        }
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.unsure_tags(&repository, &tags)).await
    }

    async fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.scan(move |snapshot| snapshot.tags_of(&repository, &digest)).await
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.scan(move |snapshot| snapshot.manifest(&repository, &digest)).await
    }

    async fn manifests(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.manifests(&repository, &page)).await
    }

    async fn manifest_content(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.scan(move |snapshot| snapshot.manifest_content(&repository, &digest)).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<ManifestRecord>, StoreError> {
        let (repository, subject) = (repository.clone(), subject.clone());
        self.scan(move |snapshot| snapshot.referrers(&repository, &subject)).await
    }

    async fn events(
        &self,
        repository: Option<&RepositoryName>,
        page: PageRequest<Sequence>,
    ) -> Result<Page<Event, Sequence>, StoreError> {
        let repository = repository.cloned();
        self.scan(move |snapshot| snapshot.events(repository.as_ref(), &page)).await
    }

    async fn history(&self) -> Result<History, StoreError> {
        self.point(Snapshot::history).await
    }

    async fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, StoreError> {
        self.scan(move |snapshot| snapshot.continues(epoch, position)).await
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        let statistics = self.point(Snapshot::statistics).await?;
        Ok(Statistics { open_intents: self.shared.intents.len() as u64, ..statistics })
    }

    async fn record_pulls(&self, pulls: Vec<Pull>) -> Result<(), StoreError> {
        self.write(RecordPulls(pulls)).await
    }

    async fn add_hints(&self, hints: Vec<HintedReference>) -> Result<Queued, StoreError> {
        self.write(AddHints(hints)).await
    }

    async fn hints(
        &self,
        page: PageRequest<HintedReference>,
    ) -> Result<Page<Hint, HintedReference>, StoreError> {
        self.scan(move |snapshot| snapshot.hints(&page)).await
    }

    async fn remove_hints(&self, hints: Vec<Hint>) -> Result<(), StoreError> {
        self.write(RemoveHints(hints)).await
    }

    async fn keep_sweep(&self, checkpoint: Vec<u8>, marks: Vec<u64>) -> Result<(), StoreError> {
        self.write(KeepSweep { checkpoint, marks }).await
    }

    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError> {
        self.scan(Snapshot::kept_sweep).await
    }

    async fn forget_sweep(&self) -> Result<(), StoreError> {
        self.write(ForgetSweep).await
    }

    async fn change_accounts(&self, changes: Vec<AccountChange>) -> Result<Changed, StoreError> {
        self.write(ChangeAccounts(changes)).await
    }

    async fn add_auth_events(&self, events: Vec<AuthEvent>, keep: Retention) -> Result<(), StoreError> {
        self.write(AddAuthEvents { events, keep }).await
    }

    async fn auth_events(
        &self,
        page: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError> {
        self.scan(move |snapshot| snapshot.auth_events(&page)).await
    }

    async fn keep_clock(&self, estimate: Estimate) -> Result<(), StoreError> {
        self.write(KeepClock(estimate)).await
    }

    async fn kept_clock(&self) -> Result<Option<Estimate>, StoreError> {
        self.point(Snapshot::kept_clock).await
    }

    async fn account(&self, kind: AccountKind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.point(|snapshot| snapshot.account(kind, key)).await
    }

    async fn accounts(
        &self,
        kind: AccountKind,
        page: PageRequest<String>,
    ) -> Result<Page<Account, String>, StoreError> {
        self.scan(move |snapshot| snapshot.accounts(kind, &page)).await
    }

    fn is_writable(&self) -> bool {
        self.shared.writable.load(Ordering::Acquire)
    }

    fn trouble(&self) -> Option<StoreTrouble> {
        self.shared.trouble()
    }
}

#[cfg(test)]
mod tests;
