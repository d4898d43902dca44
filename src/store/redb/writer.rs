//! The one thread that writes. It takes every request that waits into one transaction, so that one fsync serves them
//! all, and answers each when that is durable.
//!
//! When the medium fails (no room, an I/O error) it answers `Unavailable`, opens the file again for the readers, and
//! tries at a steady pace whether a write succeeds again, whether or not anybody asks for one. Until then it refuses
//! at once.
//!
//! Before each transaction, before anybody is told that one is durable, and at a steady pace besides, it looks whether the
//! file is still at its place and as it was left. If not, it refuses as well, but keeps the file open: nobody may find it
//! again otherwise. When the same file is back, it goes on.

mod recovery;

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use redb::WriteTransaction;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Shared;
use super::failure::Failure;
use super::intents::OpenIntents;
use super::panics::caught;
use super::transaction::{Staged, Transaction};
use crate::store::{StoreError, StoreTrouble, metrics};

/// How many requests may wait for the writer; further callers wait for a place.
pub(super) const QUEUE: usize = 1_024;

/// While several write at once, the writer waits this long for more of them to share a transaction: a commit costs
/// more processor time than the rows in it. Whoever writes alone does not wait.
pub(super) const GATHERING: Duration = Duration::from_millis(5);

/// What no client waits for may wait this long for company, as long as more keeps coming and it is not enough yet.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);

/// So many share a transaction that more would hardly make it cheaper.
const ENOUGH: usize = 64;

/// How often an idle writer looks whether the file is at its place.
const LOOKS: Duration = Duration::from_millis(500);

/// What a writing method does within a transaction.
pub(super) trait Work: Send + 'static {
    /// What its caller gets once the transaction is durable.
    type Answer: Send + 'static;
    /// Completes "the store cannot … now".
    const ATTEMPTED: &'static str;

    /// How long it may wait for others to share a transaction.
    fn patience(&self) -> Duration {
        GATHERING
    }

    /// Reads and writes. May be called again in another transaction when this one came to nothing.
    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<Self::Answer, Failure>;

    /// It is durable, but the caller left before hearing of it.
    fn unheard(_answer: &Self::Answer, _intents: &OpenIntents) {}
}

/// A [`Work`] with the caller who waits for it.
pub(super) trait Request: Send {
    /// How long it may wait for others.
    fn patience(&self) -> Duration;
    /// Does the work and keeps its answer.
    fn apply(&mut self, transaction: &mut Transaction<'_, '_>) -> Result<(), Failure>;
    /// Gives the kept answer.
    fn answer(self: Box<Self>, intents: &OpenIntents);
    /// Gives an error instead.
    fn refuse(self: Box<Self>, failure: Failure);
}

/// The one kind of request.
pub(super) struct Call<W: Work> {
    work: W,
    answer: Option<W::Answer>,
    reply: oneshot::Sender<Result<W::Answer, StoreError>>,
    _place: OwnedSemaphorePermit,
}

/// What the writer is sent.
pub(super) enum Message {
    /// Something to write.
    Request(Box<dyn Request>),
    /// A reader met an I/O error: find out whether the file has to be opened anew.
    Inspect,
    /// The database panicked under a reader: find out whether it is of any use still.
    Doubt,
}

/// The writer's own state, on its thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    messages: Receiver<Message>,
    /// What is wrong with the medium; absent while it works.
    trouble: Option<Trouble>,
    /// Failures since the last request that could be written.
    failures: u32,
    /// Whether the last transaction served several.
    is_shared: bool,
}

/// The medium does not take writes.
struct Trouble {
    failure: Failure,
    /// When to try again.
    retry: Instant,
}

/// How a transaction ended that is not durable.
enum Undone {
    /// For want of this one request, by its place in the group.
    Request(usize, Failure),
    /// For want of the medium. If the very last fsync failed, it may have taken effect all the same; but no later fsync
    /// can prove that it is durable, so nobody is told that it is.
    Medium(Failure),
    /// The file is not at its place, or not as it was left. If that was found after the commit, it has taken effect in a
    /// file that may be lost: nobody is told that it is durable.
    Displaced(StoreTrouble),
}

