//! The file layer: TOML into settings, with the line of each.

use std::path::Path;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

use super::error::Origin;
use super::keys::{self, Place};
use super::settings::{Settings, kind};

/// Lays the file's text over the settings. With a syntax error only that is noted: what the rest means is a guess then.
pub(super) fn apply(settings: &mut Settings, file: &Path, text: &str) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let layer = Layer { file, text };
    let mut reported = None;
    for error in &errors {
        let origin = layer.origin(error.span().map_or(0, |span| span.start));
        // What follows on the same line is mostly the parser finding its way back.
        if reported.as_ref() != Some(&origin) {
            reported = Some(origin.clone());
            settings.complain(origin, format!("this is not valid TOML: {}", one_line(error.message())));
        }
    }
    if errors.is_empty() {
        layer.walk(settings, "", document.into_inner());
    }
}

struct Layer<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Layer<'_> {
    fn origin(&self, offset: usize) -> Origin {
        Origin::at(self.file, self.text, offset)
    }

    /// Takes the settings of one table and of those below it.
    fn walk(&self, settings: &mut Settings, section: &str, table: DeTable<'_>) {
        for (name, value) in table {
            let origin = self.origin(name.span().start);
            let name = name.into_inner();
            let path = if section.is_empty() { name.to_string() } else { format!("{section}.{name}") };
            // A quoted key with a dot in it is one name, not a path.
            let place = if name.contains('.') { Place::Unknown } else { keys::place(&path) };
            match place {
                Place::Key(key) => {
                    let below = self.places_below(&path, value.get_ref());
                    if let Some(value) = owned(settings, &origin, &path, value) {
                        settings.give(key, value, origin);
                        note_all(settings, below);
                    }
                }
                Place::Section => match value.into_inner() {
                    DeValue::Table(below) => self.walk(settings, &path, below),
                    _ => {
                        settings.complain(origin, format!("`{path}` is a section; write a table `[{path}]`"))
                    }
                },
                Place::Unknown if path == keys::PLUGINS => self.plugins(settings, origin, value),
                Place::Unknown => settings.complain_unknown(origin, &path, str::to_owned),
            }
        }
    }

    /// The places of what is in a value, outer ones first.
    fn places_below(&self, path: &str, value: &DeValue<'_>) -> Vec<(String, Origin)> {
        let mut places = Vec::new();
        let mut note = |path: String, offset: usize, value: &DeValue<'_>| {
            places.push((path.clone(), self.origin(offset)));
            places.extend(self.places_below(&path, value));
        };
        match value {
            DeValue::Table(table) => {
                for (name, value) in table {
                    note(format!("{path}.{}", name.get_ref()), name.span().start, value.get_ref());
                }
            }
            DeValue::Array(array) => {
                for (index, value) in array.iter().enumerate() {
                    note(format!("{path}[{index}]"), value.span().start, value.get_ref());
                }
            }
            _ => {}
        }
        places
    }

    /// Takes the plugins' tables as they are.
    fn plugins(&self, settings: &mut Settings, origin: Origin, value: Spanned<DeValue<'_>>) {
        let DeValue::Table(plugins) = value.into_inner() else {
            settings
                .complain(origin, "`plugins` is a section; write a table `[plugins.NAME]` for each plugin");
            return;
        };
        for (name, value) in plugins {
            let origin = self.origin(name.span().start);
            let path = format!("plugins.{}", name.get_ref());
            let below = self.places_below(&path, value.get_ref());
            match owned(settings, &origin, &path, value) {
                Some(Value::Table(table)) => {
                    settings.places.note(&path, origin);
                    note_all(settings, below);
                    settings.plugins.insert(name.into_inner().into_owned(), table);
                }
                Some(other) => {
                    settings
                        .complain(origin, format!("`{path}` is {}; write a table `[{path}]`", kind(&other)));
                }
                None => {}
            }
        }
    }
}

fn note_all(settings: &mut Settings, places: Vec<(String, Origin)>) {
    for (path, origin) in places {
        settings.places.note(&path, origin);
    }
}

/// The value without its places. The one thing that may fail here is a number that is out of range.
fn owned(settings: &mut Settings, origin: &Origin, path: &str, value: Spanned<DeValue<'_>>) -> Option<Value> {
    Value::deserialize(value.into_deserializer())
        .map_err(|error| {
            settings
                .complain(origin.clone(), format!("`{path}` cannot be read: {}", one_line(error.message())));
        })
        .ok()
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
