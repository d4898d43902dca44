//! What two manifests and their configurations say of themselves, where it differs.

use std::collections::{BTreeMap, BTreeSet};

use super::super::format::{CutText, shortened};
use super::super::image::arguments;
use super::standing::NAME;
use crate::oci::{Document, ImageConfig};
use crate::store::ManifestRecord;

/// Something that they say differently.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub name: String,
    pub from: Option<CutText>,
    pub towards: Option<CutText>,
}

/// What they say differently of themselves.
pub(super) fn changes(old: &ManifestRecord, new: &ManifestRecord) -> Vec<Change> {
    let (before, after) = (said(old), said(new));
    let names: BTreeSet<&(u8, String)> = before.keys().chain(after.keys()).collect();
    let change = |key: &(u8, String)| {
        let (from, towards) = (before.get(key), after.get(key));
        (from != towards).then(|| Change {
            name: shortened(&key.1, NAME),
            from: from.map(|text| CutText::from(&**text)),
            towards: towards.map(|text| CutText::from(&**text)),
        })
    };
    names.into_iter().filter_map(change).collect()
}

/// What a manifest and its configuration say, by name, in the order in which it is shown.
fn said(record: &ManifestRecord) -> BTreeMap<(u8, String), String> {
    let mut said = BTreeMap::new();
    let Document { media_type, artifact_type, annotations, .. } = &record.document;
    let mut say = |place: u8, name: &str, value: Option<String>| {
        if let Some(value) = value {
            said.insert((place, name.to_owned()), value);
        }
    };
    say(0, "Type", Some(media_type.to_string()));
    say(1, "Artifact type", artifact_type.as_ref().map(ToString::to_string));
    if let Some(image) = &record.image {
        let ImageConfig { platform, author, user, working_directory, .. } = image;
        say(2, "Platform", platform.as_ref().map(ToString::to_string));
        say(3, "Author", author.clone());
        say(4, "Entry point", arguments(&image.entry_point));
        say(5, "Command", arguments(&image.command));
        say(6, "User", user.clone());
        say(7, "Directory", working_directory.clone());
        say(8, "Ports", (!image.exposed_ports.is_empty()).then(|| image.exposed_ports.join(", ")));
        for (name, value) in &image.labels {
            say(9, &format!("Label {name}"), Some(value.clone()));
        }
    }
    for (name, value) in annotations {
        say(10, &format!("Annotation {name}"), Some(value.clone()));
    }
    said
}