/// A caller who waits for an answer. When the caller's future is dropped, so is this.
pub(super) struct Waiting<W: Work> {
    answer: oneshot::Receiver<Result<W::Answer, StoreError>>,
    shared: Arc<Shared>,
}

impl<W: Work> Call<W> {
    /// A call, and the caller's end of it.
    pub fn new(work: W, place: OwnedSemaphorePermit, shared: Arc<Shared>) -> (Self, Waiting<W>) {
        let (reply, answer) = oneshot::channel();
        (Self { work, answer: None, reply, _place: place }, Waiting { answer, shared })
    }
}

impl<W: Work> Waiting<W> {
    /// Waits for the answer.
    pub async fn answer(mut self) -> Result<W::Answer, StoreError> {
        (&mut self.answer).await.unwrap_or(Err(StoreError::Closed))
    }
}

impl<W: Work> Drop for Waiting<W> {
    fn drop(&mut self) {
        // An answer that comes later finds nobody, and the writer sees that. One that was heard is not there any more.
        self.answer.close();
        if let Ok(Ok(answer)) = self.answer.try_recv() {
            W::unheard(&answer, &self.shared.intents);
        }
    }
}

impl Message {
    /// How long it may wait for others.
    fn patience(&self) -> Duration {
        match self {
            Self::Request(request) => request.patience(),
            Self::Inspect | Self::Doubt => Duration::ZERO,
        }
    }
}

impl<W: Work> Request for Call<W> {
    fn patience(&self) -> Duration {
        self.work.patience()
    }

    fn apply(&mut self, transaction: &mut Transaction<'_, '_>) -> Result<(), Failure> {
        self.answer = Some(self.work.apply(transaction)?);
        Ok(())
    }

    fn answer(self: Box<Self>, intents: &OpenIntents) {
        if let Err(Ok(answer)) = self.reply.send(self.answer.ok_or(StoreError::Closed)) {
            W::unheard(&answer, intents);
        }
    }

    fn refuse(self: Box<Self>, failure: Failure) {
        // Whoever left does not mind that nothing was done.
        let _ = self.reply.send(Err(failure.into_error(W::ATTEMPTED)));
    }
}

impl Writer {
    pub fn new(shared: Arc<Shared>, messages: Receiver<Message>) -> Self {
        Self { shared, messages, trouble: None, failures: 0, is_shared: false }
    }

