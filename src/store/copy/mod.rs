//! A whole record as a stream of rows: how it moves from one backend to another, by a file between them.
//!
//! `row` says of which rows a record consists, `form` how they stand in a file, `ends` what a backend has to do. `export` writes
//! a record to such a file, `import` makes a record of one.

mod ends;
mod export;
mod form;
mod import;
mod row;
mod tally;
#[cfg(test)]
pub(super) mod tests;

pub(super) use self::ends::{ImportState, RowDestination, RowSource};
pub use self::ends::{NewRecord, WholeRecord};
pub use self::export::{Copied, ExportError, export_record};
pub use self::form::FormError;
pub use self::import::{ImportError, ImportStage, import_record};
pub(super) use self::row::{Content, Part, Row, Singles};
pub(super) use self::tally::Tally;
