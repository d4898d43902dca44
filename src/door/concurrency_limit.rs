//! How many connections or requests there may be at a time: so many in all, and so many of each network.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::auth::Network;

/// A limit on how many there may be in all, and of each network. What is remembered is bounded by the limit.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    total: usize,
    per_network: usize,
    in_use: Mutex<InUse>,
}

#[derive(Debug, Default)]
struct InUse {
    all: usize,
    by_network: HashMap<Network, usize>,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitReached {
    /// There are as many as there may be.
    Total,
    /// The network has as many as it may have.
    Network,
}

/// Counts as one. Dropping it makes room for another one.
#[derive(Debug)]
pub(super) struct Permit {
    limit: Arc<ConcurrencyLimit>,
    network: Option<Network>,
}

impl ConcurrencyLimit {
    /// So many in all, and so many of each network.
    pub(super) fn new(total: usize, per_network: usize) -> Arc<Self> {
        Arc::new(Self { total, per_network, in_use: Mutex::default() })
    }

    /// Counts one more, of this network if that is to count.
    ///
    /// # Errors
    /// When a limit is reached.
    pub(super) fn acquire(self: &Arc<Self>, network: Option<Network>) -> Result<Permit, LimitReached> {
        let mut in_use = self.lock();
        let InUse { all, by_network } = &mut *in_use;
        let of_one = network.map(|network| by_network.entry(network));
        let count = if let Some(Entry::Occupied(count)) = &of_one { *count.get() } else { 0 };
        if count >= self.per_network {
            return Err(LimitReached::Network);
        }
        if *all >= self.total {
            return Err(LimitReached::Total);
        }
        *all += 1;
        if let Some(of_one) = of_one {
            *of_one.or_default() += 1;
        }
        Ok(Permit { limit: Arc::clone(self), network })
    }

    fn lock(&self) -> MutexGuard<'_, InUse> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut in_use = self.limit.lock();
        in_use.all = in_use.all.saturating_sub(1);
        let Some(network) = self.network else { return };
        if let Some(of_one) = in_use.by_network.get_mut(&network) {
            *of_one -= 1;
            if *of_one == 0 {
                in_use.by_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_given_back_and_nothing_is_remembered_of_networks_that_have_none() {
        let limit = ConcurrencyLimit::new(3, 2);
        let [one, two, three] =
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|text| Some(Network::of(text.parse().unwrap())));
        let mut held = vec![limit.acquire(one).unwrap(), limit.acquire(one).unwrap()];
        assert_eq!(limit.acquire(one).unwrap_err(), LimitReached::Network);
        held.push(limit.acquire(two).unwrap());
        assert_eq!(limit.acquire(three).unwrap_err(), LimitReached::Total);
        // A network at its own limit is told so, though there are none for others either.
        assert_eq!(limit.acquire(one).unwrap_err(), LimitReached::Network);
        held.clear();
        assert!(limit.lock().by_network.is_empty());
        let without: Vec<_> = (0..3).map(|_| limit.acquire(None).unwrap()).collect();
        assert_eq!(limit.acquire(None).unwrap_err(), LimitReached::Total);
        drop(without);
        assert!(limit.acquire(one).is_ok());
    }
}
