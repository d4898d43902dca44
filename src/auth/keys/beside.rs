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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::keys::KeyAlgorithm;
    use crate::clock::Timestamp;

    const NOW: Timestamp = Timestamp::from_milliseconds(1_000);

    fn directory(root: &tempfile::TempDir, name: &str) -> KeyDirectory {
        KeyDirectory::new(root.path().join(name), KeyAlgorithm::Es256, std::time::Duration::from_secs(100))
    }

    #[test]
    fn keys_that_were_put_elsewhere_are_the_same_keys() {
        let root = tempfile::tempdir().unwrap();
        let (here, mut there) = (directory(&root, "here"), directory(&root, "there"));
        assert_eq!(here.files().unwrap(), [], "nothing is there yet");
        here.open(NOW).unwrap();
        here.prepare(NOW).unwrap();
        std::fs::write(here.path().join("notes.txt"), "no key").unwrap();
        let files = here.files().unwrap();
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let expected =
            ["1000.crt", "1000.jwk", "1000.key", "next.crt", "next.jwk", "next.key", "uploads.secret"];
        assert_eq!(names, expected);
        there.check(&files).unwrap();
        there.put(&files).unwrap();
        assert_eq!(there.read().unwrap(), files);
        // It may have been interrupted, and is done again.
        there.check(&files).unwrap();
        let ring = |keys: &KeyDirectory| {
            let ring = keys.look(NOW).unwrap();
            (ring.signing().public().id().to_owned(), ring.next().map(str::to_owned), keys.secret().unwrap())
        };
        assert_eq!(ring(&there), ring(&here));
    }

    #[test]
    fn what_is_no_file_of_a_key_is_put_nowhere_and_other_keys_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let mut keys = directory(&root, "keys");
        for name in [
            "../1000.key",
            "/etc/1000.key",
            "1000.key/x",
            "01000.key",
            "1000.new",
            "key",
            ".key",
            "next.key.x",
        ] {
            let files = [FileBeside::new(name.to_owned(), b"x".to_vec())];
            assert!(keys.check(&files).unwrap_err().to_string().contains("none of a key"), "{name}");
        }
        keys.open(NOW).unwrap();
        let files = [FileBeside::new("uploads.secret".to_owned(), b"another".to_vec())];
        assert!(keys.check(&files).unwrap_err().to_string().contains("other keys"));
    }
}
