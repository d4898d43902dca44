//! What was there when, in the registry; and when the store recorded what.
//!
//! Time is counted in moments: one for each change of the registry.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::Sequence;

/// Something that is there or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thing {
    pub repository: String,
    /// A tag, a digest, or both for what a tag points to; or empty for the repository itself, which is there as long as the
    /// registry does not deny it.
    pub name: String,
}

/// How many times the registry has changed.
pub type Moment = u64;

/// The past of one registry and of the store that follows it.
#[derive(Debug, Default)]
pub struct Past {
    now: Moment,
    /// When each thing came or went, in turn.
    turns: BTreeMap<Thing, Vec<Moment>>,
    /// When each repository was last changed.
    changed: BTreeMap<String, Moment>,
    /// When the store gave out its numbers: each up to and including the key.
    recorded: BTreeMap<Sequence, Moment>,
}

impl Thing {
    pub fn new(repository: &str, name: &str) -> Self {
        Self { repository: repository.to_owned(), name: name.to_owned() }
    }

    /// That a tag points to a digest.
    pub fn pointing(repository: &str, tag: &str, digest: &str) -> Self {
        Self::new(repository, &format!("{tag} {digest}"))
    }

    pub fn is_manifest(&self) -> bool {
        self.name.starts_with("sha256:")
    }
}

impl Past {
    pub fn now(&self) -> Moment {
        self.now
    }

    /// The registry has changed from one to the other.
    pub fn note(&mut self, before: &BTreeSet<Thing>, after: &BTreeSet<Thing>) {
        self.now += 1;
        for thing in before.symmetric_difference(after) {
            self.turns.entry(thing.clone()).or_default().push(self.now);
        }
    }

    /// A repository has changed, if only in what its tags point to.
    pub fn touch(&mut self, repository: &str) {
        self.changed.insert(repository.to_owned(), self.now);
    }

    pub fn last_change(&self, repository: &str) -> Moment {
        self.changed.get(repository).copied().unwrap_or_default()
    }

    /// The store has given out its numbers up to this one.
    pub fn record(&mut self, last: Sequence) {
        if self.recorded.last_key_value().is_none_or(|(known, _)| *known < last) {
            self.recorded.insert(last, self.now);
        }
    }

    /// The moment at which the store gave out this number.
    pub fn moment_of(&self, sequence: Sequence) -> Moment {
        self.recorded.range(sequence..).next().map_or(self.now, |(_, moment)| *moment)
    }

    fn turns(&self, thing: &Thing) -> &[Moment] {
        self.turns.get(thing).map_or(&[], Vec::as_slice)
    }

    /// Whether something was not there at some moment from the first to the last.
    pub fn was_absent(&self, thing: &Thing, first: Moment, last: Moment) -> bool {
        let turns = self.turns(thing);
        let before = turns.iter().filter(|turn| **turn <= first).count();
        // It is not there in the beginning: every second turn takes it away.
        before % 2 == 0 || turns.get(before).is_some_and(|turn| *turn <= last)
    }

    /// Whether something was there at some moment from the first to the last.
    pub fn was_there(&self, thing: &Thing, first: Moment, last: Moment) -> bool {
        let turns = self.turns(thing);
        let before = turns.iter().filter(|turn| **turn <= first).count();
        before % 2 == 1 || turns.get(before).is_some_and(|turn| *turn <= last)
    }

    /// Whether something came after a moment.
    pub fn came_since(&self, thing: &Thing, moment: Moment) -> bool {
        self.turns(thing).iter().enumerate().any(|(number, turn)| number % 2 == 0 && *turn > moment)
    }
}

#[test]
fn presence_and_absence_are_told_for_every_span_of_moments() {
    let thing = Thing::new("a", "t");
    let (without, with) = (BTreeSet::new(), BTreeSet::from([thing.clone()]));
    let mut past = Past::default();
    // There from moment 2 to 3, and from 5 on.
    for there in [(false, false), (false, true), (true, true), (true, false), (false, true), (true, true)] {
        let of = |there| if there { &with } else { &without };
        past.note(of(there.0), of(there.1));
    }
    for (first, last, absent) in
        [(0, 0, true), (1, 6, true), (2, 3, false), (2, 4, true), (3, 6, true), (4, 4, true), (5, 6, false)]
    {
        assert_eq!(past.was_absent(&thing, first, last), absent, "{first} to {last}");
    }
    for (first, last, there) in [(0, 1, false), (0, 2, true), (3, 3, true), (4, 4, false), (4, 5, true)] {
        assert_eq!(past.was_there(&thing, first, last), there, "{first} to {last}");
    }
    assert!(past.came_since(&thing, 1) && past.came_since(&thing, 4) && !past.came_since(&thing, 5));
    assert!(past.was_absent(&Thing::new("b", "t"), 0, 6));
}
