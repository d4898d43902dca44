//! Whose the files are that the door makes: for all modules that make some.

use std::io;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

use super::directory::directory_of;

/// Gives what was just made at this path to the owner of its directory, where root has made it. A command or a first start
/// as root otherwise leaves private files that the door cannot read later, when it runs as the user to whom the directory
/// belongs. Other users cannot give files away, and need not: what they make is theirs.
///
/// # Errors
/// When the system does not let it be given away.
pub fn give_to_owner_of_directory(path: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let directory = std::fs::metadata(directory_of(path))?;
    if directory.uid() == 0 {
        return Ok(());
    }
    lchown(path, Some(directory.uid()), Some(directory.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_belongs_to_whom_the_directory_belongs() {
        const SERVICE: u32 = 54_321;
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("service");
        std::fs::create_dir(&directory).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&directory, Some(SERVICE), Some(SERVICE)).unwrap();
        }
        let path = directory.join("file");
        std::fs::write(&path, "").unwrap();
        give_to_owner_of_directory(&path).unwrap();
        let owner = |path: &Path| {
            let found = std::fs::metadata(path).unwrap();
            (found.uid(), found.gid())
        };
        assert_eq!(owner(&path), owner(&directory));
    }
}
