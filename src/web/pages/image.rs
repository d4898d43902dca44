//! What an image says of itself, as pages show it.
//!
//! The record keeps no environment: its values may be secrets, and which of them are cannot be told by their names. So nothing of it is
//! shown, and the page says how to read it.

use super::format::Time;
use super::texts::Texts;
use super::visit::Visit;
use crate::clock::Timestamp;
use crate::oci::ImageConfig;

/// What an image says of itself.
pub(super) struct Image {
    pub platform: Option<String>,
    pub created: Option<Time>,
    /// As JSON, which tells arguments apart.
    pub entry_point: Option<String>,
    pub command: Option<String>,
    pub author: Option<String>,
    pub user: Option<String>,
    pub working_directory: Option<String>,
    pub ports: Vec<String>,
    pub labels: Texts,
    /// Whether it says more than is kept.
    pub is_cut: bool,
}

impl Image {
    pub(super) fn new(image: &ImageConfig, visit: &Visit) -> Self {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Self {
            platform: image.platform.as_ref().map(ToString::to_string),
            created: image.created.as_deref().and_then(Timestamp::parse).map(|time| visit.time(time)),
            entry_point: arguments(&image.entry_point),
            command: arguments(&image.command),
            author: text(&image.author),
            user: text(&image.user),
            working_directory: text(&image.working_directory),
            ports: image.exposed_ports.clone(),
            labels: Texts::from(&image.labels),
            is_cut: image.is_cut,
        }
    }
}

/// Arguments as they stand in a Dockerfile; nothing where there are none.
pub(super) fn arguments(arguments: &[String]) -> Option<String> {
    (!arguments.is_empty()).then(|| serde_json::to_string(arguments).unwrap_or_default())
}
