//! The environment layer: variables `PORTREEVE__SECTION__KEY` into settings. A variable that begins with `PORTREEVE_` and is none
//! is refused: a slip of the pen would otherwise go unnoticed.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::error::Origin;
use super::keys::{self, Place, VARIABLE_PREFIX};
use super::settings::Settings;

/// What the names of all variables of ours begin with.
const NAMESPACE: &str = "PORTREEVE_";
/// Variables of ours that are no keys: the file to read, and the filter of the log.
const OTHERS: [&str; 2] = ["PORTREEVE_CONFIG", "PORTREEVE_LOG"];

/// Lays the variables over the settings. Those with another prefix are none of ours.
pub(super) fn apply(settings: &mut Settings, variables: impl Iterator<Item = (String, String)>) {
    // In the order of their names, so that the outcome does not hang on the order of the environment.
    let ours: BTreeMap<_, _> = variables
        .filter(|(name, value)| {
            name.starts_with(NAMESPACE)
                && !OTHERS.contains(&name.as_str())
                && !is_of_an_orchestrator(name, value)
        })
        .collect();
    settings.places.variables = ours.len();
    for (name, text) in ours {
        let origin = Origin::Variable(name.clone());
        if !name.starts_with(VARIABLE_PREFIX) {
            complain_misspelt(settings, origin, &name);
            continue;
        }
        let path = name[VARIABLE_PREFIX.len()..].replace("__", ".").to_lowercase();
        if text.contains(char::REPLACEMENT_CHARACTER) {
            settings.complain(origin, "the value is not valid UTF-8; write it in UTF-8");
            continue;
        }
        // Names are compared exactly: two spellings of one key would leave it to chance which one counts.
        if keys::variable(&path) != name {
            settings.complain_unknown(origin, &path, keys::variable);
            continue;
        }
        if let Some(plugin) = path.strip_prefix("plugins.") {
            apply_to_plugin(settings, origin, plugin, text);
            continue;
        }
        match keys::place(&path) {
            Place::Key(key) => settings.give(key, Value::String(text), origin),
            Place::Section => settings
                .complain(origin, format!("`{path}` is a section; name a key in it, as in {name}__KEY")),
            Place::Unknown if path == keys::PLUGINS => {
                settings.complain(origin, format!("`plugins` is a section; write {name}__NAME__KEY"));
            }
            Place::Unknown => settings.complain_unknown(origin, &path, keys::variable),
        }
    }
}

/// Whether a variable tells of a service of this name: Kubernetes sets `PORTREEVE_SERVICE_HOST`, `PORTREEVE_PORT` and more in
/// every container beside a service `portreeve`, or `portreeve-…`, and so do links of Docker.
fn is_of_an_orchestrator(name: &str, value: &str) -> bool {
    const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];
    if name.contains("__") {
        return false;
    }
    let is_address = PROTOCOLS.iter().any(|protocol| value.starts_with(&format!("{protocol}://")));
    let of_port = || {
        let (_, rest) = name.split_once("_PORT_")?;
        let (port, rest) = rest.split_once('_')?;
        let protocol = rest.split('_').next()?.to_lowercase();
        Some(port.parse::<u16>().is_ok() && PROTOCOLS.contains(&protocol.as_str()))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && is_address)
        || of_port() == Some(true)
}

/// Notes a variable without the two underscores that every key's has.
fn complain_misspelt(settings: &mut Settings, origin: Origin, name: &str) {
    let meant = keys::nearest_variable(name).map_or_else(
        || format!("; variables begin with {VARIABLE_PREFIX}"),
        |known| format!("; did you mean {known}?"),
    );
    settings.complain(origin, format!("`{name}` is not a known key{meant}"));
}

/// Puts a value into a plugin's table, however deep. Types are the plugin's own business, so text that reads as a TOML
/// value is taken as one (`10`, `true`, `["a", "b"]`), and any other as a string.
fn apply_to_plugin(settings: &mut Settings, origin: Origin, path: &str, text: String) {
    let segments: Vec<&str> = path.split('.').collect();
    let [plugin, sections @ .., key] = segments.as_slice() else {
        settings.complain(origin, format!("`plugins.{path}` is a table; name a key in it"));
        return;
    };
    if segments.iter().any(|segment| segment.is_empty()) {
        settings.complain(origin, "a part of the name is empty; separate plugin and key by two underscores");
        return;
    }
    let mut table = settings.plugins.entry((*plugin).to_owned()).or_default();
    for section in sections {
        let below = table.entry(*section).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(below) = below else {
            settings.complain(origin, format!("`{section}` in `plugins.{path}` is a value, not a table"));
            return;
        };
        table = below;
    }
    settings.places.note(&format!("plugins.{path}"), origin);
    table.insert((*key).to_owned(), toml_value(text));
}

/// Text that reads as a TOML value as that value, other text as a string.
fn toml_value(text: String) -> Value {
    text.parse().unwrap_or(Value::String(text))
}
