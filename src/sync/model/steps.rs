//! The steps of a door: whatever it asks of the store or of the registry. At one of them it may crash; then none is taken
//! any more, by anybody. A door that stands still takes none meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::random::Random;
use super::registry::Registry;
use crate::store::{Fate, Sequence, Steps};

/// The steps of one life of the door.
#[derive(Debug)]
pub struct StepsOfALife {
    registry: Arc<Registry>,
    taken: AtomicU64,
    /// The last one that is taken; it comes to no end.
    last: u64,
    over: Notify,
    pace: watch::Sender<Pace>,
    /// One commit in so many comes to nothing, or is not heard of.
    commit_faults: AtomicU64,
    random: Mutex<Random>,
    /// Whether it stood still with a write on its way to the registry.
    stood_still_with_a_write: AtomicBool,
    /// What it sent although the intent was not its own.
    sent_wrongly: Mutex<Option<String>>,
}

/// How a door goes on.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Running,
    Frozen { until: Instant },
    Dead,
}

impl StepsOfALife {
    pub fn new(registry: &Arc<Registry>, last: Option<u64>, commit_faults: u64, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            registry: Arc::clone(registry),
            taken: AtomicU64::new(0),
            last: last.unwrap_or(u64::MAX),
            over: Notify::new(),
            pace: watch::Sender::new(Pace::Running),
            commit_faults: AtomicU64::new(commit_faults),
            random: Mutex::new(Random::new(seed)),
            stood_still_with_a_write: AtomicBool::new(false),
            sent_wrongly: Mutex::default(),
        })
    }

    /// Takes a step, and lets others come in between.
    pub async fn take(&self) {
        self.go_on().await;
        if self.taken.fetch_add(1, Ordering::Relaxed) + 1 >= self.last {
            self.over.notify_one();
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
    }

    /// Takes the step that sends a write to the registry. A door that stands still just then sends what may not be its own
    /// any more, which no registry can tell. Answers whether it did.
    pub async fn send_write(&self) -> bool {
        let has_stood_still = self.go_on().await;
        self.take().await;
        let has_stood_still = has_stood_still || !matches!(*self.pace.borrow(), Pace::Running);
        if has_stood_still {
            self.stood_still_with_a_write.store(true, Ordering::Relaxed);
        }
        has_stood_still
    }

    /// A write was sent that was not the door's own to send.
    pub fn note_sent_wrongly(&self, wrong: String) {
        self.sent_wrongly.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(wrong);
    }

    /// Such a write.
    pub fn sent_wrongly(&self) -> Option<String> {
        self.sent_wrongly.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a write was sent so.
    pub fn stood_still_with_a_write(&self) -> bool {
        self.stood_still_with_a_write.load(Ordering::Relaxed)
    }

    /// Stands still as long as the door does. Answers whether it did.
    async fn go_on(&self) -> bool {
        let mut pace = self.pace.subscribe();
        let mut has_stood_still = false;
        loop {
            let now = *pace.borrow_and_update();
            let until = match now {
                Pace::Running => return has_stood_still,
                Pace::Frozen { until } if until <= Instant::now() => return has_stood_still,
                Pace::Frozen { until } => Some(until),
                Pace::Dead => None,
            };
            has_stood_still = true;
            tokio::select! {
                _ = pace.changed() => {}
                () = async { match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                } } => {}
            }
        }
    }

    /// The door stands still for so long, or for ever.
    pub fn freeze(&self, length: Option<Duration>) {
        self.pace.send_modify(|pace| {
            *pace = match (*pace, length) {
                (Pace::Dead, _) | (_, None) => Pace::Dead,
                (_, Some(length)) => Pace::Frozen { until: Instant::now() + length },
            }
        });
    }

    /// The door goes on, if it lives.
    pub fn thaw(&self) {
        self.pace.send_modify(|pace| {
            if matches!(pace, Pace::Frozen { .. }) {
                *pace = Pace::Running;
            }
        });
        self.commit_faults.store(0, Ordering::Relaxed);
    }

    pub fn is_dead(&self) -> bool {
        matches!(*self.pace.borrow(), Pace::Dead)
    }

    /// Ends when the door is dead.
    pub async fn dead(&self) {
        // The sender lives as long as this does.
        let _ = self.pace.subscribe().wait_for(|pace| matches!(pace, Pace::Dead)).await;
    }

    /// Ends with the last step.
    pub async fn last(&self) {
        self.over.notified().await;
    }
}

impl Steps for StepsOfALife {
    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.go_on().await;
        })
    }

    fn fate(&self) -> Fate {
        let faults = self.commit_faults.load(Ordering::Relaxed);
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        match faults > 0 && random.one_in(faults) {
            false => Fate::Done,
            true if random.one_in(2) => Fate::DoneUnheard,
            true => Fate::Failed,
        }
    }

    fn step(&self, last: Sequence) -> BoxFuture<'_, ()> {
        self.registry.history().record(last);
        Box::pin(self.take())
    }
}
