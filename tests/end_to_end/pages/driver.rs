//! ChromeDriver as a child process, with everything that it starts.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::support::wait::PAUSE;

/// How long it may take to listen, on a machine that is busy.
const START: Duration = Duration::from_secs(20);
/// How long the files of killed processes may stay in use.
const END: Duration = Duration::from_secs(5);

/// A running ChromeDriver. Dropping it kills it and its browsers, and removes their files.
pub(super) struct Driver {
    child: Child,
    /// The leader of the group that all its processes are in.
    group: Pid,
    port: u16,
    directory: Option<TempDir>,
}

impl Driver {
    /// Starts one on a port of its own choice.
    pub(super) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("driver.log");
        let file = File::create(&log).unwrap();
        let child = Command::new("chromedriver")
            .arg("--port=0")
            .current_dir(directory.path())
            .env("HOME", directory.path())
            .env("TMPDIR", directory.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("chromedriver cannot be run ({error}): Debian's package chromium-driver brings it")
            });
        let id = i32::try_from(child.id().unwrap()).unwrap();
        let group = Pid::from_raw(id).unwrap();
        let mut driver = Self { child, group, port: 0, directory: Some(directory) };
        driver.port = driver.listens(&log).await;
        driver
    }

    /// Waits for the line that names the port.
    async fn listens(&mut self, log: &Path) -> u16 {
        let deadline = Instant::now() + START;
        loop {
            let ended = self.child.try_wait().unwrap();
            let said = std::fs::read_to_string(log).unwrap();
            let port =
                said.split("started successfully on port ").nth(1).and_then(|rest| rest.split_once('.'));
            if let Some((port, _)) = port {
                return port.parse().unwrap();
            }
            assert!(ended.is_none(), "chromedriver ended: {said}");
            assert!(Instant::now() < deadline, "chromedriver does not listen within {START:?}: {said}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Where it listens.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The directory for the profile of its browser.
    pub(super) fn profile(&self) -> String {
        let directory = self.directory.as_ref().unwrap().path();
        directory.join("profile").to_str().unwrap().to_owned()
    }
}

impl Drop for Driver {
    #[expect(clippy::disallowed_methods, reason = "dropping cannot wait in any other way")]
    fn drop(&mut self) {
        // Fails only if none of them is left.
        let _ = kill_process_group(self.group, Signal::KILL);
        let Some(directory) = self.directory.take() else { return };
        // A process that is being killed still writes.
        let deadline = std::time::Instant::now() + END;
        while std::fs::remove_dir_all(directory.path()).is_err() && std::time::Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
    }
}
