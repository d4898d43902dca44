//! The layers of two manifests, each with whether it came, went or stayed.

use std::collections::HashSet;

use super::super::format::{Number, ShortDigest, Size};
use super::standing::Standing;
use crate::oci::{Descriptor, Digest};
use crate::store::ManifestRecord;

/// How many layers are on which side, with their bytes.
#[derive(Default)]
pub(super) struct Counts {
    pub added: u64,
    pub added_bytes: u64,
    pub removed: u64,
    pub removed_bytes: u64,
    pub kept: u64,
    pub kept_bytes: u64,
}

/// A layer of one of them, or of both.
pub(super) struct LayerRow {
    pub standing: Standing,
    pub size: Size,
    pub digest: ShortDigest,
    pub command: Option<String>,
}

impl Counts {
    pub(super) fn in_words(&self) -> String {
        let part = |count, bytes, what| format!("{} {what} ({})", Number(count), Size(bytes).in_words());
        [
            part(self.added, self.added_bytes, "added"),
            part(self.removed, self.removed_bytes, "removed"),
            part(self.kept, self.kept_bytes, "kept"),
        ]
        .join(", ")
    }
}

/// The layers of both: in the order of the newer one, and before each of its own what stood there in the older one.
pub(super) fn layers(old: &ManifestRecord, new: &ManifestRecord) -> (Vec<LayerRow>, Counts) {
    let digests = |record: &ManifestRecord| -> HashSet<Digest> {
        record.document.layers.iter().map(|layer| layer.digest.clone()).collect()
    };
    let (in_old, in_new) = (digests(old), digests(new));
    let (old_commands, new_commands) = (commands(old), commands(new));
    let mut counts = Counts::default();
    let mut rows = Vec::new();
    let mut add = |standing, layer: &Descriptor, command: Option<&str>| {
        let (count, bytes) = match standing {
            Standing::Added => (&mut counts.added, &mut counts.added_bytes),
            Standing::Removed => (&mut counts.removed, &mut counts.removed_bytes),
            Standing::Kept => (&mut counts.kept, &mut counts.kept_bytes),
        };
        *count += 1;
        *bytes = bytes.saturating_add(layer.size);
        rows.push(LayerRow {
            standing,
            size: Size(layer.size),
            digest: ShortDigest::from(&layer.digest),
            command: command.map(str::to_owned),
        });
    };
    let mut left = old.document.layers.iter().zip(old_commands).peekable();
    for (layer, command) in new.document.layers.iter().zip(new_commands) {
        while let Some((gone, command)) = left.next_if(|(older, _)| !in_new.contains(&older.digest)) {
            add(Standing::Removed, gone, command);
        }
        if in_old.contains(&layer.digest) {
            add(Standing::Kept, layer, command);
            left.next_if(|(older, _)| older.digest == layer.digest);
        } else {
            add(Standing::Added, layer, command);
        }
    }
    for (gone, command) in left.filter(|(older, _)| !in_new.contains(&older.digest)) {
        add(Standing::Removed, gone, command);
    }
    (rows, counts)
}

/// What made each layer, by their places: one layer may stand there twice, made by two steps. Nothing where steps and layers do not fit
/// together.
fn commands(record: &ManifestRecord) -> Vec<Option<&str>> {
    let layers = record.document.layers.len();
    let history = record.image.as_ref().map(|image| image.history.as_slice()).unwrap_or_default();
    let steps = history.iter().filter(|step| !step.is_empty_layer);
    let commands: Vec<Option<&str>> = steps.map(|step| step.command.as_deref()).collect();
    if commands.len() == layers { commands } else { vec![None; layers] }
}
