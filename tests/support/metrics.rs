//! The metrics of a door, as Prometheus reads them.

use std::collections::BTreeSet;

use super::door::Door;
use super::http::http_client;

/// All metrics of a door, as text.
pub async fn metrics(door: &Door) -> String {
    let response = http_client().get(format!("{}/metrics", door.admin())).send().await.unwrap();
    response.error_for_status().unwrap().text().await.unwrap()
}

/// The families of which a text has samples and no description.
pub fn undescribed(text: &str) -> BTreeSet<&str> {
    let described: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '))
        .filter(|(_, help)| !help.trim().is_empty())
        .map(|(family, _)| family)
        .collect();
    let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names = samples.filter_map(|line| line.split(['{', ' ']).next());
    let is_described = |name: &str| {
        let ends = ["", "_bucket", "_sum", "_count"];
        ends.iter().filter_map(|end| name.strip_suffix(end)).any(|family| described.contains(family))
    };
    names.filter(|name| !is_described(name)).collect()
}
