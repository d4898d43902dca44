//! The one thread that writes, group by group.
//!
//! When the medium fails (no room, an I/O error) it answers `Unavailable`, opens the file again for the readers, and
//! tries at a steady pace whether a write succeeds again, whether or not anybody asks for one. Until then it refuses
//! at once.
//!
//! Before each transaction, before anybody is told that one is durable, and at a steady pace besides, it looks whether the
//! file is still at its place and as it was left. If not, it refuses as well, but keeps the file open: it may not be found
//! again otherwise. When the same file is back, it goes on.

mod recovery;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use redb::WriteTransaction;

use super::failure::Failure;
use super::panics::caught;
use super::shared::Shared;
use super::staged::Staged;
use super::transaction::Transaction;
use crate::store::group::{Backend, Group, Queue, Undone};
use crate::store::recent_events::{Appended, RecentEvents};
use crate::store::{Sequence, StoreError, StoreTrouble, metrics};

/// How often an idle writer looks whether the file is at its place.
const LOOKS: Duration = Duration::from_millis(500);

/// What a reader tells the writer.
pub(super) enum Notice {
    /// It met an I/O error: find out whether the file has to be opened anew.
    Inspect,
    /// The database panicked: find out whether it is of any use still.
    Panicked,
}

/// The writer's own state, on its thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: Queue<Shared>,
    recent: RecentEvents,
    /// Whether the file has this process's epoch.
    is_epoch_noted: bool,
    /// What is wrong with the medium; absent while it works.
    trouble: Option<Trouble>,
    /// Failures since the last request that could be written.
    failures: u32,
}

/// The medium does not take writes.
struct Trouble {
    failure: Failure,
    /// When to try again.
    retry: Instant,
}

impl Backend for Shared {
    type Transaction<'t> = Transaction<'t>;
    type Failure = Failure;
    type Notice = Notice;

    fn error(failure: Failure, attempted: &'static str) -> StoreError {
        failure.into_error(attempted)
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, queue: Queue<Shared>) -> Self {
        let recent = RecentEvents::behind(Sequence::new(shared.sequence.load(Ordering::Acquire)));
        Self { shared, queue, recent, is_epoch_noted: false, trouble: None, failures: 0 }
    }

    /// Writes until all senders are gone and nothing waits any more; then closes the file.
    pub(super) fn run(mut self) {
        loop {
            let retry = self.trouble.as_ref().map(|trouble| trouble.retry);
            let wait = retry.map_or(LOOKS, |when| when.saturating_duration_since(Instant::now()));
            let Ok(first) = self.queue.first(wait) else { break };
            match retry {
                Some(when) if when <= Instant::now() => self.recover(),
                None if first.is_none() => self.look(),
                _ => {}
            }
            let (group, notices) = self.queue.gather(first);
            if notices.iter().any(|notice| matches!(notice, Notice::Inspect)) && self.trouble.is_none() {
                self.inspect();
            }
            if notices.iter().any(|notice| matches!(notice, Notice::Panicked)) && self.trouble.is_none() {
                self.use_again();
            }
            if !group.is_empty() || !self.shared.intents.abandoned().is_empty() {
                self.serve(group);
            }
        }
        self.shared.writable.store(false, Ordering::Release);
        let closed = self.take_database().map(|database| caught(|| Ok(database.close()?)));
        if let Some(Err(failure)) = closed {
            tracing::error!(store = %self.shared.path.display(), ?failure, "the store could not be closed cleanly");
        }
    }

    /// Serves a group of requests by one transaction.
    fn serve(&mut self, group: Group<Shared>) {
        if let Some(trouble) = &self.trouble {
            return group.refuse(&trouble.failure);
        }
        let shared = Arc::clone(&self.shared);
        let served = group.serve(&shared, |group| {
            if self.attempt(group)? {
                self.failures = 0;
            }
            Ok(())
        });
        if let Err((group, failure)) = served {
            self.fail(failure.clone());
            if !failure.is_displaced() {
                self.reopen();
            }
            group.refuse(&failure);
        }
    }

