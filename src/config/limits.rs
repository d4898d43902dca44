//! `limits`: how much whoever comes may take of the door.

use super::settings::Settings;
use super::value;

/// How much whoever comes may take of the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `limits.body_memory`: the bytes of bodies that are held in memory at once; from 16 MiB to 64 GiB.
    pub body_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_memory: 64 << 20 }
    }
}

/// Reads the section.
pub(super) fn read(settings: &mut Settings) -> Limits {
    let mut limits = Limits::default();
    if let Some(bytes) = settings.read("limits.body_memory", value::body_memory) {
        limits.body_memory = bytes;
    }
    limits
}
