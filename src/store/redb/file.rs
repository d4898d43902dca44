//! The file: creating it, opening it, and refusing what is not a store of this layout without touching it.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageError, TableError};

use super::failure::Failure;
use super::layout::{BoxError, IMPORTING, LAYOUT, lay_out};
use super::older_layouts;
use super::overlay::Overlay;
use super::panics::{caught, dropped};
use super::place::{Place, Watched};
use super::tables::{META, META_LAYOUT};

/// Memory for pages of the file, in bytes; the system caches the file as well.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// Up to this length a file is read whole before it is opened, and every page checked: that takes some tens of
/// milliseconds. Beyond, a damaged page is found when it is read.
pub(super) const CHECKED_BYTES: u64 = 64 * 1024 * 1024;

/// Why a store could not be opened. The file is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no file, and none is to be made.
    #[error("there is no store at {}; start the door first, or name another with --config", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is locked.
    #[error("another portreeve is using the store {}: stop it, or give this one another store.url", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A store that another version wrote.
    #[error(
        "the store {} has layout {found}, and this portreeve knows only layout {LAYOUT}: \
         use the version that wrote it, or give this one another store.url",
        path.display()
    )]
    Layout {
        /// The file.
        path: PathBuf,
        /// The layout that it has.
        found: u64,
    },
    /// A store that is being made of an exported record.
    #[error(
        "the store {} is imported only in part: run `portreeve store import` or `restore` again with the same file, which goes on \
         where it has ended, or remove {} and begin anew",
        path.display(),
        path.display()
    )]
    HalfImported {
        /// The file.
        path: PathBuf,
    },
    /// A record is imported only where there is none.
    #[error("there is a store at {} already: a record is imported where there is none yet; give another store.url", path.display())]
    NotEmpty {
        /// The file.
        path: PathBuf,
    },
    /// Something else than a store.
    #[error("{} is no store of portreeve ({reason}): give another store.url, or move that file away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What gives it away.
        reason: &'static str,
    },
    /// A file that may have been a store.
    #[error(
        "the store {} is damaged: {cause}; restore a backup, or move the file away and let a new store be filled \
         by a sweep",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system refused.
    #[error(
        "cannot {attempted} the store {}: {cause}; its directory must exist, and this user must be allowed to write \
         there",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What was attempted.
        attempted: &'static str,
        /// The system's words.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Opens the store at `path`, or creates one if there is no file. One of up to `checked` bytes is checked whole.
pub(super) fn open(path: &Path, checked: u64) -> Result<(Database, Arc<Place>), OpenError> {
    match length(path) {
        Err(OpenError::Absent { .. }) => {
            create(path, &lay_out)?;
            open_for_writing(path, false)
        }
        length => open_for_writing(path, length? <= checked),
    }
}

/// Opens the store at `path`, if there is one. One of up to `checked` bytes is checked whole.
pub(super) fn open_existing(path: &Path, checked: u64) -> Result<(Database, Arc<Place>), OpenError> {
    let is_checked = length(path)? <= checked;
    open_for_writing(path, is_checked)
}

/// Opens the store at `path`, if there is one, without ever writing to its file: what is written to the database is in memory
/// alone. So is what brings a store of an older layout up to date. One of up to `checked` bytes is checked whole.
pub(super) fn open_to_read(path: &Path, checked: u64) -> Result<(Database, Arc<Place>), OpenError> {
    let is_checked = length(path)? <= checked;
    let file = open_file(path)?;
    // Only a file that is a store has what a place is known by.
    let database = read(path, || over(path, file, is_checked))?;
    let place = open_file(path)
        .and_then(|file| Place::new(path, &file).map_err(|error| unusable(path, "open", error)));
    match place.and_then(|place| read(path, || bring_up_to_date(path, &database)).map(|()| place)) {
        Ok(place) => Ok((database, place)),
        Err(error) => dropped(database).map_err(|failure| damaged(path, failure)).and(Err(error)),
    }
}

/// Opens the file again that this process had open to read.
pub(super) fn reopen_to_read(place: &Arc<Place>) -> Result<Database, Failure> {
    Ok(Overlay::new(place.open_again()?).and_then(|overlay| builder().create_with_backend(overlay))?)
}

/// How long the file is.
fn length(path: &Path) -> Result<u64, OpenError> {
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(foreign(path, "it is not a regular file")),
        Ok(metadata) if metadata.len() == 0 => Err(foreign(path, "it is empty")),
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(OpenError::Absent { path: path.to_owned() })
        }
        Err(error) => Err(unusable(path, "open", error)),
    }
}

/// The database in a file that is seen through an overlay.
fn over(path: &Path, file: File, is_checked: bool) -> Result<Database, OpenError> {
    let mut builder = builder();
    builder.set_check_integrity_on_open(is_checked);
    let opened = Overlay::new(file).and_then(|overlay| builder.create_with_backend(overlay));
    opened.map_err(|error| refused(path, error))
}

