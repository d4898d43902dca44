//! The names that a walk over listings has met, in bounded memory: one hash for each name.

use std::collections::HashSet;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

/// The most names that are remembered. What comes beyond is not remembered, and so asked about directly: slower, but
/// right. About 40 MiB when full.
const MAXIMUM: usize = 2_000_000;

/// A set of names.
///
/// Two names may share a hash, once in 2^64 pairs; one of them would be overlooked by this sweep.
#[derive(Debug, Default)]
pub(in crate::sync) struct Marks(HashSet<u64>);

impl Marks {
    /// Marks a name. Answers whether it was not marked before.
    pub(in crate::sync) fn mark(&mut self, name: &str) -> bool {
        let hash = hash(name);
        if self.0.len() == MAXIMUM {
            return !self.0.contains(&hash);
        }
        self.0.insert(hash)
    }

    /// Whether a name was marked.
    pub(in crate::sync) fn has(&self, name: &str) -> bool {
        self.0.contains(&hash(name))
    }
}

/// Marks that are written down, piece by piece, so that they outlive a restart.
#[derive(Debug, Default)]
pub(in crate::sync) struct KeptMarks {
    marked: Marks,
    /// What was marked since this was last taken.
    fresh: Vec<u64>,
}

impl KeptMarks {
    /// Marks that were kept.
    pub(in crate::sync) fn kept(marks: Vec<u64>) -> Self {
        Self { marked: Marks(marks.into_iter().take(MAXIMUM).collect()), fresh: Vec::new() }
    }

    /// Marks a name.
    pub(in crate::sync) fn mark(&mut self, name: &str) {
        if self.marked.mark(name) && self.marked.0.len() < MAXIMUM {
            self.fresh.push(hash(name));
        }
    }

    /// Whether a name was marked.
    pub(in crate::sync) fn has(&self, name: &str) -> bool {
        self.marked.has(name)
    }

    /// What was marked since the last time.
    pub(in crate::sync) fn take_fresh(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.fresh)
    }

    /// What was kept was forgotten: all of it has to be kept again.
    pub(in crate::sync) fn all_fresh(&mut self) {
        self.fresh = self.marked.0.iter().copied().collect();
    }
}

/// SipHash-1-3 of the name's bytes and a byte that no UTF-8 has, without a key: the same in every build, since marks are kept.
fn hash(name: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(name.as_bytes());
    hasher.write_u8(0xff);
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
        let mut marks = KeptMarks::default();
        ["a", "b", "a"].iter().for_each(|name| marks.mark(name));
        let kept = marks.take_fresh();
        assert_eq!((kept.len(), marks.take_fresh().len()), (2, 0));
        let mut again = KeptMarks::kept(kept);
        ["a", "c"].iter().for_each(|name| again.mark(name));
        assert!(again.has("b"));
        assert_eq!(again.take_fresh().len(), 1);
        again.all_fresh();
        assert_eq!(again.take_fresh().len(), 3);
    }

    #[test]
    fn a_name_has_the_mark_that_every_build_gives_it() {
        assert_eq!([hash("library/alpine"), hash("")], [0xfd92_600b_3891_0780, 0x3040_6ea5_23c5_3def]);
    }

    #[test]
    fn beyond_the_most_names_none_is_remembered() {
        let mut marks = KeptMarks::kept((0..MAXIMUM as u64 + 7).collect());
        assert!(marks.marked.mark("one more") && !marks.has("one more"));
        marks.mark("one more");
        assert!(marks.take_fresh().is_empty());
    }
}
