//! Files that lie beside a record and belong to it, such as keys: a backup has them behind the rows.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Content;

/// A file that lies beside a record. It may be a secret, so that only its name is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileBeside {
    /// Its name in its directory.
    pub name: String,
    content: Content,
}

/// Why files beside a record were not put there, or are not there as they were put. It is a sentence for the operator.
pub type BesideError = Box<dyn std::error::Error + Send + Sync>;

/// The place beside a record.
pub trait Beside {
    /// Whether these can be put there: nothing else is there, or these are there already.
    ///
    /// # Errors
    /// When not.
    fn check(&mut self, files: &[FileBeside]) -> Result<(), BesideError>;

    /// Puts them there, durably.
    ///
    /// # Errors
    /// When that fails.
    fn put(&mut self, files: &[FileBeside]) -> Result<(), BesideError>;

    /// What is there.
    ///
    /// # Errors
    /// When that cannot be read.
    fn read(&mut self) -> Result<Vec<FileBeside>, BesideError>;
}

impl FileBeside {
    /// A file with this name and content.
    pub fn new(name: String, content: Vec<u8>) -> Self {
        Self { name, content: Content(content) }
    }

    /// What it holds.
    pub fn content(&self) -> &[u8] {
        &self.content.0
    }
}

impl fmt::Debug for FileBeside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileBeside").field("name", &self.name).finish_non_exhaustive()
    }
}
