//! Files of the operator's and of the door's. Here: watching them, whether one that was read before is another one now.
//!
//! Time and length do not tell: files of reproducible images, of Nix and of OSTree all have the same time, two passwords'
//! hashes have the same length, and a mounted directory is exchanged as a whole by moving a symbolic link. Every
//! floor that reads files which may change while the door runs has them watched here.

mod directory;
mod ownership;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use self::directory::sync_directory_of;
pub use self::ownership::give_to_owner_of_directory;

/// How often files are looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// Which file stood under a path, and in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileVersion {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds since 1970 of the last change of its content, which its owner may set.
    modified: (i64, i64),
    /// The same of its last change of any kind, which only the system sets.
    changed: (i64, i64),
}

impl FileVersion {
    /// The version of the file that a path leads to now; none if it cannot be looked at.
    fn of(path: &Path) -> Option<Self> {
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

/// The versions of files that are read together. A directory stands for the files in it as well: one that is written in place leaves
/// the directory as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVersions(Vec<Option<FileVersion>>);

impl FileVersions {
    /// The versions of what is under these paths now.
    pub fn of(paths: &[PathBuf]) -> Self {
        let entries = |path: &PathBuf| {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            files.sort_unstable();
            files
        };
        let all = paths.iter().flat_map(|path| std::iter::once(path.clone()).chain(entries(path)));
        Self(all.map(|path| FileVersion::of(&path)).collect())
    }
}

/// Tells of each time that the operator wants everything to be read anew.
pub type RereadRequests = watch::Receiver<()>;

/// Looks at files again and again, and tells when they have to be read.
#[derive(Debug)]
pub struct FileWatcher {
    paths: Arc<[PathBuf]>,
    seen: FileVersions,
    requests: RereadRequests,
    is_requested: bool,
}

/// Why files have to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reread {
    /// One is another than it was.
    Changed,
    /// The operator wants it.
    Requested,
}

impl FileWatcher {
    /// Watches these files, which were read when they were as in `seen`, and the operator's requests.
    pub fn new(paths: &[PathBuf], seen: FileVersions, requests: RereadRequests) -> Self {
        Self { paths: paths.into(), seen, requests, is_requested: false }
    }

    /// Waits until the files have to be read. What changes while they are read is told of the next time. Dropping the future
    /// loses nothing.
    pub async fn changed(&mut self) -> Reread {
        loop {
            self.is_requested = self.is_requested || next_look(&mut self.requests).await;
            let paths = Arc::clone(&self.paths);
            match tokio::task::spawn_blocking(move || FileVersions::of(&paths)).await {
                Ok(now) => {
                    let is_changed = now != self.seen;
                    self.seen = now;
                    if std::mem::take(&mut self.is_requested) {
                        return Reread::Requested;
                    }
                    if is_changed {
                        return Reread::Changed;
                    }
                }
                Err(error) => tracing::error!(paths = ?self.paths, %error, "looking at files failed"),
            }
        }
    }
}

/// Waits until files have to be looked at: for [`PERIOD`], or until the operator wants them to be read anew. Answers whether
/// that is so. Dropping the future loses no request.
async fn next_look(requests: &mut RereadRequests) -> bool {
    let requested = async {
        if requests.changed().await.is_err() {
            // The sender is gone: there are no requests any more.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = requested => true,
        () = tokio::time::sleep(PERIOD) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, FileTimes};
    use std::time::SystemTime;

    use futures_util::FutureExt as _;

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

    /// A file that is watched from when it was written, and who can ask for it to be read again.
    fn watched(directory: &Path) -> (PathBuf, watch::Sender<()>, FileWatcher) {
        let path = directory.join("users");
        fs::write(&path, "one").unwrap();
        let paths = [path.clone()];
        let (ask, requests) = watch::channel(());
        (path, ask, FileWatcher::new(&paths, FileVersions::of(&paths), requests))
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_looked_at_now_and_then_and_read_at_once_when_the_operator_asks() {
        let directory = tempfile::tempdir().unwrap();
        let (path, ask, mut watcher) = watched(directory.path());
        ask.send_replace(());
        let begun = tokio::time::Instant::now();
        assert_eq!(watcher.changed().await, Reread::Requested);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        fs::remove_file(&path).unwrap();
        drop(ask);
        assert_eq!(watcher.changed().await, Reread::Changed);
        assert_eq!(begun.elapsed(), PERIOD);
        let unchanged = tokio::time::timeout(PERIOD * 10, watcher.changed()).await;
        assert!(unchanged.is_err(), "{unchanged:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_not_lost_with_the_future_that_heard_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let (_path, ask, mut watcher) = watched(directory.path());
        ask.send_replace(());
        // Polled once: the request is heard, and the files are not looked at yet.
        assert!(watcher.changed().now_or_never().is_none());
        assert_eq!(watcher.changed().await, Reread::Requested);
    }

    #[test]
    fn a_file_that_is_written_in_place_changes_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().to_owned()];
        let file = directory.path().join("key");
        fs::write(&file, "one").unwrap();
        let before = FileVersions::of(&paths);
        assert_eq!(FileVersions::of(&paths), before);
        fs::write(&file, "longer").unwrap();
        assert_ne!(FileVersions::of(&paths), before);
    }
}
