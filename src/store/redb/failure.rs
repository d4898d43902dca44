//! What can go wrong below the store's interface, before it is known what was attempted.

use std::error::Error;
use std::sync::Arc;

use crate::store::{StoreError, StoreTrouble};

/// Why something could not be read or written.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The medium failed.
    Medium(Arc<dyn Error + Send + Sync>),
    /// The database met an I/O error or is closed: it has to be opened anew.
    Interrupted,
    /// A row cannot be read back.
    Corrupt { what: String, cause: Arc<dyn Error + Send + Sync> },
    /// This one request is refused, for a reason of its own.
    Refused(StoreError),
}

/// The database has been closed because of an I/O error and could not be opened again yet.
#[derive(Debug, thiserror::Error)]
#[error("its file met an I/O error and could not be opened again yet")]
struct NotReopened;

impl Failure {
    /// A row that cannot be read back.
    pub(super) fn corrupt(what: impl Into<String>, cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Corrupt { what: what.into(), cause: Arc::new(cause) }
    }

    /// The error that the caller sees.
    pub(super) fn into_error(self, attempted: &'static str) -> StoreError {
        match self {
            Self::Medium(cause) => StoreError::Unavailable { attempted, cause },
            Self::Interrupted => StoreError::Unavailable { attempted, cause: Arc::new(NotReopened) },
            Self::Corrupt { what, cause } => StoreError::Corrupt { what, cause },
            Self::Refused(error) => error,
        }
    }

    /// What went wrong, in its own words.
    pub(super) fn into_cause(self) -> Arc<dyn Error + Send + Sync> {
        match self {
            Self::Medium(cause) => cause,
            Self::Interrupted => Arc::new(NotReopened),
            other @ (Self::Corrupt { .. } | Self::Refused(_)) => Arc::new(other.into_error("go on")),
        }
    }

    /// What it means for a store that it keeps from writing.
    pub(super) fn trouble(&self) -> StoreTrouble {
        match self {
            Self::Medium(cause) => cause.downcast_ref().copied().unwrap_or(StoreTrouble::Medium),
            Self::Interrupted | Self::Refused(_) => StoreTrouble::Medium,
            Self::Corrupt { .. } => StoreTrouble::Damaged,
        }
    }

    /// Whether the file is not at its place, or not as it was left: it stays open, since it may not be found again otherwise.
    pub(super) fn is_displaced(&self) -> bool {
        matches!(self, Self::Medium(cause) if cause.is::<StoreTrouble>())
    }

    /// Whether the fault lies with one request rather than with the medium.
    pub(super) fn is_of_one_request(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Refused(_))
    }
}

impl From<StoreTrouble> for Failure {
    fn from(trouble: StoreTrouble) -> Self {
        Self::Medium(Arc::new(trouble))
    }
}

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => Self::Interrupted,
            error @ (redb::Error::Corrupted(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableDoesNotExist(_)) => Self::corrupt("file", error),
            error => Self::Medium(Arc::new(error)),
        }
    }
}

macro_rules! from_each {
    ($($error:ident),+) => {
        $(impl From<redb::$error> for Failure {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        })+
    };
}

from_each!(StorageError, TableError, TransactionError, CommitError, DatabaseError);
