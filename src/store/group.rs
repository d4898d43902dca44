//! Group commit: one transaction serves every operation that waits, so that one fsync serves them all. A backend brings the
//! transactions; this has the queue, and the callers who wait for an answer.
//!
//! [`queue`] makes both ends: callers come in by the [`Entrance`], and the backend's writer takes a [`Group`] after the other
//! from the [`Queue`]. A caller's future may be dropped at any time: what was asked is then done whole or not at all.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::StoreError;

/// How many operations may wait for the writer; further callers wait for a place.
const QUEUE: usize = 1_024;

/// While several write at once, the writer waits this long for more of them to share a transaction: a commit costs
/// more processor time than the rows in it. A single caller does not wait.
pub(super) const GATHERING: Duration = Duration::from_millis(5);

/// What no client waits for may be gathered for so long, as long as more keeps coming and it is not enough yet.
pub(super) const GATHERING_OF_SWEEPS: Duration = Duration::from_millis(50);

/// So many share a transaction that more would hardly make it cheaper.
const ENOUGH: usize = 64;

/// What a backend's transactions are made of.
pub(super) trait Backend: Send + Sync + 'static {
    /// A transaction that is being filled.
    type Transaction<'t>;
    /// Why an operation, or the medium, failed.
    type Failure: Clone;
    /// What the writer is told of besides operations.
    type Notice: Send;

    /// What the caller is told of a failure; `attempted` completes "the store cannot … now".
    fn error(failure: Self::Failure, attempted: &'static str) -> StoreError;
}

/// What a writing method does within a transaction.
pub(super) trait Work<B: Backend>: Send + 'static {
    /// What its caller gets once the transaction is durable.
    type Answer: Send + 'static;
    /// Completes "the store cannot … now".
    const ATTEMPTED: &'static str;

    /// How long it may wait for others to share a transaction.
    fn gathering(&self) -> Duration {
        GATHERING
    }

    /// Says what it will look at, before the transaction begins: for a backend that loads that at once.
    fn prepare(&self, _transaction: &mut B::Transaction<'_>) {}

    /// Reads and writes. May be called again in another transaction when this one came to nothing.
    fn apply(&self, transaction: &mut B::Transaction<'_>) -> Result<Self::Answer, B::Failure>;

    /// It is durable, but the caller left before hearing of it.
    fn on_caller_gone(_answer: &Self::Answer, _backend: &B) {}
}

/// A [`Work`] with the caller who waits for it.
trait Request<B: Backend>: Send {
    /// How long it may wait for others.
    fn gathering(&self) -> Duration;
    /// Says what the work will look at.
    fn prepare(&self, transaction: &mut B::Transaction<'_>);
    /// Does the work and keeps its answer.
    fn apply(&mut self, transaction: &mut B::Transaction<'_>) -> Result<(), B::Failure>;
    /// Gives the kept answer.
    fn answer(self: Box<Self>, backend: &B);
    /// Gives an error instead.
    fn refuse(self: Box<Self>, failure: B::Failure);
}

/// The one kind of request.
struct Call<B: Backend, W: Work<B>> {
    work: W,
    answer: Option<W::Answer>,
    reply: oneshot::Sender<Result<W::Answer, StoreError>>,
    _place: OwnedSemaphorePermit,
}

/// A caller who waits for an answer. When the caller's future is dropped, so is this.
struct Waiting<B: Backend, W: Work<B>> {
    answer: oneshot::Receiver<Result<W::Answer, StoreError>>,
    backend: Arc<B>,
}

/// What the writer is sent.
pub(super) struct Message<B: Backend>(Content<B>);

enum Content<B: Backend> {
    Request(Box<dyn Request<B>>),
    Notice(B::Notice),
}

/// The callers' end of a queue.
pub(super) struct Entrance<B: Backend> {
    /// A place for each operation that waits.
    places: Arc<Semaphore>,
    /// Absent once closed.
    messages: Mutex<Option<Sender<Message<B>>>>,
}

/// The writer's end of a queue.
pub(super) struct Queue<B: Backend> {
    messages: Receiver<Message<B>>,
    /// Whether the last group was of several.
    is_shared: bool,
}

/// Operations that share a transaction.
pub(super) struct Group<B: Backend>(Vec<Box<dyn Request<B>>>);

/// How a transaction ended that is not durable.
pub(super) enum Undone<F> {
    /// For want of this one operation, by its place in the group.
    Operation(usize, F),
    /// For want of the medium.
    All(F),
}

/// No caller can send any more, and nothing waits.
pub(super) struct Ended;

/// Makes both ends of a queue.
pub(super) fn queue<B: Backend>() -> (Entrance<B>, Queue<B>) {
    let (sender, messages) = channel();
    let entrance = Entrance { places: Arc::new(Semaphore::new(QUEUE)), messages: Mutex::new(Some(sender)) };
    (entrance, Queue { messages, is_shared: false })
}

impl<B: Backend> Entrance<B> {
    /// Has something written, and waits until it is durable.
    ///
    /// # Errors
    /// When it was not done, or the store is closed.
    pub(super) async fn write<W: Work<B>>(&self, work: W, backend: &Arc<B>) -> Result<W::Answer, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting::<B, W> { answer, backend: Arc::clone(backend) };
        self.send(Content::Request(Box::new(Call { work, answer: None, reply, _place: place })))?;
        waiting.answer().await
    }

    /// Tells the writer of something.
    ///
    /// # Errors
    /// When the store is closed.
    pub(super) fn notify(&self, notice: B::Notice) -> Result<(), StoreError> {
        self.send(Content::Notice(notice))
    }

    /// Lets nothing in any more. What waits is still served.
    pub(super) fn close(&self) {
        self.places.close();
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn send(&self, content: Content<B>) -> Result<(), StoreError> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.as_ref().and_then(|messages| messages.send(Message(content)).ok()).ok_or(StoreError::Closed)
    }
}

impl<B: Backend, W: Work<B>> Waiting<B, W> {
    async fn answer(mut self) -> Result<W::Answer, StoreError> {
        (&mut self.answer).await.unwrap_or(Err(StoreError::Closed))
    }
}

impl<B: Backend, W: Work<B>> Drop for Waiting<B, W> {
    fn drop(&mut self) {
        // The writer sees that a later answer finds no caller. An answer that the caller has had is not there any more.
        self.answer.close();
        if let Ok(Ok(answer)) = self.answer.try_recv() {
            W::on_caller_gone(&answer, &self.backend);
        }
    }
}

impl<B: Backend, W: Work<B>> Request<B> for Call<B, W> {
    fn gathering(&self) -> Duration {
        self.work.gathering()
    }

    fn prepare(&self, transaction: &mut B::Transaction<'_>) {
        self.work.prepare(transaction);
    }

    fn apply(&mut self, transaction: &mut B::Transaction<'_>) -> Result<(), B::Failure> {
        self.answer = Some(self.work.apply(transaction)?);
        Ok(())
    }

    fn answer(self: Box<Self>, backend: &B) {
        if let Err(Ok(answer)) = self.reply.send(self.answer.ok_or(StoreError::Closed)) {
            W::on_caller_gone(&answer, backend);
        }
    }

    fn refuse(self: Box<Self>, failure: B::Failure) {
        // Nothing was done, which a caller that has left need not hear.
        let _ = self.reply.send(Err(B::error(failure, W::ATTEMPTED)));
    }
}

impl<B: Backend> Message<B> {
    /// How long it may wait for others.
    fn gathering(&self) -> Duration {
        match &self.0 {
            Content::Request(request) => request.gathering(),
            Content::Notice(_) => Duration::ZERO,
        }
    }
}

impl<B: Backend> Queue<B> {
    /// Waits so long for something to come; nothing may.
    ///
    /// # Errors
    /// When nothing comes any more.
    pub(super) fn first(&self, wait: Duration) -> Result<Option<Message<B>>, Ended> {
        match self.messages.recv_timeout(wait) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Ended),
        }
    }

    /// What came first with what else waits by now; while several write at once, also what comes while all of them may wait.
    pub(super) fn gather(&mut self, first: Option<Message<B>>) -> (Group<B>, Vec<B::Notice>) {
        let (mut requests, mut notices) = (Vec::new(), Vec::new());
        let more = self.more(first.as_ref());
        for Message(content) in first.into_iter().chain(more) {
            match content {
                Content::Request(request) => requests.push(request),
                Content::Notice(notice) => notices.push(notice),
            }
        }
        self.is_shared = requests.len() > 1;
        (Group(requests), notices)
    }

    fn more(&self, first: Option<&Message<B>>) -> Vec<Message<B>> {
        let mut more: Vec<Message<B>> = self.messages.try_iter().take(QUEUE).collect();
        if !self.is_shared && more.is_empty() {
            return more;
        }
        let begun = Instant::now();
        while more.len() < QUEUE {
            let all = first.into_iter().chain(&more).map(Message::gathering);
            let longest = all.chain((more.len() >= ENOUGH).then_some(GATHERING)).min().unwrap_or_default();
            let left = longest.saturating_sub(begun.elapsed()).min(GATHERING);
            if left.is_zero() {
                break;
            }
            pause(left);
            let before = more.len();
            more.extend(self.messages.try_iter().take(QUEUE - before));
            if more.len() == before {
                break;
            }
        }
        more
    }
}

