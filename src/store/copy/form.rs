//! The form of the file: a line of JSON for its version, one for each row, and one at the end with how many there are and the
//! SHA-256 of all before it. A row stands there in one way only, so that equal records make equal files. A backup has a line for each
//! file beside the record as well, behind all rows.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{FileBeside, Part, Row, Tally};

/// The version of the form.
const VERSION: u32 = 1;

/// The longest line: a manifest twice, as JSON within JSON, has room.
const MAXIMUM_LINE: u64 = 256 * 1024 * 1024;

/// What to do with what a later version has written.
const IMPORTED_LATER: &str = "import it with the version that wrote it, or a later one";

/// Why a file is not imported.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Something else.
    #[error("it is no exported record: its first line does not say so")]
    Foreign,
    /// A later version has written it.
    #[error("it has version {found}, and this portreeve knows {VERSION}: {IMPORTED_LATER}")]
    Newer {
        /// The version that it has.
        found: u32,
    },
    /// A line is not as this version would have written it.
    #[error(
        "line {line} is not as this version writes it ({cause}): the file was altered, or a later version has written it; \
         {IMPORTED_LATER}, or export the record again"
    )]
    Line {
        /// Which one.
        line: u64,
        /// What is wrong with it.
        cause: String,
    },
    /// It ends too early.
    #[error("it ends behind line {line}, without its last one: it was cut off. Export the record again")]
    Truncated {
        /// The last line.
        line: u64,
    },
    /// It is not what was written.
    #[error("its content is not what its last line says ({what}): it was altered. Export the record again")]
    Altered {
        /// What differs.
        what: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    portreeve_record: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    end: End,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    rows: BTreeMap<Part, u64>,
    /// How many files beside the record there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    files: usize,
    sha256: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[derive(Serialize)]
struct FileLine<'a> {
    file: &'a FileBeside,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadFileLine {
    file: FileBeside,
}

/// What begins the last line, and no other.
const TRAILER: &[u8] = b"{\"end\":";
/// What begins the line of a file, and no other.
const FILE: &[u8] = b"{\"file\":";

/// More than all keys take that there may be.
const MAXIMUM_FILES: usize = 10_000;

/// Writes rows, and counts them.
pub(super) struct Writer<W> {
    out: W,
    sha256: Sha256,
    files: usize,
    pub tally: Tally,
}

impl<W: Write> Writer<W> {
    /// Writes the first line.
    pub(super) fn new(out: W) -> io::Result<Self> {
        let mut writer = Self { out, sha256: Sha256::new(), files: 0, tally: Tally::default() };
        writer.line(&Header { portreeve_record: VERSION })?;
        Ok(writer)
    }

    pub(super) fn row(&mut self, row: &Row) -> io::Result<()> {
        self.line(row)?;
        self.tally.count(row);
        Ok(())
    }

    /// Writes a file beside the record. They come behind all rows, by their names.
    pub(super) fn file(&mut self, file: &FileBeside) -> io::Result<()> {
        self.files += 1;
        self.line(&FileLine { file })
    }

    /// Writes the last line. Answers the digest.
    pub(super) fn finish(mut self) -> io::Result<(Tally, String)> {
        let sha256 = hex::encode(self.sha256.finalize_reset());
        let end = End { rows: self.tally.rows.clone(), files: self.files, sha256: sha256.clone() };
        self.line(&Trailer { end })?;
        self.out.flush()?;
        Ok((self.tally, sha256))
    }

    fn line(&mut self, content: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(content)?;
        line.push(b'\n');
        self.sha256.update(&line);
        self.out.write_all(&line)
    }
}

/// Reads rows, and checks that they are what was written.
pub(super) struct Reader<R> {
    file: R,
    line: Vec<u8>,
    number: u64,
    sha256: Sha256,
    last: Option<Row>,
    pub tally: Tally,
    /// The files beside the record that were read.
    pub files: Vec<FileBeside>,
    /// What the last line said, once that was read.
    pub end: Option<String>,
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    pub(super) fn new(file: R) -> Result<Self, FormError> {
        let mut reader = Self {
            file,
            line: Vec::new(),
            number: 0,
            sha256: Sha256::new(),
            last: None,
            tally: Tally::default(),
            files: Vec::new(),
            end: None,
        };
        reader.next_line()?;
        let header: Header = serde_json::from_slice(&reader.line).map_err(|_| FormError::Foreign)?;
        if header.portreeve_record != VERSION {
            return Err(FormError::Newer { found: header.portreeve_record });
        }
        reader.check_spelling(&header)?;
        reader.sha256.update(&reader.line);
        Ok(reader)
    }

