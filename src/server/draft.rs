//! A file that is made whole or not at all: it has another name until it is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::files::{give_to_owner_of_directory, sync_directory_of};

/// What was attempted with a file, and what came of it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempted} {}: {cause}", path.display())]
pub struct FileError {
    /// What was attempted.
    pub attempted: &'static str,
    /// Which file.
    pub path: PathBuf,
    /// The system's words.
    pub cause: io::Error,
}

impl FileError {
    /// What makes one of the system's words.
    pub(super) fn of(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self { attempted, path, cause }
    }
}

/// A file in the making, for its owner alone. Dropped before it is published, it is gone.
pub(super) struct Draft {
    path: PathBuf,
    draft: PathBuf,
    pub(super) file: File,
}

impl Draft {
    /// Begins a file that is not there yet. A draft that was left by a process that was killed is replaced.
    pub(super) fn make(path: &Path) -> Result<Self, FileError> {
        if path.symlink_metadata().is_ok() {
            return Err(FileError::of("make", path)(io::ErrorKind::AlreadyExists.into()));
        }
        let draft = path.with_added_extension("part");
        let file = create(&draft).map_err(FileError::of("make", &draft))?;
        Ok(Self { path: path.to_owned(), draft, file })
    }

    /// Gives it its name, durably. It belongs to the owner of its directory, and replaces nothing.
    pub(super) fn publish(self) -> Result<(), FileError> {
        let Self { path, draft, file } = &self;
        file.sync_all().map_err(FileError::of("write", draft))?;
        give_to_owner_of_directory(draft)
            .map_err(FileError::of("give to the owner of its directory", draft))?;
        std::fs::hard_link(draft, path)
            .and_then(|()| std::fs::remove_file(draft))
            .and_then(|()| sync_directory_of(path))
            .map_err(FileError::of("make", path))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What is published has another name, and what is not is of no use. The next one replaces it if this fails.
        let _ = std::fs::remove_file(&self.draft);
    }
}

fn create(draft: &Path) -> io::Result<File> {
    match std::fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(draft)
}
