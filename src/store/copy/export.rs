//! Writes a whole record to a file.

use std::io::{self, BufRead, Write};

use super::form::{Reader, Writer};
use super::{FileBeside, FormError, Part, RowSource, Tally, WholeRecord};
use crate::store::StoreError;

/// After so many rows who waits hears of it.
const TOLD: u64 = 10_000;

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
    /// Files beside the record.
    pub files: usize,
    /// The SHA-256 of the rows as they stand in a file: that of its lines without the last one.
    pub sha256: String,
}

impl Copied {
    pub(super) fn of(tally: &Tally, files: usize, sha256: String) -> Self {
        let of = |part| tally.of(part);
        Self {
            rows: tally.all(),
            repositories: of(Part::Repositories),
            tags: of(Part::Tags),
            manifests: of(Part::Manifests),
            events: of(Part::Events),
            files,
            sha256,
        }
    }
}

impl WholeRecord {
    /// About how many rows there are. Blocks.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn expected_rows(&mut self) -> Result<u64, StoreError> {
        self.0.expected()
    }
}

/// Writes a record, and these files beside it, which are in order of their names. `told` hears how many rows are written, of about
/// how many. Blocks.
///
/// # Errors
/// When the record cannot be read, or the export not be written.
pub fn export_record(
    record: &mut WholeRecord,
    files: &[FileBeside],
    out: impl Write,
    told: &mut dyn FnMut(u64, u64),
) -> Result<Copied, ExportError> {
    let source = &mut *record.0;
    let expected = source.expected()?;
    let (tally, sha256) = write_rows(source, files, out, &mut |rows| told(rows, expected))?;
    Ok(Copied::of(&tally, files.len(), sha256))
}

/// Reads an exported record to its end. `told` hears how many rows were read. Blocks.
///
/// # Errors
/// When it is none, was cut off or altered.
pub fn check_exported(file: impl BufRead, told: &mut dyn FnMut(u64)) -> Result<Copied, FormError> {
    let reader = read_through(file, told)?;
    Ok(Copied::of(&reader.tally, reader.files.len(), reader.end.unwrap_or_default()))
}

/// Reads all of a file.
pub(super) fn read_through<R: BufRead>(file: R, told: &mut dyn FnMut(u64)) -> Result<Reader<R>, FormError> {
    let mut reader = Reader::new(file)?;
    let mut rows: u64 = 0;
    while reader.row()?.is_some() {
        rows += 1;
        if rows.is_multiple_of(TOLD) {
            told(rows);
        }
    }
    Ok(reader)
}

/// Writes all rows. Answers what they come to, and their digest.
pub(super) fn write_rows(
    source: &mut dyn RowSource,
    files: &[FileBeside],
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
    files.iter().try_for_each(|file| writer.file(file))?;
    Ok(writer.finish()?)
}
