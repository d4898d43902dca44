//! The one thread of a door that writes, group by group.
//!
//! When the database fails it answers `Unavailable`, and tries at a steady pace whether it can be written again, whether or not
//! anybody asks for it. Until then it refuses at once.
//!
//! A commit whose answer was lost is looked up: each transaction leaves its number in the row of its door, and whoever has the
//! ticket knows that the one before is over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::connection::{Link, NotCommitted};
use super::failure::{Failure, decode, number, stored};
use super::query::query;
use super::shared::Shared;
use super::ticket::Sums;
use super::transaction::{Finished, SINCE, TAIL, Transaction};
use crate::clock::Backoff;
use crate::store::group::{Group, Queue, Undone};
use crate::store::ledger;
use crate::store::recent_events::{Appended, RecentEvents};
use crate::store::{DoorId, Event, Sequence, metrics};

/// How often an idle writer looks what other doors have recorded.
const LOOKS: Duration = Duration::from_millis(400);

/// How long the writer waits after failures before it tries again. They count until something could be written.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// How often a group is done again that comes to nothing because of other transactions.
pub(super) const TRIES: usize = 20;

/// The writer's own state, on its thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: Queue<Shared>,
    link: Link,
    recent: RecentEvents,
    /// The number of its last transaction.
    batch: u64,
    /// Whether the database has this door's epoch.
    is_epoch_noted: bool,
    /// A transaction of which nobody knows whether it was committed.
    unresolved: Option<Unresolved>,
    /// What is wrong; absent while it works.
    trouble: Option<Trouble>,
    failures: u32,
}

/// Why the writer refuses.
struct Trouble {
    failure: Failure,
    /// When it tries again.
    retry: Instant,
}

/// See [`Writer::unresolved`].
struct Unresolved {
    door: DoorId,
    batch: u64,
    /// The intents that began with it.
    begun: Vec<Sequence>,
}

/// How an attempt ended that was not answered.
enum Attempted {
    Undone(Undone<Failure>),
    /// The answer to the commit was lost.
    Unheard(Box<Finished>, Failure),
}

impl Writer {
    /// Writes for a door that has joined.
    pub(super) fn new(shared: Arc<Shared>, queue: Queue<Shared>, link: Link, last: Sequence) -> Self {
        Self {
            shared,
            queue,
            link,
            recent: RecentEvents::behind(last),
            batch: 0,
            is_epoch_noted: false,
            unresolved: None,
            trouble: None,
            failures: 0,
        }
    }

