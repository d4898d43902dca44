//! `portreeve store backup` and `portreeve store restore`: a whole record as it was at one moment, with the keys beside it, in a file
//! of the form of an export; and back from there.
//!
//! A record in a redb file is sent by the running door, to which the file belongs; one in PostgreSQL is read by the command itself, in
//! one transaction. So a backup is made in the same way and looks the same, wherever the record is: it has the keys, its rows are
//! counted, and it is read back before it gets its name. `pg_dump` remains as good for what is in the database; what lies in a
//! directory of keys it does not have.

use std::io::{BufReader, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use tokio::runtime;

use super::door_client::Client;
use super::draft::{Draft, FileError};
use super::registry_access::key_directory;
use super::start_error::StartError;
use super::store_command::{
    BUFFER, Progress, StoreCommandError, digest_of, door_with_record, make_record, next_piece, open_whole,
    said,
};
use crate::config::Config;
use crate::store::{Beside, BesideError, Copied, FileBeside, check_exported, export_record};
use crate::web::{BACKUP_PATH, EXPECTED_ROWS};

/// How long a door may take to send its record. Pieces come all the time, or the door gives up.
const SENT: Duration = Duration::from_hours(24);

/// Writes the whole record and the keys beside it to a file that is not there yet, while doors go on. What to say about it.
///
/// # Errors
/// When the record or the keys cannot be read, or the file is there already or cannot be written. Then there is none.
pub fn back_up_store(config: &Config, path: &Path) -> Result<String, StoreCommandError> {
    let draft = Draft::make(path)?;
    let progress = Progress::new();
    match door_with_record(config) {
        Some(door) => receive(&door, &draft, path, &progress)?,
        None => read(config, &draft, &progress)?,
    }
    let copied = read_back(&draft, path, &progress)?;
    drop(progress);
    draft.publish()?;
    Ok(format!(
        "Backed up {}{} to {}.\n{}\n{}",
        said(&copied),
        files_of(&copied),
        path.display(),
        digest_of(&copied),
        "Users, tokens, sessions and private keys are in it: keep it as you keep the store."
    ))
}

/// Makes a record and the keys beside it of a backup, where the configuration says and where there are none yet, or goes on with
/// that. What to say about it.
///
/// # Errors
/// When there is a record, or there are other keys; when the file cannot be read or is not whole, or something cannot be written.
pub fn restore_store(config: &Config, path: &Path) -> Result<String, StoreCommandError> {
    let mut keys = key_directory(config);
    let copied = match &mut keys {
        Some(keys) => make_record(config, path, Some(keys))?,
        None => make_record(config, path, Some(&mut NoDirectory))?,
    };
    let keys = match (copied.files, keys) {
        (0, _) => "\nThe file has no keys beside the record: where doors have theirs in files, the next one makes new ones."
            .to_owned(),
        (_, Some(keys)) => format!("\nThe keys are in {}.", keys.path().display()),
        (_, None) => String::new(),
    };
    Ok(format!(
        "Restored {}{} to {}, and read back the same.\n{}{keys}",
        said(&copied),
        files_of(&copied),
        config.store.url,
        digest_of(&copied)
    ))
}

/// Stands for the directory of keys where there is none.
struct NoDirectory;

/// The backup has keys in files.
#[derive(Debug, thiserror::Error)]
#[error(
    "it has the keys of a directory, and without one doors have theirs in the database: name a directory in auth.keys"
)]
struct NoPlace;

impl Beside for NoDirectory {
    fn check(&mut self, _: &[FileBeside]) -> Result<(), BesideError> {
        Err(NoPlace.into())
    }

    fn put(&mut self, _: &[FileBeside]) -> Result<(), BesideError> {
        Err(NoPlace.into())
    }

    fn read(&mut self) -> Result<Vec<FileBeside>, BesideError> {
        Err(NoPlace.into())
    }
}

fn files_of(copied: &Copied) -> String {
    match copied.files {
        0 => String::new(),
        1 => " and a file of keys".to_owned(),
        files => format!(" and {files} files of keys"),
    }
}

/// Has the running door send it.
fn receive(door: &Path, draft: &Draft, path: &Path, progress: &Progress) -> Result<(), StoreCommandError> {
    const ATTEMPTED: &str = "send its record";
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::System)?;
    runtime.block_on(async {
        let door = Client::new(door)?;
        let request = door.http.get(format!("http://door{BACKUP_PATH}")).timeout(SENT);
        let mut response = door.open(ATTEMPTED, request).await?;
        let expected =
            response.headers().get(EXPECTED_ROWS).and_then(|rows| rows.to_str().ok()?.parse().ok());
        let mut rows = 0;
        while let Some(piece) = next_piece(&door, ATTEMPTED, &mut response).await? {
            rows += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
            (&draft.file).write_all(&piece).map_err(FileError::of("write", path))?;
            progress.show("rows are written", rows, expected);
        }
        Ok(())
    })
}

/// Reads it here.
fn read(config: &Config, draft: &Draft, progress: &Progress) -> Result<(), StoreCommandError> {
    let mut record = open_whole(config)?;
    // Those that were made since the record was as it is read are good for it, too.
    let files =
        key_directory(config).map_or(Ok(Vec::new()), |keys| keys.files()).map_err(StartError::Keys)?;
    let out = std::io::BufWriter::with_capacity(BUFFER, &draft.file);
    export_record(&mut record, &files, out, &mut |rows, expected| {
        progress.show("rows are written", rows, Some(expected));
    })?;
    Ok(())
}

/// Reads what was written, as whoever restores it would.
fn read_back(draft: &Draft, path: &Path, progress: &Progress) -> Result<Copied, StoreCommandError> {
    (&draft.file).seek(SeekFrom::Start(0)).map_err(FileError::of("read", path))?;
    let file = BufReader::with_capacity(BUFFER, &draft.file);
    check_exported(file, &mut |rows| progress.show("rows are read back", rows, None))
        .map_err(StoreCommandError::Backup)
}
