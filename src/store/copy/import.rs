//! Makes a record of an exported one.
//!
//! The file is read to its end before anything is written, so that nothing is made of one that was cut off or altered. What was
//! written is read back, and is a record only if it is the same.

use std::io::{self, BufRead, Seek};

use super::export::{read_through, write_rows};
use super::form::Reader;
use super::{
    Beside, BesideError, Copied, ExportError, FileBeside, FormError, ImportState, NewRecord, Row,
    RowDestination, Tally,
};
use crate::store::StoreError;

/// So much is added at once, roughly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    pub rows: usize,
    pub bytes: usize,
}

/// What takes some seconds at most.
const BATCH: Batch = Batch { rows: 10_000, bytes: 8 * 1024 * 1024 };

/// Why a record was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file.
    #[error(transparent)]
    Form(#[from] FormError),
    /// The record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another file is imported there.
    #[error(
        "the import of another file has begun there, whose content has the SHA-256 {begun}: go on with that one, or import into \
         an empty place"
    )]
    AnotherFile {
        /// The digest of that one.
        begun: String,
    },
    /// Another version has begun it.
    #[error(
        "another version of portreeve has begun this import: go on with that one, or import into an empty place"
    )]
    AnotherVersion,
    /// The file was written to meanwhile.
    #[error("the file was changed while it was imported: import into an empty place")]
    Changed,
    /// What was written is not what is read back.
    #[error(
        "what was imported is not what the file says: {written} rows with the SHA-256 {sha256} are there; import into an empty \
         place, and tell the makers of portreeve"
    )]
    Differs {
        /// How many rows there are.
        written: u64,
        /// Their digest.
        sha256: String,
    },
    /// It has files, and nobody says where they belong.
    #[error("it is a backup, with keys: `portreeve store restore` takes it")]
    IsBackup,
    /// Files beside the record.
    #[error(transparent)]
    Beside(BesideError),
    /// What was written cannot be read back.
    #[error("what was imported cannot be read back: {0}")]
    Unread(io::Error),
}

/// What an import is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportStage {
    /// The file is read through.
    Checking,
    /// Its rows are written.
    Writing,
    /// They are read back.
    Comparing,
}

/// Makes a record of what this file says, or goes on where the same import has ended before. Files that it has beside the record go
/// to `beside`. `told` hears what it is at, how many rows are done, and of how many, if that is known. Blocks.
///
/// # Errors
/// When the file is no exported record, was cut off or altered, or the record cannot be written. No door opens what was written
/// till then; the same import goes on from there.
pub fn import_record(
    file: &mut (impl BufRead + Seek),
    record: &mut NewRecord,
    beside: Option<&mut dyn Beside>,
    told: &mut dyn FnMut(ImportStage, u64, Option<u64>),
) -> Result<Copied, ImportError> {
    import_by(BATCH, file, &mut *record.0, beside, told)
}

/// The same, with so much at once.
pub(super) fn import_by(
    batch: Batch,
    file: &mut (impl BufRead + Seek),
    record: &mut dyn RowDestination,
    mut beside: Option<&mut dyn Beside>,
    told: &mut dyn FnMut(ImportStage, u64, Option<u64>),
) -> Result<Copied, ImportError> {
    let read = read_through(&mut *file, &mut |rows| told(ImportStage::Checking, rows, None))?;
    let (rows, files, sha256) = (read.tally.all(), read.files, read.end.unwrap_or_default());
    match &mut beside {
        None if !files.is_empty() => return Err(ImportError::IsBackup),
        Some(beside) if !files.is_empty() => beside.check(&files).map_err(ImportError::Beside)?,
        None | Some(_) => {}
    }
    match record.state() {
        None => {
            let layout = record.layout();
            record.begin(ImportState { sha256: sha256.clone(), rows: 0, layout })?;
        }
        Some(state) if state.sha256 != sha256 => {
            return Err(ImportError::AnotherFile { begun: state.sha256.clone() });
        }
        Some(state) if state.layout != record.layout() => return Err(ImportError::AnotherVersion),
        Some(_) => {}
    }
    // Before the record is one that a door opens: it would make keys of its own.
    if let Some(beside) = &mut beside
        && !files.is_empty()
    {
        beside.put(&files).map_err(ImportError::Beside)?;
    }
    file.rewind().map_err(FormError::from)?;
    let mut writing =
        Writing { done: record.state().map_or(0, |state| state.rows), sha256, batch: Vec::new() };
    let mut reader = Reader::new(file)?;
    let (mut read, mut bytes) = (0, 0);
    while let Some(row) = reader.row()? {
        read += 1;
        if read <= writing.done {
            continue;
        }
        bytes += reader.line_bytes();
        writing.batch.push(row);
        if writing.batch.len() >= batch.rows || bytes >= batch.bytes {
            writing.add(record)?;
            bytes = 0;
            told(ImportStage::Writing, writing.done, Some(rows));
        }
    }
    if reader.end.as_ref() != Some(&writing.sha256) {
        return Err(ImportError::Changed);
    }
    writing.add(record)?;
    let put = match &mut beside {
        Some(beside) if !files.is_empty() => beside.read().map_err(ImportError::Beside)?,
        None | Some(_) => Vec::new(),
    };
    let told = &mut |done| told(ImportStage::Comparing, done, Some(rows));
    let (tally, found) = read_back(record, &put, told)?;
    if found != writing.sha256 {
        return Err(ImportError::Differs { written: tally.all(), sha256: found });
    }
    record.finish(&tally)?;
    Ok(Copied::of(&tally, put.len(), found))
}

/// Rows that are written.
struct Writing {
    done: u64,
    sha256: String,
    batch: Vec<Row>,
}

impl Writing {
    fn add(&mut self, record: &mut dyn RowDestination) -> Result<(), StoreError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let rows = self.done + self.batch.len() as u64;
        let state = ImportState { sha256: self.sha256.clone(), rows, layout: record.layout() };
        record.add(&self.batch, state)?;
        self.done = rows;
        self.batch.clear();
        Ok(())
    }
}

fn read_back(
    record: &mut dyn RowDestination,
    files: &[FileBeside],
    told: &mut dyn FnMut(u64),
) -> Result<(Tally, String), ImportError> {
    let mut source = record.source()?;
    write_rows(&mut *source, files, io::sink(), told).map_err(|error| match error {
        ExportError::Store(error) => ImportError::Store(error),
        ExportError::Write(error) => ImportError::Unread(error),
    })
}