    /// Writes until all senders are gone and nothing waits any more; then closes the file.
    pub fn run(mut self) {
        loop {
            let retry = self.trouble.as_ref().map(|trouble| trouble.retry);
            let wait = retry.map_or(LOOKS, |when| when.saturating_duration_since(Instant::now()));
            let first = match self.messages.recv_timeout(wait) {
                Err(RecvTimeoutError::Disconnected) => break,
                first => first.ok(),
            };
            match retry {
                Some(when) if when <= Instant::now() => self.recover(),
                None if first.is_none() => self.look(),
                _ => {}
            }
            let (mut inspect, mut doubt) = (false, false);
            let mut group: Vec<Box<dyn Request>> = Vec::new();
            let more = self.more(first.as_ref());
            for message in first.into_iter().chain(more) {
                match message {
                    Message::Request(request) => group.push(request),
                    Message::Inspect => inspect = true,
                    Message::Doubt => doubt = true,
                }
            }
            self.is_shared = group.len() > 1;
            if inspect && self.trouble.is_none() {
                self.inspect();
            }
            if doubt && self.trouble.is_none() {
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

    /// What else waits by now; while several write at once, also what comes while all of them have patience.
    fn more(&self, first: Option<&Message>) -> Vec<Message> {
        let mut more: Vec<Message> = self.messages.try_iter().take(QUEUE).collect();
        if !self.is_shared && more.is_empty() {
            return more;
        }
        let begun = Instant::now();
        let mut patience = first.into_iter().chain(&more).map(Message::patience).min().unwrap_or_default();
        while more.len() < QUEUE {
            let left = patience.saturating_sub(begun.elapsed()).min(GATHERING);
            let Ok(message) = self.messages.recv_timeout(left) else { break };
            patience = patience.min(message.patience());
            more.push(message);
            if more.len() >= ENOUGH {
                patience = patience.min(GATHERING);
            }
        }
        more
    }

    /// Serves a group of requests by one transaction.
    fn serve(&mut self, mut group: Vec<Box<dyn Request>>) {
        if let Some(trouble) = &self.trouble {
            return refuse(group, &trouble.failure);
        }
        loop {
            match self.attempt(&mut group) {
                Ok(committed) => {
                    if committed {
                        self.failures = 0;
                    }
                    return group.into_iter().for_each(|request| request.answer(&self.shared.intents));
                }
                // The others have to be done again without it, since a transaction cannot be undone in part.
                Err(Undone::Request(place, failure)) => group.remove(place).refuse(failure),
                Err(Undone::Medium(failure)) => {
                    self.fail(failure.clone());
                    self.reopen();
                    return refuse(group, &failure);
                }
                Err(Undone::Displaced(trouble)) => {
                    self.fail(trouble.into());
                    return refuse(group, &trouble.into());
                }
            }
        }
    }

    /// Applies all requests and commits. Answers whether there was anything to commit.
    fn attempt(&self, group: &mut [Box<dyn Request>]) -> Result<bool, Undone> {
        let begun = Instant::now();
        self.check_place().map_err(Undone::Displaced)?;
        let write = caught(|| self.begin_write()).map_err(Undone::Medium)?;
        let staged = match self.apply(&write, group) {
            Ok(staged) if staged.dirty => staged,
            Ok(mut staged) if !staged.intents.is_empty() || !staged.abandoned.is_empty() => {
                // What is known in memory alone.
                caught(|| Ok(write.abort()?)).map_err(Undone::Medium)?;
                self.shared.intents.publish(&mut staged);
                return Ok(false);
            }
            undone => {
                // Not undone by a panic: what it does with the file is undone as well.
                caught(|| Ok(write.abort()?)).map_err(Undone::Medium)?;
                return undone.map(|_| false);
            }
        };
        caught(|| Ok(write.commit()?)).map_err(Undone::Medium)?;
        metrics::committed(begun.elapsed(), group.len());
        self.check_place().map_err(Undone::Displaced)?;
        self.publish(staged);
        Ok(true)
    }

    /// Applies all requests, and says what changes beside the file.
    fn apply(&self, write: &WriteTransaction, group: &mut [Box<dyn Request>]) -> Result<Staged, Undone> {
        // Which request is under way. The transaction ends here even by a panic, so that the tables are closed.
        let mut at = None;
        let applied = caught(|| {
            let mut transaction = Transaction::new(write, &self.shared.intents, self.shared.epoch)?;
            transaction.abandon(self.shared.intents.abandoned())?;
            for (place, request) in group.iter_mut().enumerate() {
                at = Some(place);
                request.apply(&mut transaction)?;
            }
            at = None;
            transaction.finish()
        });
        applied.map_err(|failure| match at {
            Some(place) if failure.is_of_one_request() => Undone::Request(place, failure),
            _ => Undone::Medium(failure),
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

    fn publish(&self, mut staged: Staged) {
        self.shared.intents.publish(&mut staged);
        self.shared.sequence.store(staged.sequence.get(), Ordering::Release);
        self.shared.commits.fetch_add(1, Ordering::AcqRel);
        for event in staged.events {
            self.shared.observed.note(&event, Duration::ZERO);
            metrics::recorded(event.kind, event.source);
        }
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

fn refuse(group: Vec<Box<dyn Request>>, failure: &Failure) {
    for request in group {
        request.refuse(failure.clone());
    }
}
