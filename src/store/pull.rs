//! Pulls: what is read through the door.

use crate::clock::Timestamp;
use crate::oci::{RepositoryName, Tag};

/// Pulls of one manifest, counted for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// From which repository.
    pub repository: RepositoryName,
    /// By which tag; none for a pull by digest.
    pub tag: Option<Tag>,
    /// How often; zero for what was only heard of.
    pub count: u64,
    /// When last.
    pub last: Timestamp,
}
