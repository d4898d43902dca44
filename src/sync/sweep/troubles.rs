//! What goes wrong with what a sweep asks about: with one repository, which is its own trouble, or with several of them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::time::Instant;

/// Failures about so many different subjects without an answer in between are the registry's trouble.
const WIDE: usize = 3;
/// So many questions about one subject that stand aside hold up the others about it.
const MOST_ASIDE: usize = 2;
/// The most subjects that are remembered; beyond that, those are forgotten that need not wait.
const MAXIMUM: usize = 4_096;

/// What a question is about: a repository, or the catalog. Two may share one, once in 2^64 pairs; then they wait for each
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject(u64);

impl Subject {
    /// The subject of a question with this path.
    pub(super) fn of(path: &str) -> Self {
        let name = path.strip_suffix("/tags/list");
        let name = name.or_else(|| Some(path.rsplit_once("/manifests/")?.0)).unwrap_or(path);
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The subjects with which something is wrong.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    subjects: HashMap<Subject, Trouble>,
    /// Subjects that have failed since the last answer to anything, up to as many as matter.
    failing: Vec<Subject>,
}

#[derive(Debug, Default)]
struct Trouble {
    /// Failures without an answer in between, those at once counted once.
    failures: u32,
    /// Nothing is asked about it before.
    rest: Option<Instant>,
    /// Questions about it that stand aside.
    aside: usize,
}

impl Troubles {
    /// When this may be asked about again, if it rests.
    pub(super) fn rest(&self, subject: Subject) -> Option<Instant> {
        self.subjects.get(&subject)?.rest
    }

    /// Whether so many questions about this stand aside that no other should be asked.
    pub(super) fn is_held_up(&self, subject: Subject) -> bool {
        self.subjects.get(&subject).is_some_and(|trouble| trouble.aside >= MOST_ASIDE)
    }

    /// Whether it is the registry that is in trouble.
    pub(super) fn are_wide(&self) -> bool {
        self.failing.len() >= WIDE
    }

    /// There was an answer about this.
    pub(super) fn answered(&mut self, subject: Subject) {
        self.failing.clear();
        if let Some(trouble) = self.subjects.get_mut(&subject) {
            (trouble.failures, trouble.rest) = (0, None);
            self.remove_if_over(subject);
        }
    }

    /// There was no answer about this. Answers how often in a row.
    pub(super) fn failed(&mut self, subject: Subject, now: Instant) -> u32 {
        if self.failing.len() < WIDE && !self.failing.contains(&subject) {
            self.failing.push(subject);
        }
        if self.subjects.len() >= MAXIMUM {
            self.subjects
                .retain(|_, trouble| trouble.aside > 0 || trouble.rest.is_some_and(|rest| rest > now));
        }
        let trouble = self.subjects.entry(subject).or_default();
        if trouble.rest.is_none_or(|rest| rest <= now) {
            trouble.failures = trouble.failures.saturating_add(1);
        }
        trouble.failures
    }

    /// Nothing is asked about this before.
    pub(super) fn rest_until(&mut self, subject: Subject, time: Instant) {
        let trouble = self.subjects.entry(subject).or_default();
        trouble.rest = trouble.rest.max(Some(time));
    }

    /// A question about this stands aside.
    pub(super) fn step_aside(&mut self, subject: Subject) {
        self.subjects.entry(subject).or_default().aside += 1;
    }

    /// One has ended.
    pub(super) fn end_aside(&mut self, subject: Subject) {
        if let Some(trouble) = self.subjects.get_mut(&subject) {
            trouble.aside = trouble.aside.saturating_sub(1);
            self.remove_if_over(subject);
        }
    }

    /// What failed counts no more.
    pub(super) fn forget(&mut self) {
        self.failing.clear();
        for trouble in self.subjects.values_mut() {
            (trouble.failures, trouble.rest) = (0, None);
        }
        self.subjects.retain(|_, trouble| trouble.aside > 0);
    }

    fn remove_if_over(&mut self, subject: Subject) {
        let is_over = |trouble: &Trouble| trouble.failures == 0 && trouble.aside == 0;
        if self.subjects.get(&subject).is_some_and(is_over) {
            self.subjects.remove(&subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn everything_that_is_asked_about_one_repository_is_one_subject() {
        let subjects = ["/v2/a/manifests/b/tags/list", "/v2/a/manifests/b/manifests/v1"].map(Subject::of);
        assert_eq!(subjects[0], subjects[1]);
        for other in ["/v2/a/tags/list", "/v2/_catalog", "/v2/a/manifests/b"] {
            assert_ne!(Subject::of(other), subjects[0], "{other}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn subjects_in_trouble_are_bounded_and_those_that_rest_are_kept() {
        let mut troubles = Troubles::default();
        let resting = Subject(0);
        troubles.rest_until(resting, Instant::now() + Duration::from_mins(1));
        for number in 1..10_000 {
            troubles.failed(Subject(number), Instant::now());
        }
        assert!(troubles.subjects.len() <= MAXIMUM, "{}", troubles.subjects.len());
        assert!(troubles.rest(resting).is_some());
    }
}
