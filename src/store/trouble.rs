//! Why a store takes no writes, for what tells the state of the door.

/// Why a store takes no writes now. The words may be shown to anybody: the path and the system's own words are in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreTrouble {
    /// The path leads nowhere.
    #[error("its file is not at its path any more; put it back, or restart the door to begin with a new one")]
    Gone,
    /// The path leads to something else than what is open.
    #[error(
        "another file is at its path; put the right one back, or restart the door to go on with that one"
    )]
    Replaced,
    /// The open file was cut, or something was written over it.
    #[error("its file was changed by another program; restart the door to go on with what is in it now")]
    Overwritten,
    /// It cannot be found out where the path leads.
    #[error("the system does not let its path be looked at")]
    Unreachable,
    /// The file cannot be read back.
    #[error(
        "its file is damaged; restore a backup, or move the file away and let a new store be filled by a sweep"
    )]
    Damaged,
    /// The medium does not take writes.
    #[error("its file takes no writes; is its disk full?")]
    Medium,
    /// The database cannot be reached, or takes no writes.
    #[error("its database cannot be reached or takes no writes; the door tries again and again")]
    Database,
}
