//! The files of a directory of keys as a backup has them: those of the keys, and the secret beside them. Nothing else that lies there.

use std::path::PathBuf;

use super::file::{self, KeyFileError};
use super::{KeyDirectory, KeyRingError};
use crate::store::{Beside, BesideError, FileBeside};

/// How often files are read again that change meanwhile: keys are rotated now and then.
const TRIES: usize = 10;

/// Why files of a backup are not put in a directory of keys.
#[derive(Debug, thiserror::Error)]
enum NotPut {
    #[error("auth.keys: it has a file `{0}`, which is none of a key")]
    Foreign(String),
    #[error(
        "auth.keys: there are other keys in {} already: move them away, or name another directory",
        directory.display()
    )]
    NotEmpty { directory: PathBuf },
}

impl KeyDirectory {
    /// The files that keep the keys, by their names; none where there is no directory.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn files(&self) -> Result<Vec<FileBeside>, KeyRingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let names = file::all_names(&self.path)?;
            let read: Result<Vec<FileBeside>, KeyFileError> = names
                .iter()
                .map(|name| Ok(FileBeside::new(name.clone(), file::read(&self.path, name)?)))
                .collect();
            match read {
                // Of keys that are exchanged there may be files of two moments.
                Ok(files) if tries >= TRIES || file::all_names(&self.path)? == names => return Ok(files),
                Err(KeyFileError::Absent { .. }) if tries < TRIES => {}
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Beside for KeyDirectory {
    fn check(&mut self, files: &[FileBeside]) -> Result<(), BesideError> {
        if let Some(foreign) = files.iter().find(|file| !file::is_name(&file.name)) {
            return Err(NotPut::Foreign(foreign.name.clone()).into());
        }
        match self.files()?.iter().all(|there| files.contains(there)) {
            true => Ok(()),
            false => Err(NotPut::NotEmpty { directory: self.path.clone() }.into()),
        }
    }

    fn put(&mut self, files: &[FileBeside]) -> Result<(), BesideError> {
        file::make_directory(&self.path)?;
        for file in files {
            file::put_back(&self.path, &file.name, file.content())?;
        }
        Ok(file::sync(&self.path)?)
    }

    fn read(&mut self) -> Result<Vec<FileBeside>, BesideError> {
        Ok(self.files()?)
    }
}
