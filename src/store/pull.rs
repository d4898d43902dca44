//! Pulls: what is read through the door.

use crate::clock::Timestamp;
use crate::oci::{RepositoryName, Tag};

/// What was pulled and looked at of one manifest, counted for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// From which repository.
    pub repository: RepositoryName,
    /// By which tag; none for a pull by digest.
    pub tag: Option<Tag>,
    /// How often it was pulled; zero for what was only looked at, or heard of.
    pub count: u64,
    /// When it was last pulled; none if it was only looked at.
    pub last_pull: Option<Timestamp>,
    /// When somebody last pulled it or looked at it.
    pub last_seen: Timestamp,
}
