//! A whole record as a stream of rows: how it moves from one backend to another, by a file between them.
//!
//! `row` says of which rows a record consists, `form` how they stand in a file, `ends` what a backend has to do. `export` writes
//! a record to such a file, `import` makes a record of one. What lies `beside` the record may stand in the same file. `check` looks whether
//! all rows agree with each other, and the backend with them.

mod beside;
mod check;
mod ends;
mod export;
mod finding;
mod form;
mod import;
mod row;
mod tally;
#[cfg(test)]
pub(super) mod tests;

pub use self::beside::{Beside, BesideError, FileBeside};
pub use self::check::check_record;
pub(super) use self::ends::{ImportState, RowDestination, RowSource};
pub use self::ends::{NewRecord, WholeRecord};
pub use self::export::{Copied, ExportError, check_exported, export_record};
pub(super) use self::finding::Telling;
pub use self::finding::{CheckNews, Checked, Finding, FindingKind};
pub use self::form::FormError;
pub use self::import::{ImportError, ImportStage, import_record};
pub(super) use self::row::{Content, Part, Row, Singles};
pub(super) use self::tally::Tally;