/// Opens the file again that this process had open, if it is where and as it was left.
pub(super) fn reopen(place: &Arc<Place>) -> Result<Database, Failure> {
    let backend = FileBackend::new(place.open_again()?)?;
    Ok(builder().create_with_backend(Watched::new(backend, Arc::clone(place)))?)
}

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn open_for_writing(path: &Path, is_checked: bool) -> Result<(Database, Arc<Place>), OpenError> {
    // Looked at through an overlay first, since opening marks the file, and repairs it after a crash.
    let file = open_file(path)?;
    let overlay = read(path, || over(path, file, is_checked))?;
    let looked = read(path, || check_layout(path, &overlay));
    dropped(overlay).map_err(|failure| damaged(path, failure))?;
    looked?;
    let file = open_file(path)?;
    let place = Place::new(path, &file).map_err(|error| unusable(path, "open", error))?;
    let database = read(path, || {
        let opened = FileBackend::new(file)
            .and_then(|backend| builder().create_with_backend(Watched::new(backend, Arc::clone(&place))));
        opened.map_err(|error| refused(path, error))
    })?;
    match read(path, || bring_up_to_date(path, &database)) {
        Ok(()) => Ok((database, place)),
        Err(error) => dropped(database).map_err(|failure| damaged(path, failure)).and(Err(error)),
    }
}

fn open_file(path: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    file.map_err(|error| unusable(path, "open", error))
}

/// Runs what reads a file that was not looked at before: a damaged one may end in a panic.
fn read<T>(path: &Path, run: impl FnOnce() -> Result<T, OpenError>) -> Result<T, OpenError> {
    caught(|| Ok(run())).map_err(|failure| damaged(path, failure))?
}

fn bring_up_to_date(path: &Path, database: &Database) -> Result<(), OpenError> {
    let layout = check_layout(path, database)?;
    if layout == LAYOUT {
        return Ok(());
    }
    older_layouts::bring_up_to_date(database, layout).map_err(|cause| OpenError::Unusable {
        path: path.to_owned(),
        attempted: "bring up to date",
        cause,
    })
}

/// The layout, if it is one that this program can read.
fn check_layout(path: &Path, database: &impl ReadableDatabase) -> Result<u64, OpenError> {
    match layout_of(path, database)? {
        known if known == LAYOUT || older_layouts::KNOWN.contains(&known) => Ok(known),
        IMPORTING => Err(OpenError::HalfImported { path: path.to_owned() }),
        found => Err(OpenError::Layout { path: path.to_owned(), found }),
    }
}

fn layout_of(path: &Path, database: &impl ReadableDatabase) -> Result<u64, OpenError> {
    let damaged = |error: redb::Error| damaged(path, error.into());
    let transaction = database.begin_read().map_err(|error| damaged(error.into()))?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(
            TableError::TableDoesNotExist(_)
            | TableError::TableTypeMismatch { .. }
            | TableError::TableIsMultimap(_),
        ) => return Err(foreign(path, "another program's tables are in it")),
        Err(error) => return Err(damaged(error.into())),
    };
    let found = meta.get(META_LAYOUT).map_err(|error| damaged(error.into()))?.map(|found| found.value());
    found.ok_or_else(|| foreign(path, "it does not say which layout it has"))
}

/// Opens the file that an import has begun to make, if there is one.
pub(super) fn open_import(path: &Path) -> Result<Option<Database>, OpenError> {
    let is_checked = match length(path) {
        Err(OpenError::Absent { .. }) => return Ok(None),
        length => length? <= CHECKED_BYTES,
    };
    let file = open_file(path)?;
    let overlay = read(path, || over(path, file, is_checked))?;
    let looked = read(path, || layout_of(path, &overlay));
    dropped(overlay).map_err(|failure| damaged(path, failure))?;
    if looked? != IMPORTING {
        return Err(OpenError::NotEmpty { path: path.to_owned() });
    }
    let file = open_file(path)?;
    read(path, || {
        let opened = FileBackend::new(file).and_then(|backend| builder().create_with_backend(backend));
        opened.map_err(|error| refused(path, error))
    })
    .map(Some)
}

/// Makes a new store under another name and gives it its own only when it is whole, so that neither a crash nor a
/// second opener ever finds half a store.
pub(super) fn create(path: &Path, fill: &Fill<'_>) -> Result<(), OpenError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.new", RandomState::new().hash_one(path)));
    let draft = path.with_file_name(name);
    let created = write_new(&draft, fill).and_then(|()| publish(&draft, path));
    // The draft's name is gone already when publishing had to rename it.
    let removed = match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    };
    created.and(removed).map_err(|cause| OpenError::Unusable {
        path: path.to_owned(),
        attempted: "create",
        cause,
    })
}

/// What makes a store of an empty database.
type Fill<'a> = dyn Fn(&Database) -> Result<(), BoxError> + 'a;

fn write_new(draft: &Path, fill: &Fill<'_>) -> Result<(), BoxError> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(draft)?;
    let database = builder().create(draft)?;
    fill(&database)?;
    database.close()?;
    Ok(())
}

fn publish(draft: &Path, path: &Path) -> Result<(), BoxError> {
    match std::fs::hard_link(draft, path) {
        Ok(()) => {}
        // Another process was quicker; its store is as good.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        // A file system without hard links.
        Err(_) => std::fs::rename(draft, path)?,
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()?;
    Ok(())
}

fn refused(path: &Path, error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            OpenError::InUse { path: path.to_owned() }
        }
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            foreign(path, "it is not a redb file")
        }
        DatabaseError::UpgradeRequired(_) => foreign(path, "it is a redb file of an older format"),
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
            unusable(path, "open", error)
        }
        error => OpenError::Damaged { path: path.to_owned(), cause: Box::new(error) },
    }
}

/// It may have been a store.
pub(super) fn damaged(path: &Path, failure: Failure) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), cause: Box::new(failure.into_cause()) }
}

fn foreign(path: &Path, reason: &'static str) -> OpenError {
    OpenError::Foreign { path: path.to_owned(), reason }
}

fn unusable(path: &Path, attempted: &'static str, error: io::Error) -> OpenError {
    OpenError::Unusable { path: path.to_owned(), attempted, cause: Box::new(error) }
}
