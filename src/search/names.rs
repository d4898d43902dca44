//! Names in one text, one behind another: a pattern is looked for in all of them at once.

use aho_corasick::packed::{self, MatchKind};
use memchr::memmem::Finder;

/// Stands around every name; no name has one.
const SEPARATOR: char = '\n';
/// What can stand between the words of a name.
const WORD_SEPARATORS: [char; 4] = ['-', '.', '_', '/'];

/// Names by number. A name stays until all are built anew.
#[derive(Debug)]
pub(super) struct Names {
    text: String,
    /// Where each begins.
    starts: Vec<u32>,
}

/// Where in a name a pattern was found, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Placement {
    /// It is the whole name.
    Exact,
    /// The name begins with it.
    Prefix,
    /// A word of the name begins with it: what stands before is neither letter nor digit.
    WordStart,
    /// Anywhere else.
    Inside,
}

impl Placement {
    /// The next better one, if there is one.
    pub(super) const fn better(self) -> Option<Self> {
        match self {
            Self::Exact => None,
            Self::Prefix => Some(Self::Exact),
            Self::WordStart => Some(Self::Prefix),
            Self::Inside => Some(Self::WordStart),
        }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self { text: SEPARATOR.to_string(), starts: Vec::new() }
    }
}

impl Names {
    /// Adds a name and answers its number; none if there is no room for further ones.
    pub(super) fn push(&mut self, name: &str) -> Option<u32> {
        let number = u32::try_from(self.starts.len()).ok()?;
        let start = u32::try_from(self.text.len()).ok()?;
        self.starts.push(start);
        self.text.push_str(name);
        self.text.push(SEPARATOR);
        Some(number)
    }

    /// Makes room for so many names.
    pub(super) fn reserve(&mut self, names: usize) {
        self.starts.reserve_exact(names);
    }

    /// The name with this number; an empty text if there is none.
    pub(super) fn get(&self, number: u32) -> &str {
        let number = number as usize;
        let Some(start) = self.starts.get(number) else { return "" };
        self.text.get(*start as usize..self.end(number)).unwrap_or_default()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity() + self.starts.capacity() * size_of::<u32>()
    }

    /// Where a name ends.
    fn end(&self, number: usize) -> usize {
        self.starts.get(number + 1).map_or(self.text.len(), |next| *next as usize) - 1
    }

    /// Tells of each name that has the pattern in it so well placed, or better, with the best placement. The better it has to
    /// be, the fewer places are looked at.
    pub(super) fn find(&self, pattern: &str, worst: Placement, mut found: impl FnMut(u32, Placement)) {
        if pattern.is_empty() || pattern.contains(SEPARATOR) {
            return;
        }
        match worst {
            Placement::Inside => self.find_all(pattern, found),
            Placement::WordStart => {
                let behind = |separator: char| format!("{separator}{pattern}");
                let beginnings = [SEPARATOR].into_iter().chain(WORD_SEPARATORS).map(behind);
                // In one pass, by instructions that not every processor has: without them every place of the pattern is looked at.
                let mut searcher = packed::Config::new().match_kind(MatchKind::LeftmostFirst).builder();
                match searcher.extend(beginnings).build() {
                    Some(any) => self.find_behind(pattern, |rest| Some(any.find(rest)?.start()), found),
                    None => self.find_all(pattern, |number, placement| {
                        if placement <= worst {
                            found(number, placement);
                        }
                    }),
                }
            }
            Placement::Prefix | Placement::Exact => {
                let end = if worst == Placement::Exact { "\n" } else { "" };
                let whole = format!("{SEPARATOR}{pattern}{end}");
                let finder = Finder::new(whole.as_bytes());
                self.find_behind(pattern, |rest| finder.find(rest), found);
            }
        }
    }

    /// Tells of each name in which `next` finds the pattern with the separator before it, where it begins in a text.
    fn find_behind(
        &self,
        pattern: &str,
        next: impl Fn(&[u8]) -> Option<usize>,
        mut found: impl FnMut(u32, Placement),
    ) {
        let (text, finder) = (self.text.as_bytes(), Finder::new(pattern));
        let (mut number, mut from) = (0, 0);
        while let Some(distance) = text.get(from..).and_then(&next) {
            let position = from + distance + SEPARATOR.len_utf8();
            number = self.number_at(number, position);
            let placement = self.placement(number, position, pattern.as_bytes(), &finder);
            // There are no more names than numbers.
            found(u32::try_from(number).unwrap_or(u32::MAX), placement);
            from = self.end(number);
        }
    }

