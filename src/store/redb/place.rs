//! The place of the file: whether its path still leads to the file that this process has open, and whether that file still
//! is as this process has left it. What is written to a file that is not found again, or that another program writes to, is
//! lost, however durable it is.
//!
//! The path is compared by device and inode; the file by its length and by redb's header. The header names the roots of all
//! tables with their checksums and the number of the last transaction, so two files with the same header have the same
//! content. Both pass through a [`Watched`] backend on their way to the file, so they are known without asking redb.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

use super::failure::Failure;
use crate::store::StoreTrouble;

/// How long redb's header is: 64 bytes, and two commit slots of 128 bytes each (its `design.md`).
const HEADER_BYTES: usize = 320;

/// After a failed write it is not known which of the last values the file has; so many are kept.
const CANDIDATES: usize = 4;

type Header = [u8; HEADER_BYTES];

/// Where the file is, and how this process has left it.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// The file that is open; none while there is none, after an I/O error.
    file: Option<File>,
    device: u64,
    inode: u64,
    length: Candidates<u64>,
    header: Candidates<Header>,
}

/// What a value is: one, or after failed writes one of several.
#[derive(Debug)]
struct Candidates<T>(Vec<T>);

/// A backend whose writes are noted in the file's place.
#[derive(Debug)]
pub(super) struct Watched<B> {
    backend: B,
    place: Arc<Place>,
}

impl<T: PartialEq> Candidates<T> {
    /// Something was to be made this, and was or was not.
    fn note(&mut self, value: T, is_done: bool) {
        if is_done {
            self.0.clear();
        } else if self.0.len() == CANDIDATES {
            self.0.remove(0);
        }
        self.0.push(value);
    }

    /// Whether this may be it; then it is.
    fn admit(&mut self, found: T) -> bool {
        let is_one = self.0.contains(&found);
        if is_one {
            self.0 = vec![found];
        }
        is_one
    }
}

impl Place {
    /// The place of a file that was opened at this path and not written to yet.
    pub(super) fn new(path: &Path, file: &File) -> io::Result<Arc<Self>> {
        let metadata = file.metadata()?;
        let known = Known {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: Candidates(vec![metadata.len()]),
            header: Candidates(vec![header_of(file)?]),
            file: Some(file.try_clone()?),
        };
        Ok(Arc::new(Self { path: path.to_owned(), known: Mutex::new(known) }))
    }

    /// Looks whether everything is as it should be. Costs three calls of the system that touch no disk.
    pub(super) fn check(&self) -> Result<(), StoreTrouble> {
        let mut known = self.known();
        let at_path = std::fs::metadata(&self.path).map_err(|error| of_path(&error))?;
        known.is_at(&at_path)?;
        let Some(file) = known.file.as_ref() else { return Ok(()) };
        let looked = file.metadata().and_then(|found| Ok((found.len(), header_of(file)?)));
        match looked {
            Ok((length, header)) => known.is_as_left(length, header),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(StoreTrouble::Overwritten),
            Err(_) => Err(StoreTrouble::Medium),
        }
    }

    /// Opens the file again that this process had open, if it is at its path and as it was left.
    pub(super) fn open_again(&self) -> Result<File, Failure> {
        let mut known = self.known();
        known.file = None;
        let opened = OpenOptions::new().read(true).write(true).open(&self.path);
        let file = opened.map_err(|error| match of_path(&error) {
            StoreTrouble::Unreachable => Failure::Medium(Arc::new(error)),
            displaced => displaced.into(),
        })?;
        let medium = |error: io::Error| Failure::Medium(Arc::new(error));
        let metadata = file.metadata().map_err(medium)?;
        known.is_at(&metadata)?;
        let header = match header_of(&file) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(StoreTrouble::Overwritten.into());
            }
            header => header.map_err(medium)?,
        };
        known.is_as_left(metadata.len(), header)?;
        known.file = Some(file.try_clone().map_err(medium)?);
        Ok(file)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_at(&self, found: &Metadata) -> Result<(), StoreTrouble> {
        let is_the_same = (found.dev(), found.ino()) == (self.device, self.inode);
        if is_the_same { Ok(()) } else { Err(StoreTrouble::Replaced) }
    }

    fn is_as_left(&mut self, length: u64, header: Header) -> Result<(), StoreTrouble> {
        let is_as_left = self.length.admit(length) && self.header.admit(header);
        if is_as_left { Ok(()) } else { Err(StoreTrouble::Overwritten) }
    }
}

fn header_of(file: &File) -> io::Result<Header> {
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0)?;
    Ok(header)
}

/// What an error about the path says.
fn of_path(error: &io::Error) -> StoreTrouble {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StoreTrouble::Gone,
        _ => StoreTrouble::Unreachable,
    }
}

impl<B> Watched<B> {
    /// Over this backend, whose file has this place.
    pub(super) const fn new(backend: B, place: Arc<Place>) -> Self {
        Self { backend, place }
    }
}

impl<B: StorageBackend> StorageBackend for Watched<B> {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut known = self.place.known();
        let done = self.backend.set_len(length);
        known.length.note(length, done.is_ok());
        done
    }

    fn sync_data(&self) -> io::Result<()> {
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let Some(start) = usize::try_from(offset).ok().filter(|start| *start < HEADER_BYTES) else {
            return self.backend.write(offset, data);
        };
        let mut known = self.place.known();
        let done = self.backend.write(offset, data);
        let length = data.len().min(HEADER_BYTES - start);
        if let Some(mut header) = known.header.0.last().copied() {
            header[start..start + length].copy_from_slice(&data[..length]);
            known.header.note(header, done.is_ok());
        }
        done
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}
