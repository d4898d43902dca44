//! Why a question is not answered.

use crate::store::StoreError;

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The record could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What would have to be in memory is too much.
    #[error(
        "the record is too large to be searched: names and sizes of its tags take more than {memory} bytes of memory"
    )]
    TooLarge {
        /// The bytes that it may take.
        memory: usize,
    },
    /// What has to be known of each namespace is too much.
    #[error("there are too many namespaces: what they hold takes more than {memory} bytes of memory")]
    TooManyNamespaces {
        /// The bytes that it may take.
        memory: usize,
    },
    /// The door stops.
    #[error("the search was interrupted: the door is stopping")]
    Interrupted,
}