    /// Where a pattern stands best in the name with this number, if it does.
    pub(super) fn placement_in(&self, number: u32, pattern: &Finder<'_>) -> Option<Placement> {
        let name = self.get(number).as_bytes();
        let first = pattern.find(name)?;
        let start = self.starts.get(number as usize).map(|start| *start as usize)?;
        Some(self.placement(number as usize, start + first, pattern.needle(), pattern))
    }

    /// Tells of each name that has the pattern in it, with the best placement; in the order of their numbers.
    fn find_all(&self, pattern: &str, mut found: impl FnMut(u32, Placement)) {
        let (text, pattern) = (self.text.as_bytes(), pattern.as_bytes());
        let finder = Finder::new(pattern);
        let mut number = 0;
        while number < self.starts.len() {
            let start = self.starts[number] as usize;
            // Where many names begin with it, looking at the next one is cheaper than looking for it.
            let position = if text[start..].starts_with(pattern) {
                start
            } else {
                let Some(distance) = finder.find(&text[start..]) else { return };
                start + distance
            };
            number = self.number_at(number, position);
            let placement = self.placement(number, position, pattern, &finder);
            // There are no more names than numbers.
            found(u32::try_from(number).unwrap_or(u32::MAX), placement);
            number += 1;
        }
    }

    /// The number of the name at a position of the text, which is not before this one.
    fn number_at(&self, from: usize, position: usize) -> usize {
        let is_behind =
            |number: usize| self.starts.get(number).is_none_or(|start| *start as usize > position);
        let mut step = 1;
        while !is_behind(from + step) {
            step *= 2;
        }
        let (low, high) = (from + step / 2, (from + step).min(self.starts.len()));
        low + self.starts[low..high].partition_point(|start| *start as usize <= position) - 1
    }

    /// The best placement of a pattern in a name that has it first at this position of the text.
    fn placement(&self, number: usize, first: usize, pattern: &[u8], finder: &Finder<'_>) -> Placement {
        let (start, end) = (self.starts[number] as usize, self.end(number));
        if first == start {
            return if end - start == pattern.len() { Placement::Exact } else { Placement::Prefix };
        }
        let name = &self.text.as_bytes()[..end];
        let mut position = first;
        loop {
            if !name[position - 1].is_ascii_alphanumeric() {
                return Placement::WordStart;
            }
            match finder.find(&name[position + 1..]) {
                Some(distance) => position += 1 + distance,
                None => return Placement::Inside,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(name: &str, pattern: &str) -> Option<Placement> {
        let placement = |position: usize| match name.as_bytes()[..position].last() {
            None if name.len() == pattern.len() => Placement::Exact,
            None => Placement::Prefix,
            Some(before) if !before.is_ascii_alphanumeric() => Placement::WordStart,
            Some(_) => Placement::Inside,
        };
        (0..name.len()).filter(|position| name[*position..].starts_with(pattern)).map(placement).min()
    }

    proptest! {
        #[test]
        fn every_name_with_the_pattern_is_found_once_where_it_stands_best(
            names in prop::collection::vec("[ab._/-]{1,7}", 0..20),
            pattern in "[ab._/-]{1,4}",
        ) {
            let mut all = Names::default();
            for name in &names {
                all.push(name).unwrap();
            }
            let expected: Vec<_> = (0..).zip(&names).map(|(number, name)| (number, naive(name, &pattern))).collect();
            for worst in [Placement::Exact, Placement::Prefix, Placement::WordStart, Placement::Inside] {
                let mut found = Vec::new();
                all.find(&pattern, worst, |number, placement| found.push((number, Some(placement))));
                found.sort_unstable();
                let mut expected = expected.clone();
                expected.retain(|(_, placement)| placement.is_some_and(|placement| placement <= worst));
                prop_assert_eq!(found, expected);
            }
            let finder = Finder::new(&pattern);
            for ((number, name), (_, placement)) in (0..).zip(&names).zip(expected) {
                prop_assert_eq!(all.get(number), name);
                prop_assert_eq!(all.placement_in(number, &finder), placement);
            }
        }
    }

    #[test]
    fn a_pattern_does_not_reach_from_one_name_into_the_next() {
        let mut names = Names::default();
        for name in ["ab", "cd"] {
            names.push(name).unwrap();
        }
        for pattern in ["", "b\nc", "\n", "bc"] {
            names.find(pattern, Placement::Inside, |number, _| panic!("{pattern:?} was found in {number}"));
        }
    }
}
