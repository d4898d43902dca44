//! Following hints: the registry is asked about what each names, and about what that leads to.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::plans::{FOLLOWED, Followed, LOOK_PAUSES, Noted, Plans};
use super::postponed::Postponed;
use super::queue::{Added, HintQueue};
use crate::oci::{Reference, RepositoryName};
use crate::registry::RegistryError;
use crate::store::{Hint, HintedReference, PageRequest, Source, StoreError};
use crate::sync::membership::{LeaseHolder, other_doors};
use crate::sync::moment::Moment;
use crate::sync::verify::{Verified, Verifier, VerifyError};

/// How many hints are followed at once.
const FOLLOWED_AT_ONCE: usize = 4;
/// How many hints are read at once.
const ROWS: usize = 500;
/// How long it may take to put down what was postponed, when told to stop.
const LAST_PUT_DOWN: Duration = Duration::from_secs(2);

/// Follows hints until told to stop. Those that are left are followed at the next start. Dropped at any await it loses
/// nothing: a hint leaves the store when it is done, and not before.
pub async fn follow_hints(
    queue: Arc<HintQueue>,
    verifier: Arc<Verifier>,
    lease: LeaseHolder,
    stop: CancellationToken,
) {
    let mut postponed = Postponed::default();
    let following = async {
        loop {
            lease.wait().await;
            // What was postponed under an earlier lease is the business of the door that had it next.
            postponed = Postponed::default();
            tokio::select! {
                biased;
                () = lease.lost() => {}
                () = follow_while_held(&queue, &verifier, &lease, &mut postponed) => {}
            }
        }
    };
    stop.run_until_cancelled(following).await;
    if let Ok(held) = lease.held() {
        let put_down = postponed.put_down(queue.store.as_ref(), held);
        match tokio::time::timeout(LAST_PUT_DOWN, put_down).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "when hints are looked at next cannot be put down"),
            Err(_) => tracing::warn!("stopping before it is put down when hints are looked at next"),
        }
    }
    lease.release().await;
}

/// Follows hints for ever. What other doors have left is looked at now and then.
async fn follow_while_held(
    queue: &HintQueue,
    verifier: &Verifier,
    lease: &LeaseHolder,
    postponed: &mut Postponed,
) {
    let moment = || Moment::at(verifier.now());
    let mut plans = Plans::default();
    let mut running = FuturesUnordered::new();
    let mut done = Vec::new();
    let mut read = Instant::now();
    *queue.added() = Added::Unknown;
    queue.wake.notify_one();
    loop {
        while running.len() < FOLLOWED_AT_ONCE
            && let Some(hint) = plans.take(Instant::now())
        {
            running.push(async move { (follow(verifier, &hint.about).await, hint) });
        }
        #[expect(clippy::cast_precision_loss, reason = "for a graph")]
        metrics::gauge!("portreeve_hints_waiting").set(plans.len() as f64);
        let due = plans.next().filter(|_| running.len() < FOLLOWED_AT_ONCE);
        let due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let updated = tokio::select! {
            biased;
            // First, since it is due once a second at most, and of the others there may always be some.
            () = postponed.due() => match lease.held() {
                Ok(held) => postponed.put_down(queue.store.as_ref(), held).await,
                Err(error) => Err(error),
            },
            Some(first) = running.next() => {
                let others = std::iter::from_fn(|| running.next().now_or_never().flatten());
                for (followed, hint) in std::iter::once(first).chain(others) {
                    done.extend(note(&mut plans, postponed, hint, followed, moment()));
                }
                remove(queue, &mut done).await
            }
            () = due => Ok(()),
            () = queue.wake.notified() => update(queue, &mut plans, moment()).await,
            () = other_doors(lease, read) => {
                read = Instant::now();
                *queue.added() = Added::Unknown;
                update(queue, &mut plans, moment()).await
            }
        };
        if let Err(error) = updated {
            tracing::warn!(%error, "hints cannot be read, removed or postponed; trying again");
            tokio::time::sleep(LOOK_PAUSES.min).await;
            queue.wake.notify_one();
        }
    }
}

/// Notes what following a hint came to. Answers the hint if it is done.
fn note(
    plans: &mut Plans,
    postponed: &mut Postponed,
    hint: Hint,
    followed: Followed,
    at: Moment,
) -> Option<Hint> {
    match plans.note(&hint, followed, at) {
        Noted::Postponed(hint) => {
            postponed.add(hint, at.now);
            None
        }
        Noted::GivenAgain => {
            postponed.remove(&hint);
            None
        }
        Noted::Done => {
            postponed.remove(&hint);
            Some(hint)
        }
    }
}

