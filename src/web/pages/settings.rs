//! What is configured of the pages.

/// What is configured of the pages.
#[derive(Clone, Debug, Default)]
pub struct PageSettings {
    /// Whether pages of an open door change anything.
    pub open_writes: bool,
    /// Name and port by which clients know the door, where that is configured; from each request otherwise.
    pub authority: Option<String>,
}
