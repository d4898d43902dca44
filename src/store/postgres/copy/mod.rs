//! All rows of the database, to be read or to be made: `source` reads them, `destination` writes them by `inserts`, both in a
//! `session` of their own; `derived` looks whether what is kept beside them follows from them.

mod derived;
mod destination;
mod inserts;
mod session;
mod source;

use self::destination::NewTables;
use self::session::Session;
use self::source::Rows;
use super::{PostgresAddress, PostgresOpenError, PostgresStore};
use crate::store::copy::{NewRecord, WholeRecord};

impl PostgresStore {
    /// The whole record in this database as it is now. Doors may go on with it. Blocks.
    ///
    /// # Errors
    /// When the database cannot be reached, or has no record of this version.
    pub fn whole(address: &PostgresAddress) -> Result<WholeRecord, PostgresOpenError> {
        let session = Session::open(address)?;
        session.require_record()?;
        session.begin_snapshot().map_err(|failure| session::unusable("read", failure))?;
        Ok(WholeRecord(Box::new(Rows::of(session))))
    }

    /// The place for an import in this database, where there is no record, or where the import has begun before. Blocks.
    ///
    /// # Errors
    /// When there is a record, or the database cannot be reached.
    pub fn to_import(address: &PostgresAddress) -> Result<NewRecord, PostgresOpenError> {
        Ok(NewRecord(Box::new(NewTables::open(address)?)))
    }
}