/// Takes up the hints that have come. All that are kept are read where it is not known which those are.
async fn update(queue: &HintQueue, plans: &mut Plans, at: Moment) -> Result<(), StoreError> {
    // From here on everything is noted, so that nothing is missed that comes while the store is read.
    let added = std::mem::replace(&mut *queue.added(), Added::Hints(Vec::new()));
    match added {
        Added::Hints(hints) => plans.add(hints, at),
        Added::Unknown => {
            let read = read_all(queue, plans, at).await;
            if read.is_err() {
                *queue.added() = Added::Unknown;
            }
            return read;
        }
    }
    Ok(())
}

async fn read_all(queue: &HintQueue, plans: &mut Plans, at: Moment) -> Result<(), StoreError> {
    let mut kept = Vec::new();
    let mut after = None;
    loop {
        let page = queue.store.hints(PageRequest { after, limit: ROWS }).await?;
        kept.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    plans.update(kept, at);
    Ok(())
}

/// Removes what is done. One that was given again meanwhile stays.
async fn remove(queue: &HintQueue, done: &mut Vec<Hint>) -> Result<(), StoreError> {
    if done.is_empty() {
        return Ok(());
    }
    queue.store.remove_hints(done.clone()).await?;
    done.clear();
    Ok(())
}

/// Asks the registry about what a hint names, and about what that leads to.
async fn follow(verifier: &Verifier, about: &HintedReference) -> Followed {
    let HintedReference { repository, reference } = about;
    let mut events = 0;
    let mut references = vec![reference.clone()];
    // Indexes may name one manifest many times over, and each other.
    let mut asked = HashSet::new();
    while let Some(reference) = references.pop() {
        if !asked.insert(reference.clone()) {
            continue;
        }
        match verifier.verify(repository, &reference, Source::Hinted).await {
            Ok(Verified { events: more, children, .. }) => {
                events += more;
                references.extend(children.into_iter().map(Reference::Digest));
            }
            Err(error) => return unanswered(repository, &reference, &error),
        }
    }
    let result = if events > 0 { "different" } else { "same" };
    FOLLOWED.with([result]).increment(1);
    Followed::Answered
}

fn unanswered(repository: &RepositoryName, reference: &Reference, error: &VerifyError) -> Followed {
    tracing::debug!(%repository, %reference, %error, "a hint cannot be followed yet");
    if let VerifyError::Unsettled { left, .. } = error {
        FOLLOWED.with(["unsettled"]).increment(1);
        return Followed::Unsettled(*left);
    }
    FOLLOWED.with(["unanswered"]).increment(1);
    let VerifyError::Registry(RegistryError::Refused { retry_after, .. }) = error else {
        return Followed::Unanswered(None);
    };
    Followed::Unanswered(*retry_after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::store::{Hints, Queued};
    use crate::sync::hints::queue::MOST_ADDED;
    use crate::sync::hints::sample::hint;

    #[tokio::test]
    async fn adding_a_hint_does_not_read_those_that_are_there_and_what_was_lost_is_read_again() {
        let store = Arc::new(crate::store::MemoryStore::default());
        let queue = HintQueue::new(Arc::clone(&store) as Arc<dyn Hints>);
        let add = async |name: &str| match queue.add(vec![hint(name, 0).about]).await.unwrap() {
            Queued::Kept(hints) => hints,
            Queued::Full => panic!("there is room"),
        };
        let mut plans = Plans::default();
        let before = add("before").await;
        update(&queue, &mut plans, Moment::at(Timestamp::now())).await.unwrap();
        assert_eq!(plans.len(), 1, "all are read at the start");
        // Behind the queue's back: one that reads all misses it.
        store.remove_hints(before).await.unwrap();
        add("after").await;
        update(&queue, &mut plans, Moment::at(Timestamp::now())).await.unwrap();
        assert_eq!(plans.len(), 2);
        // It is not looked at for long: it is not all remembered, but nothing is lost.
        let names = |range: std::ops::Range<usize>| range.map(|n| hint(&n.to_string(), 0).about).collect();
        queue.add(names(0..MOST_ADDED)).await.unwrap();
        queue.add(names(0..1)).await.unwrap();
        assert!(matches!(*queue.added(), Added::Unknown));
        update(&queue, &mut plans, Moment::at(Timestamp::now())).await.unwrap();
        assert_eq!(plans.len(), MOST_ADDED + 1, "and what is gone is forgotten");
        // A caller that adds one leaves before the answer.
        let mut leaving = Box::pin(queue.add(vec![hint("left", 0).about]));
        assert!(futures_util::poll!(&mut leaving).is_pending());
        drop(leaving);
        update(&queue, &mut plans, Moment::at(Timestamp::now())).await.unwrap();
        assert_eq!(plans.len(), MOST_ADDED + 2);
    }
}
