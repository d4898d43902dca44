//! A bounded table whose room is given away in a fixed order: what is expired goes first, then what is not in force, and
//! what is in force never makes way for a newcomer.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Remembers values for a time.
pub(in crate::auth) struct Table<K, V> {
    capacity: usize,
    /// How long a value is remembered after it was put there.
    life: Duration,
    entries: HashMap<K, Entry<V>>,
    by_age: BTreeSet<(Instant, K)>,
    by_force: BTreeSet<(Instant, K)>,
}

struct Entry<V> {
    value: V,
    put: Instant,
    /// Until when it is in force.
    until: Instant,
}

/// All that the table has room for is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) struct Full;

impl<K: Copy + Eq + Hash + Ord, V> Table<K, V> {
    /// For so many values, each remembered for so long.
    pub(in crate::auth) fn new(capacity: usize, life: Duration) -> Self {
        let entries = HashMap::new();
        Self { capacity, life, entries, by_age: BTreeSet::new(), by_force: BTreeSet::new() }
    }

    /// What is remembered.
    pub(in crate::auth) fn get(&self, key: &K, now: Instant) -> Option<&V> {
        self.entries.get(key).filter(|entry| self.is_alive(entry.put, now)).map(|entry| &entry.value)
    }

    /// Remembers a value, which is in force until then and cannot be pushed out before.
    ///
    /// # Errors
    /// When it is a new one, and all others are in force.
    pub(in crate::auth) fn put(
        &mut self,
        key: K,
        value: V,
        now: Instant,
        until: Instant,
    ) -> Result<(), Full> {
        if self.remove(&key).is_none() && self.entries.len() >= self.capacity {
            let least = self.least(now).ok_or(Full)?;
            self.remove(&least);
        }
        self.by_age.insert((now, key));
        self.by_force.insert((until, key));
        self.entries.insert(key, Entry { value, put: now, until });
        Ok(())
    }

    /// Whether a value would be remembered.
    pub(in crate::auth) fn has_room(&self, key: &K, now: Instant) -> bool {
        self.entries.len() < self.capacity || self.entries.contains_key(key) || self.least(now).is_some()
    }

    /// Forgets a value.
    pub(in crate::auth) fn remove(&mut self, key: &K) -> Option<V> {
        let Entry { value, put, until } = self.entries.remove(key)?;
        self.by_age.remove(&(put, *key));
        self.by_force.remove(&(until, *key));
        Some(value)
    }

    /// What is in force, with until when.
    pub(in crate::auth) fn in_force(&self, now: Instant) -> impl Iterator<Item = (&K, &V, Instant)> {
        let latest_first = self.by_force.iter().rev().take_while(move |(until, _)| *until > now);
        latest_first.filter_map(|(until, key)| Some((key, &self.entries.get(key)?.value, *until)))
    }

    /// Forgets the values of which this is true. How many there were.
    pub(in crate::auth) fn remove_where(&mut self, is_meant: impl Fn(&V) -> bool) -> usize {
        let meant = self.entries.iter().filter(|(_, entry)| is_meant(&entry.value)).map(|(key, _)| *key);
        let meant: Vec<K> = meant.collect();
        meant.iter().for_each(|key| drop(self.remove(key)));
        meant.len()
    }

    /// Which one makes way for a newcomer.
    fn least(&self, now: Instant) -> Option<K> {
        let oldest = self.by_age.first().filter(|(put, _)| !self.is_alive(*put, now));
        let idle = || self.by_force.first().filter(|(until, _)| *until <= now);
        oldest.or_else(idle).map(|(_, key)| *key)
    }

    fn is_alive(&self, put: Instant, now: Instant) -> bool {
        now.saturating_duration_since(put) < self.life
    }

    #[cfg(test)]
    pub(in crate::auth) fn len(&self) -> usize {
        assert_eq!((self.by_age.len(), self.by_force.len()), (self.entries.len(), self.entries.len()));
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const LIFE: Duration = Duration::from_secs(100);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn left(table: &Table<u32, ()>) -> HashSet<u32> {
        assert_eq!(table.len(), table.entries.len());
        table.entries.keys().copied().collect()
    }

    #[test]
    fn what_is_expired_makes_way_before_what_is_not() {
        let (mut table, start) = (Table::new(2, LIFE), Instant::now());
        // In force for as long as it is remembered, and longer than the other one.
        table.put(1, (), start, start + LIFE).unwrap();
        table.put(2, (), start + seconds(50), start + seconds(50)).unwrap();
        let now = start + LIFE;
        assert_eq!((table.get(&1, now), table.get(&2, now)), (None, Some(&())));
        table.put(3, (), now, now).unwrap();
        assert_eq!(left(&table), HashSet::from([2, 3]));
    }

    #[test]
    fn what_is_in_force_never_makes_way_for_a_newcomer() {
        let (mut table, now) = (Table::new(2, LIFE), Instant::now());
        table.put(1, (), now, now + seconds(10)).unwrap();
        for number in 2..1_000 {
            table.put(number, (), now + seconds(1), now + seconds(1)).unwrap();
        }
        assert_eq!(left(&table), HashSet::from([1, 999]));
        table.put(999, (), now + seconds(1), now + seconds(20)).unwrap();
        let later = now + seconds(2);
        assert!(!table.has_room(&5, later) && table.has_room(&1, later));
        assert_eq!(table.put(5, (), later, later), Err(Full));
        assert_eq!(table.put(1, (), later, later + seconds(30)), Ok(()), "it is there already");
        assert_eq!(left(&table), HashSet::from([1, 999]));
        assert_eq!(table.put(5, (), now + seconds(20), now + seconds(20)), Ok(()));
        assert_eq!(left(&table), HashSet::from([1, 5]));
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let (mut table, now) = (Table::new(2, LIFE), Instant::now());
        for number in 0..10 {
            table.put(number, (), now, now + LIFE).unwrap();
            assert_eq!(table.remove(&number), Some(()));
        }
        assert_eq!((table.len(), table.remove(&1)), (0, None));
    }

    proptest! {
        #[test]
        fn whatever_comes_it_is_bounded_and_loses_nothing_in_force(
            puts in proptest::collection::vec((0_u32..20, 0_u64..30, 0_u64..60), 0..200),
        ) {
            let (mut table, mut now) = (Table::new(5, LIFE), Instant::now());
            let mut in_force: HashMap<u32, Instant> = HashMap::new();
            for (key, passes, force) in puts {
                now += seconds(passes);
                let until = now + seconds(force);
                in_force.retain(|_, until| *until > now);
                match table.put(key, (), now, until) {
                    Ok(()) => drop(in_force.insert(key, until)),
                    Err(Full) => prop_assert!(in_force.len() >= 5 && !in_force.contains_key(&key)),
                }
                prop_assert!(table.len() <= 5);
                for (key, until) in &in_force {
                    prop_assert!(*until <= now || table.get(key, now).is_some());
                }
            }
        }
    }
}
