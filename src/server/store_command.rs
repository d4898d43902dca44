//! `portreeve store export` and `portreeve store import`: a whole record, to a file and from one.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use indicatif::ProgressBar;

use super::door_client::{Client, DoorError};
use super::draft::{Draft, FileError};
use super::progress_bar::copy_bar;
use super::start_error::StartError;
use super::{socket, store_setup};
use crate::config::{Config, StoreUrl};
use crate::files::give_to_owner_of_directory;
use crate::store::{
    Beside, Copied, ExportError, FormError, ImportError, ImportStage, StoreError, WholeRecord, export_record,
    import_record,
};

/// What a file is read and written by at once.
pub(super) const BUFFER: usize = 1024 * 1024;

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
    /// A door has the file of the store, and does not answer.
    #[error(
        "a process has the store {}, and no door answers at {}: is that the server.socket of the door?",
        store.display(),
        socket.display()
    )]
    DoorUnreachable {
        /// The file.
        store: PathBuf,
        /// Where the door was looked for.
        socket: PathBuf,
    },
    /// The running door did not do it.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The file cannot be made or opened.
    #[error(transparent)]
    File(#[from] FileError),
    /// The record cannot be read, or not be written down.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The record cannot be looked at.
    #[error("the record cannot be looked at: {0}")]
    Check(#[from] StoreError),
    /// What a door sent is no news of a look.
    #[error("the door sent something else than what it finds: {0}")]
    Line(#[from] serde_json::Error),
    /// What the door did ended too early.
    #[error("the door did not {attempted} to the end; its log says why, unless it was stopped")]
    CutOff {
        /// What was asked of it.
        attempted: &'static str,
    },
    /// What is found cannot be written.
    #[error("it cannot be written: {0}")]
    Write(#[from] io::Error),
    /// What was written is no backup.
    #[error("the backup was not made: {0}")]
    Backup(FormError),
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
            Self::InUse { .. } | Self::DoorUnreachable { .. } | Self::File(_) => true,
            Self::Door(_)
            | Self::Export(_)
            | Self::Check(_)
            | Self::Line(_)
            | Self::CutOff { .. }
            | Self::Write(_)
            | Self::Backup(_)
            | Self::Import { .. } => false,
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
    let draft = Draft::make(path)?;
    let progress = Progress::new();
    let out = BufWriter::with_capacity(BUFFER, &draft.file);
    let copied = export_record(&mut record, &[], out, &mut |rows, expected| {
        progress.show("rows are written", rows, Some(expected));
    })?;
    drop(progress);
    draft.publish()?;
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
    let copied = make_record(config, path, None)?;
    Ok(format!(
        "Imported {} into {}, and read back the same.\n{}",
        said(&copied),
        config.store.url,
        digest_of(&copied)
    ))
}

/// The record, to be read by this process.
///
/// # Errors
/// When it cannot be opened; also when a door has it.
pub(super) fn open_whole(config: &Config) -> Result<WholeRecord, StoreCommandError> {
    store_setup::whole(&config.store).map_err(|error| match error.in_use() {
        Some(store) => {
            StoreCommandError::DoorUnreachable { store: store.to_owned(), socket: socket::path(config) }
        }
        None => StartError::Store(error).into(),
    })
}

/// The socket of the door that has the record for itself, if one runs.
pub(super) fn door_with_record(config: &Config) -> Option<PathBuf> {
    match &config.store.url {
        StoreUrl::Redb(_) => Some(socket::path(config)).filter(|socket| socket::is_answered(socket)),
        StoreUrl::Postgres(_) => None,
    }
}

/// The next piece of what the door answers; nothing at its end.
///
/// # Errors
/// When it broke off.
pub(super) async fn next_piece(
    door: &Client,
    attempted: &'static str,
    response: &mut reqwest::Response,
) -> Result<Option<Bytes>, StoreCommandError> {
    door.next_piece(attempted, response).await.map_err(|_| StoreCommandError::CutOff { attempted })
}

/// Makes a record of what a file says. Files that it has beside the record go to `beside`.
pub(super) fn make_record(
    config: &Config,
    path: &Path,
    beside: Option<&mut dyn Beside>,
) -> Result<Copied, StoreCommandError> {
    let file = File::open(path).map_err(FileError::of("open", path))?;
    let mut record = store_setup::to_import(&config.store).map_err(StartError::Store)?;
    let progress = Progress::new();
    let mut file = BufReader::with_capacity(BUFFER, file);
    let imported = import_record(&mut file, &mut record, beside, &mut |stage, rows, all| {
        let words = match stage {
            ImportStage::Checking => "rows of the file are read through",
            ImportStage::Writing => "rows are written",
            ImportStage::Comparing => "rows are read back",
        };
        progress.show(words, rows, all);
    });
    drop(progress);
    if let Some(store) = store_setup::file(&config.store).filter(|store| store.exists()) {
        give_to_owner_of_directory(&store)
            .map_err(FileError::of("give to the owner of its directory", &store))?;
    }
    imported.map_err(|cause| StoreCommandError::Import { path: path.to_owned(), cause })
}

pub(super) fn said(copied: &Copied) -> String {
    let Copied { rows, repositories, tags, manifests, events, .. } = copied;
    format!("{rows} rows ({repositories} repositories, {tags} tags, {manifests} manifests, {events} events)")
}

pub(super) fn digest_of(copied: &Copied) -> String {
    format!("The SHA-256 of its lines without the last one is {}.", copied.sha256)
}

/// How far it is, on a terminal. Dropped, it is gone.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn new() -> Self {
        Self(io::stderr().is_terminal().then(copy_bar))
    }

    /// So many rows are done, of so many.
    pub(super) fn show(&self, words: &'static str, rows: u64, all: Option<u64>) {
        if let Some(bar) = &self.0 {
            // More than there are is as good as not known.
            bar.set_length(all.unwrap_or(rows).max(rows));
            bar.set_position(rows);
            bar.set_message(words);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
