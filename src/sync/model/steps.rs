//! The steps of a door: whatever it asks of the store or of the registry. At one of them it may crash; then none is taken
//! any more, by anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::registry::Registry;
use crate::store::{Sequence, Steps};

/// The steps of one life of the door.
#[derive(Debug)]
pub struct StepsOfALife {
    registry: Arc<Registry>,
    taken: AtomicU64,
    /// The last one that is taken; it comes to no end.
    last: u64,
    over: Notify,
}

impl StepsOfALife {
    pub fn new(registry: &Arc<Registry>, last: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            registry: Arc::clone(registry),
            taken: AtomicU64::new(0),
            last: last.unwrap_or(u64::MAX),
            over: Notify::new(),
        })
    }

    /// Takes a step, and lets others come in between.
    pub async fn take(&self) {
        if self.taken.fetch_add(1, Ordering::Relaxed) + 1 >= self.last {
            self.over.notify_one();
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
    }

    /// Ends with the last step.
    pub async fn last(&self) {
        self.over.notified().await;
    }
}

impl Steps for StepsOfALife {
    fn step(&self, last: Sequence) -> BoxFuture<'_, ()> {
        self.registry.past().record(last);
        Box::pin(self.take())
    }
}
