//! Intents whose outcome is not known: asked about again and again until it cannot change any more.
//!
//! The store is the queue, so nothing is lost at a restart. A registry that has taken a write may still be at it long
//! after the door gave up waiting; so an intent is not settled by the first answer, but once answers have been had over
//! a whole `registry.timeout`. Registries are done by then, but for a commit that takes minutes; so what was settled is
//! looked at now and then until `registry.commit_timeout` has passed, as long as the door itself would have waited. These
//! late looks are not durable: what a registry finishes even later, or while the door restarts, is found by hints and
//! sweeps.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::membership::{LEASE_INTERVAL, LeaseHolder, other_doors};
use super::verify::{Verifier, VerifyError};
use crate::clock::{Backoff, Timestamp};
use crate::oci::{Reference, RepositoryName};
use crate::store::{Intent, Ledger, Outcome, Records, Sequence, Source, Store, StoreError, Write};

/// How many questions are asked at once.
const CONCURRENCY: usize = 8;
/// How many settled intents are removed at once: one fsync serves all that wait.
const REMOVALS: usize = 256;
/// The pauses between questions about one intent: the record is at most that much behind a
/// registry that finishes late.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
/// The pauses between late looks at what was settled.
const LATE_PAUSES: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_hours(24));
/// How many references are looked at late, at most; the first ones to end make room.
const LATE_LOOKS: usize = 10_000;

/// Where the carrier leaves what it could not settle.
#[derive(Default)]
pub struct UnknownIntents {
    // Bounded: an intent gets here at most once, and none begins while the store cannot write.
    unmarked: Mutex<Vec<Intent>>,
    wake: Notify,
    pending: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
}

/// How far the asking is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Intents that are still asked about.
    pub pending: u64,
    /// Intents that were settled by asking since the start.
    pub completed: u64,
    /// Attempts since the start that came to no answer.
    pub failed: u64,
}

impl UnknownIntents {
    /// Takes over an intent whose outcome is not known. Where the store cannot mark it as such now, that is tried again.
    /// Answers whether it is asked about from now on: others may have given it up, and be done with it, before the registry
    /// heard of the write.
    pub async fn take_over(&self, ledger: &dyn Ledger, intent: &Intent) -> bool {
        let is_asked_about = match ledger.mark_unknown(intent).await {
            Ok(is_marked) => is_marked,
            Err(StoreError::Fenced) => false,
            Err(error) => {
                let number = intent.sequence.get();
                tracing::warn!(intent = number, %error, "a write without a known outcome cannot be marked; trying again");
                self.unmarked.lock().unwrap_or_else(PoisonError::into_inner).push(intent.clone());
                true
            }
        };
        self.wake.notify_one();
        is_asked_about
    }

    /// Has the open intents looked at now.
    pub fn look(&self) {
        self.wake.notify_one();
    }