    /// Writes until all senders are gone and nothing waits any more; then leaves the other doors.
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
            let (group, _) = self.queue.gather(first);
            if !group.is_empty() || !self.shared.abandoned().is_empty() {
                self.serve(group);
            }
        }
        self.leave();
        self.shared.writable.store(false, Ordering::Release);
    }

    /// Serves a group of requests by one transaction.
    fn serve(&mut self, group: Group<Shared>) {
        if let Some(trouble) = &self.trouble {
            return group.refuse(&trouble.failure);
        }
        let shared = Arc::clone(&self.shared);
        if let Err((group, failure)) = group.serve(&shared, |group| self.attempt(group)) {
            self.fail(failure.clone());
            group.refuse(&failure);
        }
    }

    /// Applies all requests and commits, again where another transaction was in the way.
    fn attempt(&mut self, group: &mut Group<Shared>) -> Result<(), Undone<Failure>> {
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            let undone = match self.attempt_once(group) {
                Ok(finished) => {
                    self.publish(finished);
                    self.failures = 0;
                    metrics::committed(begun.elapsed(), group.len());
                    return Ok(());
                }
                Err(Attempted::Unheard(finished, failure)) => match self.resolve() {
                    Ok(true) => {
                        self.publish(*finished);
                        return Ok(());
                    }
                    // Nothing of it was done, and the database is there again.
                    Ok(false) => Undone::All(failure.once_more()),
                    Err(_) => return Err(Undone::All(failure)),
                },
                Err(Attempted::Undone(undone)) => undone,
            };
            match undone {
                Undone::All(failure @ Failure::Again(_)) if tries < TRIES => {
                    tracing::debug!(?failure, "a transaction was undone because of another one");
                }
                undone => return Err(undone),
            }
        }
    }

    fn attempt_once(&mut self, group: &mut Group<Shared>) -> Result<Finished, Attempted> {
        let me = self.shared.incarnation();
        let (shared, abandoned) = (Arc::clone(&self.shared), self.shared.abandoned());
        let epoch = shared.epoch;
        let mut at = None;
        let mut transaction = Transaction::new(&mut self.link, &mut self.recent, me);
        group.prepare(&mut transaction);
        transaction.wanted().intents.extend(abandoned.iter().copied());
        let batch = self.batch + 1;
        let filled = transaction.begin().and_then(|is_older| {
            if is_older {
                tracing::error!(store = %shared.address, "the record is older than it was: was a backup restored?");
                self.is_epoch_noted = false;
            }
            shared.tell_events(&transaction.take_heard());
            transaction.abandon(abandoned)?;
            group.apply(&mut transaction, &mut at)?;
            transaction.finish(batch, (!self.is_epoch_noted).then_some(epoch))
        });
        let finished = match filled {
            Ok(finished) => finished,
            Err(failure) => {
                // A connection that was lost since it was used last says nothing of the database.
                let failure = if self.link.is_lost() { failure.once_more() } else { failure };
                self.link.roll_back();
                return Err(Attempted::Undone(match at {
                    Some(place) if failure.is_of_one_request() => Undone::Operation(place, failure),
                    _ => Undone::All(failure),
                }));
            }
        };
        if finished.queries.is_empty() {
            self.link.roll_back();
            return Ok(finished);
        }
        self.batch = batch;
        match self.link.commit(&finished.queries) {
            Ok(()) => Ok(finished),
            Err(NotCommitted::Undone(failure)) => {
                self.link.roll_back();
                Err(Attempted::Undone(Undone::All(failure)))
            }
            Err(NotCommitted::Unknown(failure)) => {
                self.unresolved = Some(Unresolved { door: me.door, batch, begun: finished.begun.clone() });
                Err(Attempted::Unheard(Box::new(finished), failure))
            }
            // It is there, but nothing says that it will be after a failover.
            Err(NotCommitted::NotReplicated(failure)) => {
                self.unresolved = Some(Unresolved { door: me.door, batch, begun: finished.begun });
                Err(Attempted::Undone(Undone::All(failure)))
            }
        }
    }

    /// Finds out what became of a transaction whose commit was not answered. Answers whether it was committed.
    fn resolve(&mut self) -> Result<bool, Failure> {
        let Some(unresolved) = &self.unresolved else { return Ok(true) };
        let queries = [
            query!("SELECT 1 FROM ledger FOR UPDATE"),
            query!("SELECT batch FROM doors WHERE door = $1", stored(unresolved.door.0)),
        ];
        let answers = self.link.begin(&queries)?;
        self.link.roll_back();
        let batch: Option<i64> =
            answers.get(1).and_then(|rows| rows.first()).map(|row| row.try_get(0)).transpose()?;
        let is_committed = batch.is_some_and(|batch| number(batch) >= unresolved.batch);
        self.unresolved = None;
        Ok(is_committed)
    }

    /// It cannot be written: refuse from now on, and try again later.
    fn fail(&mut self, failure: Failure) {
        metrics::failed();
        if self.trouble.is_none() {
            let cause = failure.clone().into_error("be written");
            tracing::error!(store = %self.shared.address, %cause, "the store keeps trying to write");
        }
        // Another host may be the one that takes writes by now.
        self.link.drop_connection();
        self.shared.set_refusal(Some(failure.clone()));
        self.failures = self.failures.saturating_add(1);
        self.trouble = Some(Trouble { failure, retry: Instant::now() + PAUSES.pause(self.failures) });
    }

    /// Tries whether the database takes writes again.
    fn recover(&mut self) {
        let begun = self.unresolved.as_ref().map(|unresolved| unresolved.begun.clone()).unwrap_or_default();
        let recovered = match self.unresolved {
            Some(_) => self.resolve(),
            None => self.link.begin(&[query!("SELECT 1 FROM ledger FOR UPDATE")]).map(|_| {
                self.link.roll_back();
                false
            }),
        };
        match recovered {
            Ok(is_committed) => {
                // Their callers were told that they had not begun.
                if is_committed {
                    self.shared.abandon(begun);
                }
                self.trouble = None;
                self.shared.set_refusal(None);
                tracing::info!(store = %self.shared.address, "the store can write again");
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// Looks what other doors have recorded.
    fn look(&mut self) {
        if let Err(failure) = self.try_look() {
            self.fail(failure);
        }
    }

    fn try_look(&mut self) -> Result<(), Failure> {
        let seen = self.recent.last();
        let queries =
            [query!("SELECT sequence, content FROM ledger"), query!(SINCE, stored(seen.get()), TAIL)];
        self.link.connect()?;
        let mut answers = self.link.send(&queries)?.into_iter();
        let (ticket, since) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());
        let Some(ticket) = ticket.first() else { return Ok(()) };
        let mut last = Sequence::new(number(ticket.try_get(0)?));
        let sums: Sums = decode(|| "ticket".into(), ticket.try_get(1)?)?;
        // What is older than it was is seen by the next transaction; and the events themselves may be newer than the ticket.
        if last >= seen && (since.len() as i64) < TAIL {
            let mut appended = Vec::with_capacity(since.len());
            for row in &since {
                let content: &[u8] = row.try_get(0)?;
                let event: Event = decode(|| "event".into(), content)?;
                last = last.max(event.sequence);
                appended.push(Appended { event, bytes: content.len() });
            }
            self.shared.tell_events(appended.iter().map(|appended| &appended.event));
            self.recent.take_over(seen, last, appended);
        } else if last >= seen {
            self.shared.last_event.send_replace(last);
            self.recent = RecentEvents::behind(last);
        }
        self.shared.set_missing(sums.missing);
        metrics::open_intents(usize::try_from(sums.open_intents).unwrap_or(usize::MAX));
        Ok(())
    }

    fn publish(&mut self, finished: Finished) {
        let Finished { before, sequence, appended, woken, abandoned, joined, .. } = finished;
        for Appended { event, .. } in &appended {
            metrics::recorded(event.kind, event.source);
        }
        self.shared.tell_events(appended.iter().map(|appended| &appended.event));
        self.recent.take_over(before, sequence, appended);
        // Whatever gives out a number notes it.
        self.is_epoch_noted |= sequence > before;
        if let Some(joined) = joined {
            self.shared.set_incarnation(joined);
        }
        self.shared.forget_abandoned(&abandoned);
        self.shared.set_missing(finished.missing);
        metrics::open_intents(usize::try_from(finished.open_intents).unwrap_or(usize::MAX));
        self.shared.waiters.wake(woken);
    }

    /// Ends this door's life, so that no other has to wait until it is taken for dead.
    fn leave(&mut self) {
        if self.trouble.is_some() {
            return;
        }
        let me = self.shared.incarnation();
        let mut transaction = Transaction::new(&mut self.link, &mut self.recent, me);
        let left = transaction.begin().and_then(|_| {
            if let Some(beat) = transaction.door_beat(me.door)
                && ledger::adopt(&mut transaction, beat)?
            {
                transaction.bury_door(me.door);
            }
            transaction.finish(self.batch + 1, None)
        });
        match left.map(|finished| self.link.commit(&finished.queries)) {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => {
                tracing::debug!(store = %self.shared.address, "the other doors were not told that this one leaves");
            }
        }
    }
}

/// A thread that ends for another reason than being told to, by a panic, leaves a store that cannot write.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.writable.store(false, Ordering::Release);
    }
}