/// Lets the writer's thread sleep while operations come. To wait for them at their queue would be to wake up for each.
#[expect(clippy::disallowed_methods, reason = "a thread of the store's own")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

impl<B: Backend> Group<B> {
    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says what all of them will look at.
    pub(super) fn prepare(&self, transaction: &mut B::Transaction<'_>) {
        self.0.iter().for_each(|request| request.prepare(transaction));
    }

    /// Applies all in their order. `at` says which is under way.
    ///
    /// # Errors
    /// When one fails: then `at` names it.
    pub(super) fn apply(
        &mut self,
        transaction: &mut B::Transaction<'_>,
        at: &mut Option<usize>,
    ) -> Result<(), B::Failure> {
        for (place, request) in self.0.iter_mut().enumerate() {
            *at = Some(place);
            request.apply(transaction)?;
        }
        *at = None;
        Ok(())
    }

    /// Serves all by one transaction, which `attempt` makes: what it answers is durable, or undone. An operation that fails by
    /// itself is refused, and the others are done again without it.
    ///
    /// # Errors
    /// When the medium failed: the group is not answered yet.
    pub(super) fn serve(
        mut self,
        backend: &B,
        mut attempt: impl FnMut(&mut Self) -> Result<(), Undone<B::Failure>>,
    ) -> Result<(), (Self, B::Failure)> {
        loop {
            match attempt(&mut self) {
                Ok(()) => {
                    self.0.into_iter().for_each(|request| request.answer(backend));
                    return Ok(());
                }
                // A transaction cannot be undone in part.
                Err(Undone::Operation(place, failure)) => self.0.remove(place).refuse(failure),
                Err(Undone::All(failure)) => return Err((self, failure)),
            }
        }
    }

    /// Answers all that they failed.
    pub(super) fn refuse(self, failure: &B::Failure) {
        for request in self.0 {
            request.refuse(failure.clone());
        }
    }
}

#[cfg(test)]
mod tests;