    /// How far the asking is.
    pub fn counts(&self) -> Counts {
        Counts {
            pending: self.pending.load(Ordering::Relaxed),
            completed: self.completed.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Marks in the store what could not be marked before; what cannot be marked now is kept for the next time.
    async fn mark(&self, ledger: &dyn Ledger) -> Result<(), StoreError> {
        loop {
            let next = self.unmarked.lock().unwrap_or_else(PoisonError::into_inner).last().cloned();
            let Some(intent) = next else { return Ok(()) };
            match ledger.mark_unknown(&intent).await {
                Ok(_) | Err(StoreError::Fenced) => {}
                Err(error) => return Err(error),
            }
            self.unmarked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|other| other.sequence != intent.sequence);
        }
    }
}

/// Tells when every intent that was open at the start has been asked about once.
pub type FirstPass = watch::Receiver<bool>;

/// How long outcomes are asked for.
#[derive(Clone, Copy, Debug)]
pub struct SettleSettings {
    /// How long an outcome may still change: `registry.timeout`.
    pub settled_after: Duration,
    /// How long the last look may take, when told to stop.
    pub last_pass: Duration,
}

/// Asks about unknown intents until told to stop; then once more about those that are left.
///
/// `first_pass` becomes true once each intent that was open at the start was asked about, whether or not the registry
/// answered.
pub async fn settle_unknown(
    store: Arc<dyn Store>,
    verifier: Arc<Verifier>,
    unknown: Arc<UnknownIntents>,
    lease: LeaseHolder,
    SettleSettings { settled_after, last_pass }: SettleSettings,
    first_pass: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let ledger = Arc::clone(&store) as _;
    let mut watched = Watched {
        ledger,
        records: store,
        verifier,
        unknown,
        settled_after,
        schedule: HashMap::new(),
        late: HashMap::new(),
    };
    let running = async {
        loop {
            let is_held = matches!(lease.acquire().await, Ok(Some(_)));
            if !is_held {
                // Another door asks, about this one's writes as well, once they are marked.
                if let Err(error) = watched.unknown.mark(watched.ledger.as_ref()).await {
                    tracing::warn!(%error, "writes without a known outcome cannot be marked; trying again");
                }
                first_pass.send_replace(true);
                tokio::time::sleep(LEASE_INTERVAL).await;
                continue;
            }
            let next = watched.pass(false).await;
            let next = next.into_iter().chain(watched.look_late().await).min();
            first_pass.send_replace(true);
            tokio::select! {
                biased;
                () = watched.unknown.wake.notified() => {}
                () = sleep_until(next) => {}
                () = other_doors(&lease, Instant::now()) => {}
            }
        }
    };
    stop.run_until_cancelled(running).await;
    if lease.held().is_ok() && tokio::time::timeout(last_pass, watched.pass(true)).await.is_err() {
        tracing::warn!(
            "stopping before every write's outcome is known; they will be asked about at the next start"
        );
    }
    lease.release().await;
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

struct Watched {
    ledger: Arc<dyn Ledger>,
    records: Arc<dyn Records>,
    verifier: Arc<Verifier>,
    unknown: Arc<UnknownIntents>,
    settled_after: Duration,
    schedule: HashMap<Sequence, Schedule>,
    late: HashMap<Question, Late>,
}

/// When a reference whose write is settled is looked at next, and until when.
#[derive(Clone, Copy)]
struct Late {
    next: Instant,
    /// Late looks so far, the next one included.
    looks: u32,
    until: Instant,
}

#[derive(Clone, Copy)]
struct Schedule {
    first_seen: Instant,
    next: Instant,
    /// Times that it was asked about.
    questions: u32,
}

impl Watched {
    /// Asks about every intent that is due, or about all of them; says when the next one is due.
    async fn pass(&mut self, all: bool) -> Option<Instant> {
        let now = Instant::now();
        let intents = match self.due(now, all).await {
            Ok(intents) => intents,
            Err(error) => {
                tracing::warn!(%error, "open intents cannot be read or marked; trying again");
                return Some(now + PAUSES.max);
            }
        };
        let unanswered = self.ask(&intents).await;
        let asked: HashMap<Sequence, Vec<Question>> =
            intents.iter().map(|intent| (intent.sequence, questions(intent).collect())).collect();
        let (ledger, settled_after, schedule) = (&self.ledger, self.settled_after, &self.schedule);
        let unanswered = &unanswered;
        let answers: Vec<(Sequence, Progress)> = futures_util::stream::iter(intents)
            .map(|intent| async move {
                let seen = schedule.get(&intent.sequence).map_or(now, |schedule| schedule.first_seen);
                let progress = if questions(&intent).any(|question| unanswered.contains(&question)) {
                    Progress::Failed
                } else if now.duration_since(seen) < settled_after {
                    Progress::Watched
                } else {
                    close(ledger.as_ref(), &intent).await
                };
                (intent.sequence, progress)
            })
            .buffer_unordered(REMOVALS)
            .collect()
            .await;
        for (intent, progress) in answers {
            match progress {
                Progress::Settled => {
                    let first_seen =
                        self.schedule.remove(&intent).map_or(now, |schedule| schedule.first_seen);
                    self.watch_late(asked.get(&intent).into_iter().flatten(), now, first_seen);
                    self.unknown.completed.fetch_add(1, Ordering::Relaxed);
                }
                Progress::Watched => {}
                Progress::Failed => {
                    self.unknown.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        self.unknown.pending.store(self.schedule.len() as u64, Ordering::Relaxed);
        metrics::gauge!("portreeve_unknown_intents").set(self.schedule.len() as f64);
        self.schedule.values().map(|schedule| schedule.next).min()
    }

    /// Has these looked at for as long as the registry may still be at the write that was first seen then.
    fn watch_late<'a>(
        &mut self,
        questions: impl Iterator<Item = &'a Question>,
        now: Instant,
        first_seen: Instant,
    ) {
        let until = first_seen + self.verifier.commit_timeout();
        if until <= now {
            return;
        }
        for question in questions {
            if self.late.len() >= LATE_LOOKS && !self.late.contains_key(question) {
                let first =
                    self.late.iter().min_by_key(|(_, late)| late.until).map(|(first, _)| first.clone());
                first.map(|first| self.late.remove(&first));
            }
            self.late.insert(
                question.clone(),
                Late { next: until.min(now + LATE_PAUSES.pause(1)), looks: 1, until },
            );
        }
    }

    /// Looks at what was settled and may have changed since; says when the next one is due.
    async fn look_late(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut due = Vec::new();
        self.late.retain(|question, late| {
            if now < late.next {
                return true;
            }
            due.push(question.clone());
            late.looks = late.looks.saturating_add(1);
            late.next = late.until.min(now + LATE_PAUSES.pause(late.looks));
            now < late.until
        });
        let verifier = &self.verifier;
        futures_util::stream::iter(due)
            .for_each_concurrent(CONCURRENCY, |(repository, reference)| async move {
                if let Err(error) = verifier.verify(&repository, &reference, Source::Verified).await {
                    tracing::debug!(%repository, %reference, %error, "a late look came to nothing");
                }
            })
            .await;
        self.late.values().map(|late| late.next).min()
    }

    /// Asks about everything that these intents may have changed, once however many of them name it: a door that crashes
    /// again and again leaves many for the same tag. Answers what there was no answer to.
    async fn ask(&self, intents: &[Intent]) -> HashSet<Question> {
        let mut all: BTreeSet<Question> = intents.iter().flat_map(questions).collect();
        // The tags that a deletion by digest may have taken with it: the manifest alone does not tell, since somebody may
        // have pushed it again.
        let mut taken = Vec::new();
        let mut unanswered = HashSet::new();
        for Intent { repository, write, .. } in intents {
            let Write::Delete { reference: Reference::Digest(digest) } = write else { continue };
            let deletion = (repository.clone(), Reference::Digest(digest.clone()));
            match self.records.tags_of(repository, digest).await {
                Ok(tags) => {
                    let tags = tags.into_iter().map(|tag| (repository.clone(), Reference::Tag(tag)));
                    taken.extend(tags.map(|tag| (deletion.clone(), tag)));
                }
                Err(error) => {
                    tracing::warn!(%repository, %digest, %error, "the tags of a manifest cannot be read; trying again");
                    unanswered.insert(deletion);
                }
            }
        }
        all.extend(taken.iter().map(|(_, tag)| tag.clone()));
        let verifier = &self.verifier;
        let answers: Vec<Question> = futures_util::stream::iter(all)
            .map(|(repository, reference)| async move {
                let error = verifier.verify(&repository, &reference, Source::Verified).await.err()?;
                if matches!(error, VerifyError::Unsettled { .. }) {
                    tracing::debug!(%repository, %reference, %error, "a write's outcome is not certain yet; asking again");
                } else {
                    tracing::warn!(%repository, %reference, %error, "a write's outcome cannot be learnt yet; asking again");
                }
                Some((repository, reference))
            })
            .buffer_unordered(CONCURRENCY)
            .filter_map(std::future::ready)
            .collect()
            .await;
        unanswered.extend(answers);
        for (deletion, tag) in taken {
            if unanswered.contains(&tag) {
                unanswered.insert(deletion);
            }
        }
        unanswered
    }

    /// The unknown intents whose time has come; the schedule is brought in line with the store.
    async fn due(&mut self, now: Instant, all: bool) -> Result<Vec<Intent>, StoreError> {
        self.unknown.mark(self.ledger.as_ref()).await?;
        let mut open = self.ledger.open_intents().await?;
        open.retain(|intent| intent.state.is_unknown());
        let known: HashSet<Sequence> = open.iter().map(|intent| intent.sequence).collect();
        self.schedule.retain(|intent, _| known.contains(intent));
        open.retain(|intent| {
            let fresh = Schedule { first_seen: now, next: now, questions: 0 };
            let schedule = self.schedule.entry(intent.sequence).or_insert(fresh);
            let is_due = all || schedule.next <= now;
            if is_due {
                schedule.questions = schedule.questions.saturating_add(1);
                schedule.next = now + PAUSES.pause(schedule.questions);
            }
            is_due
        });
        Ok(open)
    }
}

/// What one attempt at an intent came to.
enum Progress {
    /// Its outcome is recorded and cannot change any more; it is closed.
    Settled,
    /// Its outcome is recorded, but the registry may still be at it.
    Watched,
    /// The registry or the store gave no answer.
    Failed,
}

/// What the registry is asked about.
type Question = (RepositoryName, Reference);

/// Everything that an intent may have changed.
fn questions(intent: &Intent) -> impl Iterator<Item = Question> {
    let references = intent.write.references().into_iter();
    references.map(|reference| (intent.repository.clone(), reference))
}

/// Removes an intent whose outcome is recorded and final.
async fn close(ledger: &dyn Ledger, intent: &Intent) -> Progress {
    match ledger.settle(intent, Outcome::Closed, Timestamp::now()).await {
        Ok(_) => Progress::Settled,
        Err(error) => {
            tracing::warn!(intent = intent.sequence.get(), %error, "a verified intent could not be removed; trying again");
            Progress::Failed
        }
    }
}
