//! The newest tags: where much fits, what is shown is among them, and the rest need not be looked through.

use crate::clock::Timestamp;

/// How many are kept at least; few in tests, where there are not so many.
const FEWEST: usize = if cfg!(test) { 4 } else { 4_096 };
/// How many are kept at most, before the older ones are let go.
const MOST: usize = 4 * FEWEST;

/// The numbers of all tags that are as new as a time, and of some that are not any more.
#[derive(Debug)]
pub(super) struct Newest {
    since: Timestamp,
    numbers: Vec<u32>,
}

impl Default for Newest {
    fn default() -> Self {
        Self { since: Timestamp::from_milliseconds(0), numbers: Vec::new() }
    }
}

impl Newest {
    /// From when on all are there.
    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    /// The numbers, each once.
    pub(super) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// Takes up a tag with its new time, and the one that it had before; `time_of` tells those of all, none for what is gone.
    pub(super) fn put(
        &mut self,
        number: u32,
        before: Option<Timestamp>,
        time_of: impl Fn(u32) -> Option<Timestamp>,
    ) {
        let is_new = |time: Option<Timestamp>| time.is_some_and(|time| time >= self.since);
        // What was as new is there; what was not may be there still, from before that.
        if !is_new(time_of(number)) || is_new(before) || (before.is_some() && self.numbers.contains(&number))
        {
            return;
        }
        self.numbers.push(number);
        if self.numbers.len() > MOST {
            self.shrink(time_of);
        }
    }

    /// Lets go of what is gone or older than the newest few.
    fn shrink(&mut self, time_of: impl Fn(u32) -> Option<Timestamp>) {
        let mut times: Vec<Timestamp> = self.numbers.iter().filter_map(|number| time_of(*number)).collect();
        if let Some(place) = times.len().checked_sub(FEWEST) {
            // One later than the newest that goes, so that all of that time go together.
            let (_, oldest, _) = times.select_nth_unstable(place);
            self.since = self.since.max(oldest.shifted(1));
        }
        self.numbers.retain(|number| time_of(*number).is_some_and(|time| time >= self.since));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_milliseconds(milliseconds)
    }

    #[test]
    fn all_that_is_as_new_is_there_once_whatever_moves_or_goes() {
        let (mut newest, mut times, mut gone) = (Newest::default(), BTreeMap::new(), BTreeSet::new());
        let mut random = 1_u64;
        for step in 0..60_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = u32::try_from(random >> 48).unwrap() % 20_000;
            let time = at(if random.is_multiple_of(3) { step } else { random >> 50 });
            match random % 50 {
                // Its number is not given to another.
                0 => {
                    times.remove(&number);
                    gone.insert(number);
                }
                _ if gone.contains(&number) => {}
                _ => {
                    let before = times.insert(number, time);
                    newest.put(number, before, |number| times.get(&number).copied());
                }
            }
            if step % 5_000 == 0 {
                let kept: BTreeSet<u32> = newest.numbers().iter().copied().collect();
                assert_eq!(kept.len(), newest.numbers().len(), "each is there once");
                let missing =
                    times.iter().find(|(number, time)| **time >= newest.since() && !kept.contains(number));
                assert_eq!(missing, None);
                assert!(kept.len() <= MOST);
            }
        }
        assert!(newest.since() > at(0));
    }

    #[test]
    fn of_many_of_one_time_none_are_kept_rather_than_some() {
        let (mut newest, mut times) = (Newest::default(), BTreeMap::new());
        for number in 0..20_000 {
            times.insert(number, at(5));
            newest.put(number, None, |number| times.get(&number).copied());
        }
        assert!(newest.since() > at(5));
        assert!(newest.numbers().is_empty());
    }
}
