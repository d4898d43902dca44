//! What `portreeve check` found, in sentences.

use std::fmt;

/// What was tried, and how it went: one sentence each.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<Line>,
    is_misconfigured: bool,
}

#[derive(Debug)]
struct Line {
    mark: Mark,
    sentence: String,
}

/// How what was tried is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// As it should be.
    Good,
    /// Not as it should be; the door does its work all the same.
    Warning,
    /// Something has to be done.
    Wrong,
}

impl From<bool> for Mark {
    fn from(good: bool) -> Self {
        if good { Self::Good } else { Self::Wrong }
    }
}

impl Report {
    /// Whether nothing has to be done.
    pub fn is_good(&self) -> bool {
        self.lines.iter().all(|line| line.mark != Mark::Wrong)
    }

    /// Whether the door does not start before the configuration is another one.
    pub const fn is_misconfigured(&self) -> bool {
        self.is_misconfigured
    }

    /// Adds what keeps the door from starting until the configuration is another one.
    pub(super) fn misconfigured(&mut self, sentence: impl Into<String>) {
        self.is_misconfigured = true;
        self.note(false, sentence);
    }

    /// Adds a sentence.
    pub(super) fn note(&mut self, mark: impl Into<Mark>, sentence: impl Into<String>) {
        self.lines.push(Line { mark: mark.into(), sentence: sentence.into() });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.lines.iter().enumerate() {
            if number > 0 {
                formatter.write_str("\n")?;
            }
            let mark = match line.mark {
                Mark::Good => "ok   ",
                Mark::Warning => "warn ",
                Mark::Wrong => "wrong",
            };
            write!(formatter, "{mark}  {}", line.sentence)?;
        }
        Ok(())
    }
}

/// A sentence that begins with a small letter of ASCII, at its beginning.
pub(super) fn capitalized(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + characters.as_str())
        .unwrap_or_default()
}
