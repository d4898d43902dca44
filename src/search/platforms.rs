//! Sets of platforms, each kept once: most tags have one of a few.

use std::collections::HashMap;
use std::sync::Arc;

/// The sets that are known, by number. A set stays until all are built anew.
#[derive(Debug, Default)]
pub(super) struct PlatformSets {
    sets: Vec<Arc<[String]>>,
    numbers: HashMap<Arc<[String]>, u32>,
    /// The bytes of all names, and of what holds them.
    memory: usize,
}

impl PlatformSets {
    /// The number of a set; none if there is no room for further ones.
    pub(super) fn number(&mut self, platforms: &[String]) -> Option<u32> {
        if let Some(number) = self.numbers.get(platforms) {
            return Some(*number);
        }
        let number = u32::try_from(self.sets.len()).ok()?;
        let set: Arc<[String]> = platforms.into();
        let names: usize = set.iter().map(|name| size_of::<String>() + name.len()).sum();
        // Its place in the list and in the map.
        self.memory += names + 4 * size_of::<Arc<[String]>>();
        self.sets.push(Arc::clone(&set));
        self.numbers.insert(set, number);
        Some(number)
    }

    /// For each set by its number whether it has this platform.
    pub(super) fn having(&self, platform: &str) -> Vec<bool> {
        self.sets.iter().map(|set| has(set, platform)).collect()
    }

    /// The bytes of memory that they take.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }
}

/// Whether one of these platforms is the wanted one, or a part of it: `linux/arm64` is `linux/arm64/v8`, too.
pub(super) fn has(platforms: &[String], wanted: &str) -> bool {
    let is_wanted = |name: &String| {
        name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    platforms.iter().any(is_wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_kept_once_and_found_by_each_of_its_platforms() {
        let mut sets = PlatformSets::default();
        let both = ["linux/amd64".to_owned(), "linux/arm64/v8".to_owned()];
        let numbers = [sets.number(&[]), sets.number(&both), sets.number(&both[..1]), sets.number(&both)];
        assert_eq!(numbers, [Some(0), Some(1), Some(2), Some(1)]);
        for (platform, having) in [
            ("linux/amd64", [false, true, true]),
            ("linux/arm64", [false, true, false]),
            ("linux/arm64/v8", [false, true, false]),
            ("linux", [false, true, true]),
            ("linux/arm", [false; 3]),
            ("linux/arm64/v9", [false; 3]),
        ] {
            assert_eq!(sets.having(platform), having, "{platform}");
        }
    }
}
