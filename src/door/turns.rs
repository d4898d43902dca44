//! Turns at the registry: a burst of one client's requests does not stand before everybody else's.
//!
//! A registry serves what comes in the order in which it comes, and each download that begins costs it some milliseconds and
//! megabytes. So a network that has several requests there without an answer yet waits a moment with further ones while
//! others ask, too. The moment is short, since the door knows neither how fast the registry is nor how many clients share an
//! address: nobody is held up for longer, and who is alone is not held up at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::Network;

/// How many requests of one network may be at the registry without an answer before others go first: as many as one client
/// sends at a time (docker 3 downloads, containerd 3, skopeo 6).
const AT_ONCE: usize = 6;
/// The longest that a request waits for its turn.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// For how long a network counts as one that asks.
const LATELY: Duration = Duration::from_secs(1);

/// Who has requests at the registry. Bounded by the requests in flight.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The network that asked last.
    latest: Option<(Network, Instant)>,
    /// When one asked last that was another.
    other: Option<Instant>,
    /// What each network may still ask at once.
    networks: HashMap<Network, Arc<Semaphore>>,
}

/// A request that is at the registry. Dropping it says that it was answered.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    network: Network,
    /// None once it is over.
    places: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Waits for the turn of a request of this network, if it has to. Dropping the future gives the turn up.
    pub async fn take(self: &Arc<Self>, network: Network, now: Instant) -> Turn {
        let (places, others_ask) = self.ask(network, now);
        let permit = Arc::clone(&places).try_acquire_owned().ok();
        let mut turn = Turn { turns: Arc::clone(self), network, places: Some(Arc::clone(&places)), permit };
        if turn.permit.is_none() && others_ask {
            metrics::counter!("portreeve_requests_delayed_total").increment(1);
            let next = tokio::time::timeout(LONGEST_WAIT, places.acquire_owned()).await;
            // After the longest wait the request goes without.
            turn.permit = next.ok().and_then(Result::ok);
        }
        turn
    }

    /// The network's places, and whether others ask as well.
    fn ask(&self, network: Network, now: Instant) -> (Arc<Semaphore>, bool) {
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

impl Drop for Turn {
    fn drop(&mut self) {
        self.permit = None;
        let mut state = self.turns.lock();
        self.places = None;
        // Under the lock nobody else gets hold of it.
        if state.networks.get(&self.network).is_some_and(|places| Arc::strong_count(places) == 1) {
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

    async fn takes_at_once(turns: &Arc<Turns>, network: Network, now: Instant) -> Option<Turn> {
        tokio::time::timeout(Duration::ZERO, turns.take(network, now)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_that_is_alone_does_not_wait() {
        let (turns, now) = (Arc::new(Turns::default()), Instant::now());
        let mut held = Vec::new();
        for _ in 0..10 * AT_ONCE {
            held.push(takes_at_once(&turns, network(1), now).await.expect("no wait"));
        }
        // Another one asked, but long ago.
        drop(takes_at_once(&turns, network(2), now).await.expect("no wait"));
        let later = now + LATELY;
        held.push(takes_at_once(&turns, network(1), later).await.expect("no wait"));
    }

    #[tokio::test(start_paused = true)]
    async fn beside_others_the_next_request_waits_for_an_answer_to_an_earlier_one() {
        let (turns, now) = (Arc::new(Turns::default()), Instant::now());
        let _other = turns.take(network(2), now).await;
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(takes_at_once(&turns, network(1), now).await.expect("no wait"));
        }
        assert!(takes_at_once(&turns, network(1), now).await.is_none(), "it waits");
        assert!(takes_at_once(&turns, network(2), now).await.is_some(), "others do not");
        held.pop();
        held.push(takes_at_once(&turns, network(1), now).await.expect("one was answered"));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_longer_than_a_moment() {
        let (turns, now) = (Arc::new(Turns::default()), Instant::now());
        let _other = turns.take(network(2), now).await;
        let begun = tokio::time::Instant::now();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE + 3 {
            held.push(turns.take(network(1), now).await);
        }
        assert_eq!(begun.elapsed(), 3 * LONGEST_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_remembered_of_what_was_answered_or_given_up() {
        let (turns, now) = (Arc::new(Turns::default()), Instant::now());
        let mut held = vec![turns.take(network(2), now).await];
        for _ in 0..AT_ONCE {
            held.push(turns.take(network(1), now).await);
        }
        let given_up = tokio::time::timeout(LONGEST_WAIT / 2, turns.take(network(1), now)).await;
        assert!(given_up.is_err());
        assert_eq!(turns.lock().networks.len(), 2);
        drop(held);
        assert!(turns.lock().networks.is_empty());
    }
}