    /// The next row; nothing once all were read, with the files behind them, and are as they were written.
    pub(super) fn row(&mut self) -> Result<Option<Row>, FormError> {
        loop {
            // What is cut off in the middle of a line is no fault of that line.
            if !self.next_line()? || self.line.last() != Some(&b'\n') {
                return Err(FormError::Truncated { line: self.number });
            }
            if self.line.starts_with(TRAILER) {
                self.finish()?;
                return Ok(None);
            }
            if !self.line.starts_with(FILE) {
                break;
            }
            self.take_file()?;
        }
        let row: Row = serde_json::from_slice(&self.line).map_err(|error| self.fault(&error))?;
        self.check_spelling(&row)?;
        if let Some(fault) = row.fault() {
            return Err(self.fault(&fault));
        }
        if !self.files.is_empty() || self.last.as_ref().is_some_and(|last| !row.is_behind(last)) {
            return Err(self.fault(&"it is not in its place"));
        }
        self.sha256.update(&self.line);
        self.tally.count(&row);
        self.last = Some(row.clone());
        Ok(Some(row))
    }

    fn take_file(&mut self) -> Result<(), FormError> {
        let line: ReadFileLine = serde_json::from_slice(&self.line).map_err(|error| self.fault(&error))?;
        self.check_spelling(&line)?;
        if self.files.last().is_some_and(|last| last.name >= line.file.name) {
            return Err(self.fault(&"it is not in its place"));
        }
        if self.files.len() >= MAXIMUM_FILES {
            return Err(self.fault(&"there are too many files"));
        }
        self.sha256.update(&self.line);
        self.files.push(line.file);
        Ok(())
    }

    /// How many bytes the last row takes here.
    pub(super) const fn line_bytes(&self) -> usize {
        self.line.len()
    }

    fn finish(&mut self) -> Result<(), FormError> {
        let trailer: Trailer = serde_json::from_slice(&self.line).map_err(|error| self.fault(&error))?;
        if trailer.end.sha256 != hex::encode(self.sha256.finalize_reset()) {
            return Err(FormError::Altered { what: "the SHA-256" });
        }
        if trailer.end.rows != self.tally.rows {
            return Err(FormError::Altered { what: "how many rows there are" });
        }
        if trailer.end.files != self.files.len() {
            return Err(FormError::Altered { what: "how many files there are" });
        }
        if self.tally.of(Part::Numbers) != 1 {
            return Err(FormError::Altered { what: "that the numbers stand there once" });
        }
        if self.next_line()? {
            return Err(FormError::Altered { what: "that nothing stands behind it" });
        }
        self.end = Some(trailer.end.sha256);
        Ok(())
    }

    /// Reads a line. Answers whether there was one.
    fn next_line(&mut self) -> Result<bool, FormError> {
        self.line.clear();
        let read = (&mut self.file).take(MAXIMUM_LINE).read_until(b'\n', &mut self.line)?;
        if read as u64 == MAXIMUM_LINE && self.line.last() != Some(&b'\n') {
            return Err(self.fault(&"it is too long"));
        }
        self.number += u64::from(read > 0);
        Ok(read > 0)
    }

    /// Whether a line stands there as it would be written.
    fn check_spelling(&self, content: &impl Serialize) -> Result<(), FormError> {
        let written = serde_json::to_vec(content).map_err(|error| self.fault(&error))?;
        match self.line.strip_suffix(b"\n") {
            Some(line) if line == written => Ok(()),
            _ => Err(self.fault(&"it says something else than is understood")),
        }
    }

    fn fault(&self, cause: &impl ToString) -> FormError {
        FormError::Line { line: self.number.max(1), cause: cause.to_string() }
    }
}
