//! Fair queueing before the registry: a burst of one client's requests does not stand before those of all others.
//!
//! A registry serves requests in the order in which they come, and each download that begins costs it some milliseconds and
//! megabytes. So further requests of a network that has several at the registry without an answer yet wait for a moment while
//! other networks ask, too. The moment is short, since the door knows neither how fast the registry is nor how many clients
//! share an address: no request is delayed for longer, and those of the only network that asks are not delayed at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::Network;
use crate::telemetry::CounterFamily;

pub(super) static DELAYED: CounterFamily = CounterFamily {
    name: "portreeve_requests_delayed_total",
    help: "Requests that waited a moment, since their client had several at the registry and others asked, too",
    labels: &[],
};

/// How many requests of one network may be at the registry without an answer before others go first: as many as one client
/// sends at a time (docker 3 downloads, containerd 3, skopeo 6).
const AT_ONCE: usize = 6;
/// The longest that a request is delayed.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// For how long a network counts as one that asks.
const LATELY: Duration = Duration::from_secs(1);

/// The requests at the registry, by network. Bounded by the requests in flight.
#[derive(Debug, Default)]
pub(super) struct FairQueue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The network that asked last.
    latest: Option<(Network, Instant)>,
    /// When another one than that asked last.
    other: Option<Instant>,
    /// How many requests each network may still have at the registry.
    networks: HashMap<Network, Arc<Semaphore>>,
}

/// A request that is at the registry. Dropping it says that it was answered.
#[derive(Debug)]
pub(super) struct FairPermit {
    queue: Arc<FairQueue>,
    network: Network,
    /// None once the request is over.
    semaphore: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl FairQueue {
    /// Lets a request of this network go on to the registry, after a delay where that is fair. Dropping the future gives up.
    pub(super) async fn acquire(self: &Arc<Self>, network: Network, now: Instant) -> FairPermit {
        let (semaphore, others_ask) = self.note_request(network, now);
        let permit = Arc::clone(&semaphore).try_acquire_owned().ok();
        let queue = Arc::clone(self);
        let mut held = FairPermit { queue, network, semaphore: Some(Arc::clone(&semaphore)), permit };
        if held.permit.is_none() && others_ask {
            DELAYED.with([]).increment(1);
            let next = tokio::time::timeout(LONGEST_WAIT, semaphore.acquire_owned()).await;
            // After the longest wait the request goes on without one.
            held.permit = next.ok().and_then(Result::ok);
        }
        held
    }

    /// The network's semaphore, and whether others ask as well.
    fn note_request(&self, network: Network, now: Instant) -> (Arc<Semaphore>, bool) {
        let mut state = self.lock();
        match &mut state.latest {
            Some((latest, asked)) if *latest == network => *asked = now,
            latest => {
                let before = latest.replace((network, now));
                state.other = before.map(|(_, asked)| asked);
            }
        }
        let others_ask = state.other.is_some_and(|asked| now.saturating_duration_since(asked) < LATELY);
        let new = || Arc::new(Semaphore::new(AT_ONCE));
        (Arc::clone(state.networks.entry(network).or_insert_with(new)), others_ask)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        self.permit = None;
        let mut state = self.queue.lock();
        self.semaphore = None;
        // Under the lock no other request gets hold of it.
        if state.networks.get(&self.network).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            state.networks.remove(&self.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u8) -> Network {
        Network::of([192, 0, 2, number].into())
    }

    async fn acquire_at_once(queue: &Arc<FairQueue>, network: Network, now: Instant) -> Option<FairPermit> {
        tokio::time::timeout(Duration::ZERO, queue.acquire(network, now)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_that_is_alone_does_not_wait() {
        let (queue, now) = (Arc::new(FairQueue::default()), Instant::now());
        let mut held = Vec::new();
        for _ in 0..10 * AT_ONCE {
            held.push(acquire_at_once(&queue, network(1), now).await.expect("no wait"));
        }
        // Another one asked, but long ago.
        drop(acquire_at_once(&queue, network(2), now).await.expect("no wait"));
        let later = now + LATELY;
        held.push(acquire_at_once(&queue, network(1), later).await.expect("no wait"));
    }

    #[tokio::test(start_paused = true)]
    async fn beside_others_the_next_request_waits_for_an_answer_to_an_earlier_one() {
        let (queue, now) = (Arc::new(FairQueue::default()), Instant::now());
        let _other = queue.acquire(network(2), now).await;
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(acquire_at_once(&queue, network(1), now).await.expect("no wait"));
        }
        assert!(acquire_at_once(&queue, network(1), now).await.is_none(), "it waits");
        assert!(acquire_at_once(&queue, network(2), now).await.is_some(), "others do not");
        held.pop();
        held.push(acquire_at_once(&queue, network(1), now).await.expect("one was answered"));
    }

    #[tokio::test(start_paused = true)]
    async fn no_request_waits_for_longer_than_a_moment() {
        let (queue, now) = (Arc::new(FairQueue::default()), Instant::now());
        let _other = queue.acquire(network(2), now).await;
        let begun = tokio::time::Instant::now();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE + 3 {
            held.push(queue.acquire(network(1), now).await);
        }
        assert_eq!(begun.elapsed(), 3 * LONGEST_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_remembered_of_what_was_answered_or_given_up() {
        let (queue, now) = (Arc::new(FairQueue::default()), Instant::now());
        let mut held = vec![queue.acquire(network(2), now).await];
        for _ in 0..AT_ONCE {
            held.push(queue.acquire(network(1), now).await);
        }
        let given_up = tokio::time::timeout(LONGEST_WAIT / 2, queue.acquire(network(1), now)).await;
        assert!(given_up.is_err());
        assert_eq!(queue.lock().networks.len(), 2);
        drop(held);
        assert!(queue.lock().networks.is_empty());
    }
}
