//! Noticing that a file which was read before is another one now.
//!
//! Time and length do not tell: files of reproducible images, of Nix and of OSTree all have the same time, two passwords'
//! hashes have the same length, and a mounted directory is exchanged as a whole by moving a symbolic link. Whoever reads
//! files that may change while the door runs asks here.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;

/// Which file stood under a path, and in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileVersion {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds since 1970 of the last change of its content, which anybody may set.
    modified: (i64, i64),
    /// The same of its last change of any kind, which only the system sets.
    changed: (i64, i64),
}

impl FileVersion {
    /// The version of the file that a path leads to now; none if it cannot be looked at.
    pub fn of(path: &Path) -> Option<Self> {
        let data = std::fs::metadata(path).ok()?;
        Some(Self {
            device: data.dev(),
            inode: data.ino(),
            length: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

/// Tells of each time that the operator wants everything to be read anew.
pub type RereadRequests = watch::Receiver<()>;

/// Waits until files have to be looked at: for `pace`, or until the operator wants them to be read anew. Answers whether
/// that is so. Dropping the future loses no request.
pub async fn next_look(pace: Duration, requests: &mut RereadRequests) -> bool {
    let requested = async {
        if requests.changed().await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = requested => true,
        () = tokio::time::sleep(pace) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, FileTimes};
    use std::time::SystemTime;

    use super::*;

    /// Sets the time of a file's content to that of all files of a reproducible image.
    fn make_reproducible(path: &Path) {
        let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        File::options().write(true).open(path).unwrap().set_times(times).unwrap();
    }

    #[test]
    fn another_file_of_the_same_time_and_length_is_another_version() {
        let directory = tempfile::tempdir().unwrap();
        let (path, next) = (directory.path().join("users"), directory.path().join("next"));
        for file in [&path, &next] {
            fs::write(file, "same length").unwrap();
            make_reproducible(file);
        }
        let before = FileVersion::of(&path).unwrap();
        assert_eq!(FileVersion::of(&path), Some(before));
        fs::rename(next, &path).unwrap();
        assert_ne!(FileVersion::of(&path), Some(before));
    }

    #[test]
    fn a_file_that_was_written_in_place_and_set_back_in_time_is_another_version() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        fs::write(&path, "one").unwrap();
        make_reproducible(&path);
        let before = FileVersion::of(&path).unwrap();
        fs::write(&path, "two").unwrap();
        make_reproducible(&path);
        // The system's clock for files may be some milliseconds behind.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while FileVersion::of(&path) == Some(before) {
            assert!(std::time::Instant::now() < deadline, "{before:?}");
            make_reproducible(&path);
        }
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_another_version() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["one", "two"] {
            fs::write(path(name), "same length").unwrap();
            make_reproducible(&path(name));
        }
        std::os::unix::fs::symlink(path("one"), path("users")).unwrap();
        let before = FileVersion::of(&path("users")).unwrap();
        std::os::unix::fs::symlink(path("two"), path("next")).unwrap();
        fs::rename(path("next"), path("users")).unwrap();
        assert_ne!(FileVersion::of(&path("users")), Some(before));
    }

    #[test]
    fn what_is_not_there_has_no_version() {
        assert_eq!(FileVersion::of(Path::new("/nowhere/at/all")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_looked_at_now_and_then_and_at_once_when_somebody_asks() {
        let (ask, mut requests) = watch::channel(());
        let pace = Duration::from_secs(2);
        assert!(!next_look(pace, &mut requests).await);
        ask.send_replace(());
        let begun = tokio::time::Instant::now();
        assert!(next_look(pace, &mut requests).await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        drop(ask);
        assert!(!next_look(pace, &mut requests).await);
        assert_eq!(begun.elapsed(), pace);
    }
}
