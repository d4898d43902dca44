//! `portreeve store export` and `portreeve store import`: a whole record, to a file and from one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, IsTerminal as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use super::progress_bar::copy_bar;
use super::start_error::StartError;
use super::store_setup;
use crate::config::Config;
use crate::files::{give_to_owner_of_directory, sync_directory_of};
use crate::store::{Copied, ExportError, ImportError, ImportStage, export_record, import_record};

/// What a file is read and written by at once.
const BUFFER: usize = 1024 * 1024;

/// Why a record was not exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum StoreCommandError {
    /// The store cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A door has the file of the store, which belongs to one process.
    #[error(
        "a door has the store {}, whose file belongs to one process: stop the door for as long as the export takes (a record in \
         PostgreSQL is exported while its doors run)",
        store.display()
    )]
    InUse {
        /// The file.
        store: PathBuf,
    },
    /// The file cannot be made or opened.
    #[error("cannot {attempted} {}: {cause}", path.display())]
    File {
        /// What was attempted.
        attempted: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// The record cannot be read, or not be written down.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The file is none that can be imported, or the record cannot be written.
    #[error("{} is not imported: {cause}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: ImportError,
    },
}

impl StoreCommandError {
    /// Whether the operator has to change something before it can be done.
    pub const fn is_misconfiguration(&self) -> bool {
        match self {
            Self::Start(error) => error.is_misconfiguration(),
            Self::InUse { .. } | Self::File { .. } => true,
            Self::Export(_) | Self::Import { .. } => false,
        }
    }
}

/// Writes the whole record to a file that is not there yet. What to say about it.
///
/// # Errors
/// When the record cannot be read, or the file is there already or cannot be written. Then there is none.
pub fn export_store(config: &Config, path: &Path) -> Result<String, StoreCommandError> {
    let mut record = store_setup::whole(&config.store).map_err(|error| match error.in_use() {
        Some(store) => StoreCommandError::InUse { store: store.to_owned() },
        None => StartError::Store(error).into(),
    })?;
    let file = |attempted, path: &Path| {
        let path = path.to_owned();
        move |cause| StoreCommandError::File { attempted, path, cause }
    };
    if path.symlink_metadata().is_ok() {
        return Err(file("make", path)(io::ErrorKind::AlreadyExists.into()));
    }
    let draft = path.with_added_extension("part");
    let made = make(&draft).map_err(file("make", &draft))?;
    let bar = bar();
    let exported =
        export_record(&mut record, BufWriter::with_capacity(BUFFER, &made), &mut |rows, expected| {
            show(bar.as_ref(), "rows are written", rows, Some(expected));
        });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let published = exported.map_err(StoreCommandError::from).and_then(|copied| {
        made.sync_all().map_err(file("write", &draft))?;
        give_to_owner_of_directory(&draft).map_err(file("give to the owner of its directory", &draft))?;
        std::fs::hard_link(&draft, path)
            .and_then(|()| sync_directory_of(path))
            .map_err(file("make", path))?;
        Ok(copied)
    });
    // What is published has another name, and what is not is of no use.
    let removed = std::fs::remove_file(&draft).map_err(file("remove", &draft));
    let copied = published?;
    removed?;
    Ok(format!(
        "Exported {} to {}.\n{}\nUsers, tokens, sessions and keys of the database are in it: keep it as you keep the store.",
        said(&copied),
        path.display(),
        digest_of(&copied)
    ))
}

/// Makes a record of an exported one, where the configuration says and where there is none yet, or goes on with that. What to say
/// about it.
///
/// # Errors
/// When there is a record, the file cannot be read or is not whole, or the record cannot be written.
pub fn import_store(config: &Config, path: &Path) -> Result<String, StoreCommandError> {
    let file = File::open(path).map_err(|cause| StoreCommandError::File {
        attempted: "open",
        path: path.to_owned(),
        cause,
    })?;
    let mut record = store_setup::to_import(&config.store).map_err(StartError::Store)?;
    let bar = bar();
    let imported =
        import_record(&mut BufReader::with_capacity(BUFFER, file), &mut record, &mut |stage, rows, all| {
            let words = match stage {
                ImportStage::Checking => "rows of the file are read through",
                ImportStage::Writing => "rows are written",
                ImportStage::Comparing => "rows are read back",
            };
            show(bar.as_ref(), words, rows, all);
        });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if let Some(store) = store_setup::file(&config.store).filter(|store| store.exists()) {
        give_to_owner_of_directory(&store).map_err(|cause| StoreCommandError::File {
            attempted: "give to the owner of its directory",
            path: store,
            cause,
        })?;
    }
    let copied = imported.map_err(|cause| StoreCommandError::Import { path: path.to_owned(), cause })?;
    Ok(format!(
        "Imported {} into {}, and read back the same.\n{}",
        said(&copied),
        config.store.url,
        digest_of(&copied)
    ))
}

/// A new file, for its owner alone. One that an export has left that was killed is replaced.
fn make(draft: &Path) -> io::Result<File> {
    match std::fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)
}

fn said(copied: &Copied) -> String {
    let Copied { rows, repositories, tags, manifests, events, .. } = copied;
    format!("{rows} rows ({repositories} repositories, {tags} tags, {manifests} manifests, {events} events)")
}

fn digest_of(copied: &Copied) -> String {
    format!("The SHA-256 of its lines without the last one is {}.", copied.sha256)
}

fn bar() -> Option<ProgressBar> {
    io::stderr().is_terminal().then(copy_bar)
}

fn show(bar: Option<&ProgressBar>, words: &'static str, rows: u64, all: Option<u64>) {
    if let Some(bar) = bar {
        // More than there are is as good as not known.
        bar.set_length(all.unwrap_or(rows).max(rows));
        bar.set_position(rows);
        bar.set_message(words);
    }
}
