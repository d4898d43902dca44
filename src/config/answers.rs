//! The section `answers`.

use super::settings::{Given, Settings, text};
use super::value::quoted;

/// The section `answers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// `answers.from`
    pub from: AnswersFrom,
}

/// Who answers what clients ask of lists and manifests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswersFrom {
    /// `"record"`: the door from its record, once a sweep was complete.
    #[default]
    Record,
    /// `"registry"`: the registry.
    Registry,
}

/// Reads the section `answers`.
pub(super) fn read(settings: &mut Settings) -> Answers {
    let mut answers = Answers::default();
    settings.read_into(&mut answers.from, "answers.from", from);
    answers
}

fn from(given: &Given) -> Result<AnswersFrom, String> {
    let remedy = "write \"record\" or \"registry\"";
    match text(given, remedy)? {
        "record" => Ok(AnswersFrom::Record),
        "registry" => Ok(AnswersFrom::Registry),
        other => Err(format!("is {}; {remedy}", quoted(other))),
    }
}
