//! What was there when, in the registry; and when the store recorded what.
//!
//! Time is counted in versions: one for each change of the registry.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::Sequence;

/// Something that is there or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    pub repository: String,
    /// A tag, a digest, or both for what a tag points to; or empty for the repository itself, which is there as long as the
    /// registry does not deny it.
    pub name: String,
}

/// How many times the registry has changed.
pub type Version = u64;

/// The past of one registry and of the store that follows it.
#[derive(Debug, Default)]
pub struct RegistryHistory {
    now: Version,
    /// When each resource came or went, in turn.
    turns: BTreeMap<Resource, Vec<Version>>,
    /// When each repository was last changed.
    changed: BTreeMap<String, Version>,
    /// When the store gave out its numbers: each up to and including the key.
    recorded: BTreeMap<Sequence, Version>,
}

impl Resource {
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

impl RegistryHistory {
    pub fn now(&self) -> Version {
        self.now
    }

    /// The registry has changed from one to the other.
    pub fn note(&mut self, before: &BTreeSet<Resource>, after: &BTreeSet<Resource>) {
        self.now += 1;
        for resource in before.symmetric_difference(after) {
            self.turns.entry(resource.clone()).or_default().push(self.now);
        }
    }

    /// A repository has changed, if only in what its tags point to.
    pub fn touch(&mut self, repository: &str) {
        self.changed.insert(repository.to_owned(), self.now);
    }

    pub fn last_change(&self, repository: &str) -> Version {
        self.changed.get(repository).copied().unwrap_or_default()
    }

    /// The store has given out its numbers up to this one.
    pub fn record(&mut self, last: Sequence) {
        if self.recorded.last_key_value().is_none_or(|(known, _)| *known < last) {
            self.recorded.insert(last, self.now);
        }
    }

    /// The version at which the store gave out this number.
    pub fn version_of(&self, sequence: Sequence) -> Version {
        self.recorded.range(sequence..).next().map_or(self.now, |(_, version)| *version)
    }

    fn turns(&self, resource: &Resource) -> &[Version] {
        self.turns.get(resource).map_or(&[], Vec::as_slice)
    }

    /// Whether something was not there at some version from the first to the last.
    pub fn was_absent(&self, resource: &Resource, first: Version, last: Version) -> bool {
        let turns = self.turns(resource);
        let before = turns.iter().filter(|turn| **turn <= first).count();
        // It is not there in the beginning: every second turn takes it away.
        before % 2 == 0 || turns.get(before).is_some_and(|turn| *turn <= last)
    }

    /// Whether something was there at some version from the first to the last.
    pub fn was_there(&self, resource: &Resource, first: Version, last: Version) -> bool {
        let turns = self.turns(resource);
        let before = turns.iter().filter(|turn| **turn <= first).count();
        before % 2 == 1 || turns.get(before).is_some_and(|turn| *turn <= last)
    }

    /// Whether something came after a version.
    pub fn came_since(&self, resource: &Resource, version: Version) -> bool {
        self.turns(resource).iter().enumerate().any(|(number, turn)| number % 2 == 0 && *turn > version)
    }
}

#[test]
fn presence_and_absence_are_told_for_every_span_of_moments() {
    let resource = Resource::new("a", "t");
    let (without, with) = (BTreeSet::new(), BTreeSet::from([resource.clone()]));
    let mut past = RegistryHistory::default();
    // There from version 2 to 3, and from 5 on.
    for there in [(false, false), (false, true), (true, true), (true, false), (false, true), (true, true)] {
        let of = |there| if there { &with } else { &without };
        past.note(of(there.0), of(there.1));
    }
    for (first, last, absent) in
        [(0, 0, true), (1, 6, true), (2, 3, false), (2, 4, true), (3, 6, true), (4, 4, true), (5, 6, false)]
    {
        assert_eq!(past.was_absent(&resource, first, last), absent, "{first} to {last}");
    }
    for (first, last, there) in [(0, 1, false), (0, 2, true), (3, 3, true), (4, 4, false), (4, 5, true)] {
        assert_eq!(past.was_there(&resource, first, last), there, "{first} to {last}");
    }
    assert!(past.came_since(&resource, 1) && past.came_since(&resource, 4) && !past.came_since(&resource, 5));
    assert!(past.was_absent(&Resource::new("b", "t"), 0, 6));
}
