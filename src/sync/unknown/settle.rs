//! The task that asks about unknown intents.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handover::UnknownIntents;
use super::late::LateLooks;
use super::questions::{ask, look_late, questions};
use super::schedule::{QUESTION_PAUSES, Schedule};
use crate::clock::Timestamp;
use crate::store::{Intent, Lease, Ledger, Outcome, Records, Sequence, Store, StoreError};
use crate::sync::membership::{LEASE_INTERVAL, LeaseHolder, other_doors};
use crate::sync::moment::Moment;
use crate::sync::verify::Verifier;
use crate::telemetry::FailureLog;

/// How many settled intents are closed at once: one fsync serves all that wait.
const CLOSED_AT_ONCE: usize = 256;

/// Tells when every intent that was open at the start has been asked about once, by this door or another one.
pub type FirstPass = watch::Receiver<bool>;

/// How long outcomes are asked for.
#[derive(Clone, Copy, Debug)]
pub struct SettleSettings {
    /// How long an outcome may still change: `registry.timeout`. Counted on this door's monotonic clock from when it first
    /// saw the intent, whatever other doors have asked before.
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
    let mut settling = Settling {
        ledger: Arc::clone(&store) as _,
        records: store,
        verifier,
        unknown,
        settled_after,
        schedule: Schedule::default(),
        late: LateLooks::default(),
        store_failures: FailureLog::new(),
        registry_failures: FailureLog::new(),
    };
    let running = async {
        loop {
            let Ok(Some(held)) = lease.acquire().await else {
                // Another door asks, about this one's writes as well, once they are marked.
                if let Err(error) = settling.unknown.mark(settling.ledger.as_ref()).await {
                    tracing::warn!(%error, "writes without a known outcome cannot be marked; trying again");
                }
                first_pass.send_replace(true);
                tokio::time::sleep(LEASE_INTERVAL).await;
                continue;
            };
            let next = settling.pass(held, false).await;
            let next = next.into_iter().chain(settling.look_late().await).min();
            first_pass.send_replace(true);
            tokio::select! {
                biased;
                () = settling.unknown.wake.notified() => {}
                () = sleep_until(next) => {}
                () = other_doors(&lease, Instant::now()) => {}
            }
        }
    };
    stop.run_until_cancelled(running).await;
    if let Ok(held) = lease.held()
        && tokio::time::timeout(last_pass, settling.pass(held, true)).await.is_err()
    {
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

struct Settling {
    ledger: Arc<dyn Ledger>,
    records: Arc<dyn Records>,
    verifier: Arc<Verifier>,
    unknown: Arc<UnknownIntents>,
    settled_after: Duration,
    schedule: Schedule,
    late: LateLooks,
    /// Why the store cannot be asked for open intents, while that is so.
    store_failures: FailureLog,
    /// Why the registry cannot be asked about them, while that is so.
    registry_failures: FailureLog,
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

impl Settling {
    /// Asks about every intent that is due, or about all of them; says when the next one is due.
    async fn pass(&mut self, lease: Lease, all: bool) -> Option<Instant> {
        let at = Moment::at(self.verifier.now());
        let intents = match self.open().await {
            Ok(open) => {
                self.store_failures.worked();
                self.schedule.take_due(open, lease, at, all)
            }
            Err(error) => {
                if self.store_failures.failed(&error) {
                    tracing::warn!(%error, "open intents cannot be read or marked; trying again");
                }
                return Some(at.now + QUESTION_PAUSES.max);
            }
        };
        let asked: Vec<Sequence> = intents.iter().map(|intent| intent.sequence).collect();
        for (intent, progress) in self.ask(intents, at.now).await {
            match progress {
                Progress::Settled => {
                    let first_seen = self.schedule.first_seen(intent.sequence).unwrap_or(at.now);
                    self.schedule.remove(intent.sequence);
                    let until = first_seen + self.verifier.commit_timeout();
                    self.late.add(questions(&intent), at.now, until);
                    self.unknown.completed.fetch_add(1, Ordering::Relaxed);
                }
                Progress::Watched => {}
                Progress::Failed => {
                    self.unknown.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        self.put_down(lease, asked).await;
        self.unknown.pending.store(self.schedule.len() as u64, Ordering::Relaxed);
        metrics::gauge!("portreeve_unknown_intents").set(self.schedule.len() as f64);
        self.schedule.next()
    }

    /// The open intents, once all that this door could not settle are marked.
    async fn open(&self) -> Result<Vec<Intent>, StoreError> {
        self.unknown.mark(self.ledger.as_ref()).await?;
        self.ledger.open_intents().await
    }

    /// Asks about these intents, and closes those whose outcome is known for good.
    async fn ask(&self, intents: Vec<Intent>, now: Instant) -> Vec<(Intent, Progress)> {
        let unanswered = &ask(&self.verifier, self.records.as_ref(), &intents, &self.registry_failures).await;
        futures_util::stream::iter(intents)
            .map(|intent| async move {
                let first_seen = self.schedule.first_seen(intent.sequence).unwrap_or(now);
                let progress = if questions(&intent).any(|question| unanswered.contains(&question)) {
                    Progress::Failed
                } else if now.duration_since(first_seen) < self.settled_after {
                    Progress::Watched
                } else {
                    close(self.ledger.as_ref(), &intent).await
                };
                (intent, progress)
            })
            .buffer_unordered(CLOSED_AT_ONCE)
            .collect()
            .await
    }

    /// Puts down when those of these intents are due that are still asked about, for a door that takes over. One that finds
    /// it not put down asks at once.
    async fn put_down(&self, lease: Lease, asked: Vec<Sequence>) {
        let retries = self.schedule.retries(asked);
        if retries.is_empty() {
            return;
        }
        match self.ledger.postpone_intents(lease, retries).await {
            Ok(()) => {}
            Err(error @ StoreError::Fenced) => {
                tracing::debug!(%error, "another door asks about writes without a known outcome now");
            }
            Err(error) => {
                tracing::warn!(%error, "when writes without a known outcome are asked about next cannot be put down");
            }
        }
    }

    /// Looks at what was settled and may have changed since; says when the next one is due.
    async fn look_late(&mut self) -> Option<Instant> {
        let due = self.late.take_due(Instant::now());
        look_late(&self.verifier, due).await;
        self.late.next()
    }
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
