//! Places for clients: so many in all, and so many for each network.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::auth::Network;

/// So many places in all, and so many for each network. What is remembered is bounded by the places.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_network: HashMap<Network, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All are taken.
    All,
    /// The network has as many as it may have.
    Network,
}

/// A place that is taken. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    network: Option<Network>,
}

impl Places {
    /// So many in all, and so many for each network.
    pub fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, taken: Mutex::default() })
    }

    /// Takes one, for this network if it is to count.
    ///
    /// # Errors
    /// When there is none.
    pub fn take(self: &Arc<Self>, network: Option<Network>) -> Result<Place, Full> {
        let mut taken = self.lock();
        let of_one = network.and_then(|network| taken.by_network.get(&network).copied()).unwrap_or(0);
        if of_one >= self.most_of_one {
            return Err(Full::Network);
        }
        if taken.all >= self.most {
            return Err(Full::All);
        }
        taken.all += 1;
        if let Some(network) = network {
            taken.by_network.insert(network, of_one + 1);
        }
        Ok(Place { places: Arc::clone(self), network })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all = taken.all.saturating_sub(1);
        let Some(network) = self.network else { return };
        if let Some(of_one) = taken.by_network.get_mut(&network) {
            *of_one -= 1;
            if *of_one == 0 {
                taken.by_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_and_nothing_is_remembered_of_who_has_none() {
        let places = Places::new(3, 2);
        let [one, two, three] =
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|text| Some(Network::of(text.parse().unwrap())));
        let mut held = vec![places.take(one).unwrap(), places.take(one).unwrap()];
        assert_eq!(places.take(one).unwrap_err(), Full::Network);
        held.push(places.take(two).unwrap());
        assert_eq!(places.take(three).unwrap_err(), Full::All);
        // Whoever has all of its own is told so, though there are none for others either.
        assert_eq!(places.take(one).unwrap_err(), Full::Network);
        held.clear();
        assert!(places.lock().by_network.is_empty());
        let without: Vec<_> = (0..3).map(|_| places.take(None).unwrap()).collect();
        assert_eq!(places.take(None).unwrap_err(), Full::All);
        drop(without);
        assert!(places.take(one).is_ok());
    }
}
