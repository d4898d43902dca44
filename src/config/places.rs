//! Where everything that was configured stands, so that what is found to be wrong later is reported by its place as well.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::error::{Origin, Problem};

/// The place of each key, of each element of an array (`auth.rules[0]`), and of each option of a plugin.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    paths: BTreeMap<String, Origin>,
    /// The file, if one was read.
    pub(super) file: Option<PathBuf>,
    /// How many variables of the environment were read.
    pub(super) variables: usize,
}

impl Places {
    /// Notes the place of a path. What was noted below it belonged to the value that this one replaces.
    pub(super) fn note(&mut self, path: &str, origin: Origin) {
        let from_here = self.paths.range(path.to_owned()..).map(|(known, _)| known);
        let alike = from_here.take_while(|known| known.starts_with(path));
        let below: Vec<String> = alike.filter(|known| is_below(path, known)).cloned().collect();
        for known in below {
            self.paths.remove(&known);
        }
        self.paths.insert(path.to_owned(), origin);
    }

    /// The place of a path, or of the nearest thing around it that was configured.
    pub(super) fn of(&self, path: &str) -> Origin {
        let mut path = path;
        loop {
            if let Some(origin) = self.paths.get(path) {
                return origin.clone();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return Origin::Default,
            }
        }
    }

    /// Whether something was configured at this very path by the file.
    pub(super) fn is_in_file(&self, path: &str) -> bool {
        matches!(self.paths.get(path), Some(Origin::Line(..)))
    }

    /// Whether the file gave nothing.
    pub(super) fn is_file_empty(&self) -> bool {
        !self.paths.values().any(|origin| matches!(origin, Origin::Line(..)))
    }

    /// Something that is wrong at a path: `sentence` names the path and the fault, and ends in what would be right.
    pub(super) fn problem(&self, path: &str, sentence: impl Into<String>) -> Problem {
        Problem::new(self.of(path), sentence)
    }
}

impl fmt::Display for Places {
    /// What was read: a file, variables of the environment, or neither.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(formatter, "{}", file.display())?,
            None => formatter.write_str("no file")?,
        }
        match self.variables {
            0 => formatter.write_str(" and no environment variable"),
            1 => formatter.write_str(" and 1 environment variable"),
            more => write!(formatter, " and {more} environment variables"),
        }
    }
}

impl PartialEq for Places {
    /// Two configurations are the same wherever their parts stand.
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

fn is_below(path: &str, other: &str) -> bool {
    other.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Origin {
        Origin::Variable(name.to_owned())
    }

    #[test]
    fn what_has_no_place_of_its_own_stands_where_the_thing_around_it_does() {
        let mut places = Places::default();
        places.note("auth.rules", variable("A"));
        places.note("auth.rules[1]", variable("B"));
        assert_eq!(places.of("auth.rules[1].who"), variable("B"));
        assert_eq!(places.of("auth.rules[0].who"), variable("A"));
        assert_eq!(places.of("auth.mode"), Origin::Default);
    }

    #[test]
    fn a_value_that_replaces_another_has_none_of_its_places() {
        let mut places = Places::default();
        places.note("auth.rules", variable("A"));
        places.note("auth.rules[1]", variable("B"));
        places.note("auth.rules_other", variable("C"));
        places.note("auth.rules", variable("D"));
        assert_eq!(places.of("auth.rules[1]"), variable("D"));
        assert_eq!(places.of("auth.rules_other"), variable("C"));
    }
}
