//! What is wrong with a configuration, reported all at once, with where it is and what would be right.

use std::fmt;
use std::path::{Path, PathBuf};

/// Everything that is wrong with a configuration. Shown with one sentence to a line.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// Orders problems as a reader of the file meets them, the environment's last.
    ///
    /// At least one is expected.
    pub fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|left, right| left.origin.cmp(&right.origin));
        Self { problems }
    }

    /// The problems, in the order of the file and then of the environment's variables; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

/// One thing that is wrong: where it stands, and a sentence with the key, the fault and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    origin: Origin,
    sentence: String,
}

impl Problem {
    /// A fault at a place.
    pub(super) fn new(origin: Origin, sentence: impl Into<String>) -> Self {
        Self { origin, sentence: sentence.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.origin, self.sentence)
    }
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The file as a whole.
    File(PathBuf),
    /// A line of the file, counted from 1.
    Line(PathBuf, usize),
    /// An environment variable.
    Variable(String),
    /// The built-in defaults.
    Default,
}

impl Origin {
    /// The place of a byte offset in the file's text.
    pub(super) fn at(file: &Path, text: &str, offset: usize) -> Self {
        let before = text.as_bytes().iter().take(offset);
        Self::Line(file.to_owned(), before.filter(|byte| **byte == b'\n').count() + 1)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(formatter, "{}", file.display()),
            Self::Line(file, line) => write!(formatter, "{}, line {line}", file.display()),
            Self::Variable(name) => write!(formatter, "environment variable {name}"),
            Self::Default => formatter.write_str("built-in defaults"),
        }
    }
}
