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
mod client_address;
mod observer;
mod pulls;

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::door::{Entry, Invalid, Parts, Pipeline};

/// Every plugin, in order.
pub const TABLE: &[Entry] = &[
    client_address::ENTRY,
    access_log::ENTRY,
    authorization::ENTRY,
    pulls::ENTRY,
    answers::ENTRY,
    observer::ENTRY,
];

/// Builds all plugins from their options.
///
/// # Errors
/// When there are options for a plugin that does not exist, or options that a plugin cannot be built with.
pub fn build(options: &BTreeMap<String, toml::Table>, parts: &Parts) -> Result<Pipeline, InvalidPlugins> {
    if let Some(name) = options.keys().find(|name| TABLE.iter().all(|entry| entry.name != name.as_str())) {
        let known = TABLE.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
        return Err(InvalidPlugins::Unknown { name: name.clone(), known });
    }
    let empty = toml::Table::new();
    let plugins = TABLE
        .iter()
        .map(|entry| {
            let table = options.get(entry.name).unwrap_or(&empty);
            Ok((entry.name, (entry.build)(table, parts)?))
        })
        .collect::<Result<Vec<_>, Invalid>>()?;
    Ok(Pipeline::new(plugins))
}

/// The networks of proxies that are trusted to say who their clients are, as the options of `client_address` name them.
///
/// # Errors
/// When the options do not fit.
pub fn trusted_proxies(options: &BTreeMap<String, toml::Table>) -> Result<Vec<IpNet>, InvalidPlugins> {
    let table = options.get(client_address::ENTRY.name);
    Ok(table.map(client_address::trusted_proxies).transpose()?.unwrap_or_default())
}

/// Why the plugins cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPlugins {
    /// A table for a plugin that does not exist.
    #[error("plugins.{name}: there is no such plugin; there are: {known}")]
    Unknown {
        /// The name of the table.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Options that do not fit.
    #[error(transparent)]
    Options(#[from] Invalid),
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
    fn readme_and_example_configuration_know_every_plugin() {
        let readme = include_str!("../../README.md");
        let example = include_str!("../../config/portreeve.toml");
        for entry in TABLE {
            assert!(readme.contains(&format!("`{}`", entry.name)), "README.md lacks {}", entry.name);
            assert!(example.contains(entry.name), "config/portreeve.toml lacks {}", entry.name);
        }
    }
}
