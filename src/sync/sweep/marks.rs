//! What a sweep has met, in bounded memory: one hash for each name.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The most names that are remembered. What comes beyond is not remembered, and so asked about directly: slower, but
/// right. About 40 MiB when full.
const MAXIMUM: usize = 2_000_000;

/// A set of names.
///
/// Two names may share a hash, once in 2^64 pairs; one of them would be overlooked by this sweep.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marked: HashSet<u64>,
    /// What was marked since this was last taken.
    fresh: Vec<u64>,
}

impl Marks {
    /// Marks that were kept.
    pub fn kept(marks: Vec<u64>) -> Self {
        Self { marked: marks.into_iter().take(MAXIMUM).collect(), fresh: Vec::new() }
    }

    /// Marks a name. Answers whether it was not marked before.
    pub fn mark(&mut self, name: &str) -> bool {
        let hash = hash(name);
        if self.marked.len() == MAXIMUM {
            return !self.marked.contains(&hash);
        }
        let is_new = self.marked.insert(hash);
        if is_new {
            self.fresh.push(hash);
        }
        is_new
    }

    /// Whether a name was marked.
    pub fn has(&self, name: &str) -> bool {
        self.marked.contains(&hash(name))
    }

    /// What was marked since the last time.
    pub fn take_fresh(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.fresh)
    }
}

/// The same in every run of one build. Another build may hash otherwise: then kept marks fit nothing, and everything is
/// asked about.
fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_new_once_and_kept_marks_count() {
        let mut marks = Marks::default();
        assert!(marks.mark("a") && marks.mark("b") && !marks.mark("a"));
        assert!(marks.has("a") && !marks.has("c"));
        let kept = marks.take_fresh();
        assert_eq!((kept.len(), marks.take_fresh().len()), (2, 0));
        let mut again = Marks::kept(kept);
        assert!(again.has("b") && !again.mark("a") && again.mark("c"));
        assert_eq!(again.take_fresh().len(), 1);
    }

    #[test]
    fn beyond_the_most_names_none_is_remembered() {
        let mut marks = Marks::kept((0..MAXIMUM as u64 + 7).collect());
        assert!(marks.mark("one more") && !marks.has("one more"));
        assert!(marks.take_fresh().is_empty());
    }
}
