//! All rows of the file, to be read or to be made: `source` reads them, `destination` writes them, `derived`
//! looks whether what is kept beside them follows from them.

mod derived;
mod destination;
mod source;

use std::path::Path;

use self::destination::NewFile;
pub(super) use self::source::Rows;
use super::file::OpenError;
use super::panics::caught;
use super::{RedbStore, file};
use crate::store::copy::{NewRecord, WholeRecord};

impl RedbStore {
    /// The whole record of the store at `path`, whose file stays byte for byte as it is. No door may have it.
    ///
    /// # Errors
    /// As [`open_to_read`](Self::open_to_read).
    pub fn whole(path: impl AsRef<Path>) -> Result<WholeRecord, OpenError> {
        let path = path.as_ref();
        let (database, _) = file::open_to_read(path, file::CHECKED_BYTES)?;
        let rows = caught(|| Rows::of(database)).map_err(|failure| file::damaged(path, failure))?;
        Ok(WholeRecord(Box::new(rows)))
    }

    /// The place for an import at `path`, where there is no store, or where the import has begun before.
    ///
    /// # Errors
    /// When there is a store, or something else, or the system refuses.
    pub fn to_import(path: impl AsRef<Path>) -> Result<NewRecord, OpenError> {
        Ok(NewRecord(Box::new(NewFile::open(path.as_ref())?)))
    }
}