    /// Applies all requests and commits. Answers whether there was anything to commit.
    ///
    /// # Errors
    /// When it is not durable. If the very last fsync failed, or the file was found not to be at its place after the commit, it
    /// may have taken effect all the same; but no later fsync can prove that it is durable, so no caller is told that it is.
    fn attempt(&mut self, group: &mut Group<Shared>) -> Result<bool, Undone<Failure>> {
        let begun = Instant::now();
        self.check_place().map_err(displaced)?;
        let write = caught(|| self.begin_write()).map_err(Undone::All)?;
        let staged = match self.apply(&write, group) {
            Ok(staged) if staged.dirty => staged,
            Ok(mut staged) if !staged.intents.is_empty() || !staged.abandoned.is_empty() => {
                // What is known in memory alone.
                caught(|| Ok(write.abort()?)).map_err(Undone::All)?;
                self.shared.intents.publish(&mut staged);
                return Ok(false);
            }
            undone => {
                // Not undone by a panic: what it does with the file is undone as well.
                caught(|| Ok(write.abort()?)).map_err(Undone::All)?;
                return undone.map(|_| false);
            }
        };
        let committed = caught(|| Ok(write.commit()?));
        // Even where it is said to have failed, readers may see it; and before anybody is told.
        self.shared.held.forget();
        committed.map_err(Undone::All)?;
        metrics::committed(begun.elapsed(), group.len());
        self.check_place().map_err(displaced)?;
        self.publish(staged);
        Ok(true)
    }

    /// Applies all requests, and says what changes beside the file.
    fn apply(&self, write: &WriteTransaction, group: &mut Group<Shared>) -> Result<Staged, Undone<Failure>> {
        // Which request is under way. The transaction ends here even by a panic, so that the tables are closed.
        let mut at = None;
        let applied = caught(|| {
            let epoch = (!self.is_epoch_noted).then_some(self.shared.epoch);
            let mut transaction = Transaction::new(write, &self.shared.intents, &self.recent, epoch)?;
            transaction.abandon(self.shared.intents.abandoned())?;
            group.apply(&mut transaction, &mut at)?;
            transaction.finish()
        });
        applied.map_err(|failure| match at {
            Some(place) if failure.is_of_one_request() => Undone::Operation(place, failure),
            _ => Undone::All(failure),
        })
    }

    fn check_place(&self) -> Result<(), StoreTrouble> {
        self.shared.place.check()
    }

    fn begin_write(&self) -> Result<WriteTransaction, Failure> {
        let database = self.shared.database.read().unwrap_or_else(PoisonError::into_inner);
        let mut write = database.as_ref().ok_or(Failure::Interrupted)?.begin_write()?;
        // Without this, opening after a crash would walk the whole file.
        write.set_quick_repair(true);
        Ok(write)
    }

    fn publish(&mut self, mut staged: Staged) {
        self.shared.intents.publish(&mut staged);
        self.shared.sequence.store(staged.sequence.get(), Ordering::Release);
        self.shared.commits.fetch_add(1, Ordering::AcqRel);
        if let Some(last) = staged.events.last() {
            self.shared.last_event.send_replace(last.event.sequence);
        }
        for Appended { event, .. } in &staged.events {
            self.shared.observed.note(event, Duration::ZERO);
            metrics::recorded(event.kind, event.source);
        }
        // Whatever gives out a number notes it.
        self.is_epoch_noted |= staged.sequence > staged.before;
        self.recent.take_over(staged.before, staged.sequence, staged.events);
        if let Some(missing) = staged.missing {
            *self.shared.missing.write().unwrap_or_else(PoisonError::into_inner) = missing;
            metrics::missing(missing);
        }
    }
}

/// A thread that ends for another reason than being told to, by a panic, leaves a store that cannot write.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.writable.store(false, Ordering::Release);
    }
}

/// The file is not at its place, or not as it was left.
fn displaced(trouble: StoreTrouble) -> Undone<Failure> {
    Undone::All(trouble.into())
}
