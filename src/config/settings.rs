//! What was given for each key, by the last layer that spoke of it, and the problems met on the way.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::error::{Origin, Problem};
use super::keys::{self, Key};
use super::places::Places;

/// A value that was given for a key.
#[derive(Debug)]
pub(super) struct Given {
    /// The value; always a string if it comes from the environment.
    pub(super) value: Value,
    /// Where it was given.
    pub(super) origin: Origin,
}

/// The layers laid over each other.
#[derive(Debug, Default)]
pub(super) struct Settings {
    given: BTreeMap<&'static str, Given>,
    /// The plugins' tables, by plugin name.
    pub(super) plugins: BTreeMap<String, Table>,
    /// Where everything was given.
    pub(super) places: Places,
    /// What was wrong so far.
    pub(super) problems: Vec<Problem>,
}

impl Settings {
    /// Lays a value over whatever a lower layer gave for the key.
    pub(super) fn give(&mut self, key: &'static Key, value: Value, origin: Origin) {
        self.places.note(key.name, origin.clone());
        self.given.insert(key.name, Given { value, origin });
    }

    /// Notes a problem.
    pub(super) fn complain(&mut self, origin: Origin, sentence: impl Into<String>) {
        self.problems.push(Problem::new(origin, sentence));
    }

    /// Notes a key that is not known. `spell` writes a known path in the way of the layer.
    pub(super) fn complain_unknown(&mut self, origin: Origin, path: &str, spell: impl Fn(&str) -> String) {
        let remedy = match keys::nearest(path) {
            Some(known) => format!("did you mean `{}`?", spell(&known)),
            None => "remove it".to_owned(),
        };
        self.complain(origin, format!("`{}` is not a known key; {remedy}", spell(path)));
    }

    /// Whether a key was given at all.
    pub(super) fn has(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// Where a key was given.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.given.get(key).map_or(Origin::Default, |given| given.origin.clone())
    }

    /// Reads a key by its type into a field, which stays as it is if the key was not given, or is wrong.
    pub(super) fn read_into<T>(
        &mut self,
        field: &mut T,
        key: &str,
        read: impl FnOnce(&Given) -> Result<T, String>,
    ) {
        if let Some(value) = self.read(key, read) {
            *field = value;
        }
    }

    /// Reads a key by its type. Nothing if it was not given, or is wrong, which is noted.
    ///
    /// `read` answers what follows the key's name in the sentence: what is wrong, and what would be right.
    pub(super) fn read<T>(&mut self, key: &str, read: impl FnOnce(&Given) -> Result<T, String>) -> Option<T> {
        debug_assert!(keys::KEYS.iter().any(|known| known.name == key), "`{key}` is missing in KEYS");
        let given = self.given.get(key)?;
        match read(given) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let origin = given.origin.clone();
                self.complain(origin, format!("`{key}` {wrong}"));
                None
            }
        }
    }
}

/// What kind of value this is, with its article.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a float",
        Value::Boolean(_) => "a boolean",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "an array",
        Value::Table(_) => "a table",
    }
}

/// The text that a setting has to be.
pub(super) fn text<'a>(given: &'a Given, remedy: &str) -> Result<&'a str, String> {
    match &given.value {
        Value::String(text) => Ok(text),
        other => Err(format!("is {}; {remedy}", kind(other))),
    }
}
