//! What a backend does for a record to be read whole, or to be made of rows.

use serde::{Deserialize, Serialize};

use super::{Part, Row, Tally, Telling};
use crate::store::StoreError;

/// All rows of a record as it was at one moment. Blocks.
pub(in crate::store) trait RowSource: Send {
    /// Rows of a part behind this one, or from its beginning on, in order of their keys: as many as take some memory and no more,
    /// but one at least. None where there are no more.
    fn rows(&mut self, part: Part, behind: Option<&Row>) -> Result<Vec<Row>, StoreError>;

    /// About how many rows there are.
    fn expected(&mut self) -> Result<u64, StoreError>;

    /// Looks whether all that is kept beside the rows follows from them. They come to this tally.
    fn check_derived(&mut self, tally: &Tally, telling: &mut Telling<'_>) -> Result<(), StoreError>;
}

/// A record that is being made of rows. Until it is finished no door opens it. Blocks.
pub(in crate::store) trait RowDestination: Send {
    /// The form that its rows will have.
    fn layout(&self) -> u64;

    /// How far an import has come that began before.
    fn state(&self) -> Option<&ImportState>;

    /// Makes the record, without a row in it.
    fn begin(&mut self, state: ImportState) -> Result<(), StoreError>;

    /// Adds rows, and keeps that, all or nothing.
    fn add(&mut self, rows: &[Row], state: ImportState) -> Result<(), StoreError>;

    /// What was added so far.
    fn source(&mut self) -> Result<Box<dyn RowSource + '_>, StoreError>;

    /// It is complete: makes what follows from the rows, and a record that doors open.
    fn finish(&mut self, tally: &Tally) -> Result<(), StoreError>;
}

/// How far an import has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct ImportState {
    /// The digest of what is imported.
    pub sha256: String,
    /// So many of its rows are there.
    pub rows: u64,
    /// The form that they have.
    pub layout: u64,
}

/// A record that is read whole, as it was when this was opened.
pub struct WholeRecord(pub(in crate::store) Box<dyn RowSource>);

/// A record that is not there yet, or is imported in part.
pub struct NewRecord(pub(in crate::store) Box<dyn RowDestination>);
