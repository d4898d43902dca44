//! Hints: what somebody suggests to look at, such as the registry by its notifications. Nothing of a hint is believed but
//! that a look may be worth it; the registry is asked, as for everything else.
//!
//! The store is the queue, so that nothing is lost at a restart. `web/` adds to it; `server.rs` runs [`follow_hints`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::verify::{Verified, Verifier, VerifyError};
use crate::oci::{Reference, RepositoryName};
use crate::store::{Hint, HintedReference, PageRequest, Queued, Source, Store, StoreError};

/// How many hints are followed at once.
const CONCURRENCY: usize = 4;
/// How many hints are read at once.
const ROWS: usize = 500;
/// A registry tells of a push before it has written the tag: it is asked once more after this.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// The first pause after a question without an answer, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5 * 60));

/// The hints that wait to be followed.
pub struct HintQueue {
    store: Arc<dyn Store>,
    wake: Notify,
    waiting: AtomicU64,
}

/// When a hint is looked at next.
#[derive(Clone, Copy)]
struct Plan {
    /// Of which hint: another number is a new hint about the same.
    number: u64,
    next: Instant,
    pause: Duration,
    /// Whether the registry has answered once.
    looked: bool,
}

/// What following a hint came to.
enum Followed {
    /// The registry answered, and the record says the same now.
    Answered,
    /// There was no answer.
    Unanswered,
}

impl HintQueue {
    /// The queue that this store keeps.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, wake: Notify::new(), waiting: AtomicU64::new(0) }
    }

    /// Adds hints, durably, unless there are too many.
    ///
    /// # Errors
    /// When the store cannot keep them.
    pub async fn add(&self, hints: Vec<HintedReference>) -> Result<Queued, StoreError> {
        let count = hints.len() as u64;
        let queued = self.store.add_hints(hints).await?;
        if queued == Queued::Kept {
            self.waiting.fetch_add(count, Ordering::Relaxed);
        }
        self.wake.notify_one();
        Ok(queued)
    }

    /// How many hints wait: those that were left when they were last looked through, and those that came since.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Follows hints until told to stop. Those that are left are followed at the next start.
pub async fn follow_hints(queue: Arc<HintQueue>, verifier: Arc<Verifier>, stop: CancellationToken) {
    let mut plans = HashMap::new();
    let following = async {
        loop {
            let next = pass(&queue, &verifier, &mut plans).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "hints cannot be read or removed; trying again");
                Some(Instant::now() + PAUSES.0)
            });
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = queue.wake.notified() => {}
                () = due => {}
            }
        }
    };
    stop.run_until_cancelled(following).await;
}

/// Looks through all hints once, and follows those that are due. Answers when the next one is.
async fn pass(
    queue: &HintQueue,
    verifier: &Verifier,
    plans: &mut HashMap<HintedReference, Plan>,
) -> Result<Option<Instant>, StoreError> {
    let mut after = None;
    let mut kept = HashMap::new();
    loop {
        let page = queue.store.hints(PageRequest { after, limit: ROWS }).await?;
        let now = Instant::now();
        let mut due = Vec::new();
        for hint in page.items {
            let fresh = Plan { number: hint.number, next: now, pause: PAUSES.0, looked: false };
            let plan =
                plans.get(&hint.about).filter(|plan| plan.number == hint.number).copied().unwrap_or(fresh);
            if plan.next <= now {
                due.push((hint, plan));
            } else {
                kept.insert(hint.about, plan);
            }
        }
        let mut done = Vec::new();
        let mut followed = std::pin::pin!(
            futures_util::stream::iter(due)
                .map(|(hint, plan)| async move { (follow(verifier, &hint.about).await, hint, plan) })
                .buffer_unordered(CONCURRENCY)
        );
        while let Some((followed, hint, mut plan)) = followed.next().await {
            let now = Instant::now();
            match followed {
                Followed::Answered if plan.looked => {
                    done.push(hint);
                    continue;
                }
                Followed::Answered => {
                    plan.looked = true;
                    plan.next = now + SECOND_LOOK;
                }
                Followed::Unanswered => {
                    plan.next = now + plan.pause;
                    plan.pause = (plan.pause * 2).min(PAUSES.1);
                }
            }
            kept.insert(hint.about, plan);
        }
        remove(queue, done).await?;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let waiting = kept.len() as u64;
    queue.waiting.store(waiting, Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "for a graph")]
    metrics::gauge!("portreeve_hints_waiting").set(waiting as f64);
    *plans = kept;
    Ok(plans.values().map(|plan| plan.next).min())
}

async fn remove(queue: &HintQueue, hints: Vec<Hint>) -> Result<(), StoreError> {
    if hints.is_empty() {
        return Ok(());
    }
    queue.store.remove_hints(hints).await
}

/// Asks the registry about what a hint names, and about what that leads to.
async fn follow(verifier: &Verifier, about: &HintedReference) -> Followed {
    let HintedReference { repository, reference } = about;
    let mut events = 0;
    let mut references = vec![reference.clone()];
    while let Some(reference) = references.pop() {
        match verifier.verify(repository, &reference, Source::Hinted).await {
            Ok(Verified { events: more, children, .. }) => {
                events += more;
                references.extend(children.into_iter().map(Reference::Digest));
            }
            Err(error) => return unanswered(repository, &reference, &error),
        }
    }
    let result = if events > 0 { "different" } else { "same" };
    metrics::counter!("portreeve_hints_total", "result" => result).increment(1);
    Followed::Answered
}

fn unanswered(repository: &RepositoryName, reference: &Reference, error: &VerifyError) -> Followed {
    tracing::debug!(%repository, %reference, %error, "a hint cannot be followed yet");
    metrics::counter!("portreeve_hints_total", "result" => "unanswered").increment(1);
    Followed::Unanswered
}
