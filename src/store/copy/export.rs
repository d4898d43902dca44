//! Writes a whole record to a file.

use std::io::{self, Write};

use super::form::Writer;
use super::{Part, RowSource, Tally, WholeRecord};
use crate::store::StoreError;

/// Why a record was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many rows.
    pub rows: u64,
    /// Repositories among them.
    pub repositories: u64,
    /// Tags.
    pub tags: u64,
    /// Manifests, counted once for each repository that has them.
    pub manifests: u64,
    /// Events.
    pub events: u64,
    /// The SHA-256 of the rows as they stand in a file: that of its lines without the last one.
    pub sha256: String,
}

impl Copied {
    pub(super) fn of(tally: &Tally, sha256: String) -> Self {
        let of = |part| tally.of(part);
        Self {
            rows: tally.all(),
            repositories: of(Part::Repositories),
            tags: of(Part::Tags),
            manifests: of(Part::Manifests),
            events: of(Part::Events),
            sha256,
        }
    }
}

/// Writes a record. `told` hears how many rows are written, of about how many. Blocks.
///
/// # Errors
/// When the record cannot be read, or the export not be written.
pub fn export_record(
    record: &mut WholeRecord,
    out: impl Write,
    told: &mut dyn FnMut(u64, u64),
) -> Result<Copied, ExportError> {
    let source = &mut *record.0;
    let expected = source.expected()?;
    let (tally, sha256) = write_rows(source, out, &mut |rows| told(rows, expected))?;
    Ok(Copied::of(&tally, sha256))
}

/// Writes all rows. Answers what they come to, and their digest.
pub(super) fn write_rows(
    source: &mut dyn RowSource,
    out: impl Write,
    told: &mut dyn FnMut(u64),
) -> Result<(Tally, String), ExportError> {
    let mut writer = Writer::new(out)?;
    for part in Part::ALL {
        let mut last = None;
        loop {
            let rows = source.rows(part, last.as_ref())?;
            for row in &rows {
                writer.row(row)?;
            }
            told(writer.tally.all());
            match rows.into_iter().next_back() {
                Some(row) => last = Some(row),
                None => break,
            }
        }
    }
    Ok(writer.finish()?)
}
