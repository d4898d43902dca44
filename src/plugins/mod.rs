//! The door's plugins: one file each, and the one table that names them all.
//!
//! The order of the table is the order of running; responses and ends go back in reverse. It is fixed: configuration
//! can set a plugin's options, but neither drop nor move it. Who the client is comes first, since all others speak of
//! it; the observer comes last, so that nothing is carried that another plugin would refuse.
//!
//! Adding a plugin is one new file and its line here.

mod access_log;
mod answers;
mod authorization;
mod chunk_order;
mod client_address;
mod contradictions;
mod observer;
mod pulls;

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::door::{Entry, InvalidOption, Parts, Pipeline, Prepared};
use crate::suggestion;

/// Every plugin, in order.
pub const TABLE: &[Entry] = &[
    client_address::ENTRY,
    access_log::ENTRY,
    authorization::ENTRY,
    chunk_order::ENTRY,
    pulls::ENTRY,
    contradictions::ENTRY,
    answers::ENTRY,
    observer::ENTRY,
];

/// All plugins with their options read, ready to be made.
pub struct PreparedPlugins {
    plugins: Vec<(&'static str, Prepared)>,
    /// The networks of proxies that are trusted to say who their clients are, as the options of `client_address` name
    /// them.
    pub trusted_proxies: Vec<IpNet>,
}

impl PreparedPlugins {
    /// Makes the plugins.
    pub fn build(self, parts: &Parts) -> Pipeline {
        Pipeline::new(self.plugins.into_iter().map(|(name, prepared)| (name, prepared(parts))).collect())
    }
}

/// Reads the options of all plugins.
///
/// # Errors
/// Every table of a plugin that does not exist, and every option that is unknown or has a value that does not fit.
pub fn prepare(options: &BTreeMap<String, toml::Table>) -> Result<PreparedPlugins, Vec<InvalidPlugins>> {
    let empty = toml::Table::new();
    let mut wrong: Vec<_> = options.keys().filter_map(|name| unknown_plugin(name)).collect();
    let mut plugins = Vec::with_capacity(TABLE.len());
    for entry in TABLE {
        let table = options.get(entry.name).unwrap_or(&empty);
        let unknown: Vec<_> = table.keys().filter_map(|option| unknown_option(entry, option)).collect();
        if !unknown.is_empty() {
            wrong.extend(unknown);
            continue;
        }
        match (entry.prepare)(table) {
            Ok(prepared) => plugins.push((entry.name, prepared)),
            Err(invalid) => wrong.extend(invalid.into_iter().map(|invalid| wrong_value(entry, invalid))),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    // The connections' limits and the requests' identifiers need them before any plugin runs.
    let of_clients = options.get(client_address::ENTRY.name).unwrap_or(&empty);
    let trusted_proxies = client_address::trusted_proxies(of_clients).unwrap_or_default();
    Ok(PreparedPlugins { plugins, trusted_proxies })
}

fn unknown_plugin(name: &str) -> Option<InvalidPlugins> {
    let known: Vec<_> = TABLE.iter().map(|entry| entry.name).collect();
    (!known.contains(&name))
        .then(|| InvalidPlugins::UnknownPlugin { name: name.to_owned(), remedy: remedy(name, &known) })
}

fn unknown_option(entry: &Entry, option: &str) -> Option<InvalidPlugins> {
    let known: Vec<_> = entry.options.iter().map(|option| option.name).collect();
    (!known.contains(&option)).then(|| InvalidPlugins::UnknownOption {
        plugin: entry.name,
        option: option.to_owned(),
        remedy: remedy(option, &known),
    })
}

fn wrong_value(entry: &Entry, InvalidOption { name, source }: InvalidOption) -> InvalidPlugins {
    let option = entry.options.iter().find(|option| option.name == name);
    let expects = option.map_or("another value", |option| option.expects);
    InvalidPlugins::Value { plugin: entry.name, option: name, source, expects }
}

/// What was probably meant by a name that is none of the known ones, else all of these.
fn remedy(name: &str, known: &[&'static str]) -> String {
    match suggestion::nearest(name, known.iter().copied()) {
        Some(known) => format!("did you mean `{known}`?"),
        None if known.is_empty() => "it has none; remove it".to_owned(),
        None => format!("there are: {}", known.join(", ")),
    }
}

/// Why the plugins cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPlugins {
    /// A table for a plugin that does not exist.
    #[error("`plugins.{name}`: there is no such plugin; {remedy}")]
    UnknownPlugin {
        /// The name of the table.
        name: String,
        /// What would be right.
        remedy: String,
    },
    /// An option that the plugin does not have.
    #[error("`plugins.{plugin}.{option}`: the plugin has no such option; {remedy}")]
    UnknownOption {
        /// Which plugin.
        plugin: &'static str,
        /// The key of the option.
        option: String,
        /// What would be right.
        remedy: String,
    },
    /// A value that does not fit.
    #[error("`plugins.{plugin}.{option}`: {}; write {expects}", .source.message())]
    Value {
        /// Which plugin.
        plugin: &'static str,
        /// The key of the option.
        option: String,
        /// What is wrong with it.
        source: toml::de::Error,
        /// What would be right.
        expects: &'static str,
    },
}

impl InvalidPlugins {
    /// The path of what is wrong in the configuration.
    pub fn path(&self) -> String {
        match self {
            Self::UnknownPlugin { name, .. } => format!("plugins.{name}"),
            Self::UnknownOption { plugin, option, .. } | Self::Value { plugin, option, .. } => {
                format!("plugins.{plugin}.{option}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = TABLE.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn the_observer_is_last() {
        assert_eq!(TABLE.last().unwrap().name, "observer");
    }

    #[test]
    fn the_guide_and_the_example_configuration_know_every_plugin() {
        let guide = include_str!("../../config/README.md");
        let example = include_str!("../../config/portreeve.toml");
        for entry in TABLE {
            assert!(guide.contains(&format!("`{}`", entry.name)), "config/README.md lacks {}", entry.name);
            assert!(example.contains(entry.name), "config/portreeve.toml lacks {}", entry.name);
        }
    }
}
