//! Other people's programs, run as a user runs them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

/// Far longer than any of them takes: the longest needs 50 s alone, and on a machine that is busy several times that.
const LIMIT: Duration = Duration::from_secs(600);

/// A program, with a home directory and logins of its own.
pub struct Tool {
    program: PathBuf,
    /// What to do when it is missing.
    remedy: String,
    before: Vec<String>,
    environment: Vec<(String, String)>,
    home: TempDir,
}

impl Tool {
    /// The program of this name, which Debian's `package` brings. That it is missing shows when it is run.
    pub fn new(program: &str, package: &str) -> Self {
        Self::of(program.into(), format!("Debian's package {package} brings it"))
    }

    /// The program of this name that `tests/tools.sh` has brought.
    pub fn brought(name: &str) -> Self {
        // Cargo has `tmp` for tests in its target directory, and `tools` is beside it.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        Self::of(target.join("tools/bin").join(name), format!("`tests/tools.sh {name}` brings it"))
    }

    fn of(program: PathBuf, remedy: String) -> Self {
        let home = tempfile::tempdir().unwrap();
        // Podman, Buildah and Skopeo otherwise keep logins in one file of the whole system, for all tests at once.
        let logins = home.path().join("logins.json");
        std::fs::write(&logins, "{\"auths\": {}}").unwrap();
        let tool = Self { program, remedy, before: Vec::new(), environment: Vec::new(), home };
        tool.set("REGISTRY_AUTH_FILE", logins.to_str().unwrap())
    }

    /// Gives these arguments in front of those of each run.
    pub fn always(mut self, arguments: &[&str]) -> Self {
        self.before.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Sets an environment variable.
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Its home and working directory.
    pub fn home(&self) -> PathBuf {
        self.home.path().to_owned()
    }

    /// Runs it; it has to succeed. What it wrote to standard output, without white space around it.
    pub async fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let output = self.attempt(arguments).await;
        let shown: Vec<_> = arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect();
        assert!(
            output.status.success(),
            "{} {}: {}\n{}{}",
            self.program.display(),
            shown.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs it, whatever comes of it.
    pub async fn attempt<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Output {
        // By way of files, so that what it had said shows even if it does not end.
        let (said, complained) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut command = Command::new(&self.program);
        command
            .stdout(said.try_clone().unwrap())
            .stderr(complained.try_clone().unwrap())
            .args(&self.before)
            .args(arguments)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = match tokio::time::timeout(LIMIT, command.status()).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(error)) => panic!("{} cannot be run ({error}): {}", self.program.display(), self.remedy),
            Err(elapsed) => Err(elapsed),
        };
        let (stdout, stderr) = (whole(said), whole(complained));
        match ended {
            Ok(status) => Output { status, stdout, stderr },
            Err(_) => panic!(
                "{} did not end within {LIMIT:?}, and has said:\n{}{}",
                self.program.display(),
                String::from_utf8_lossy(&stdout),
                String::from_utf8_lossy(&stderr),
            ),
        }
    }
}

/// What a program has written to this file.
fn whole(mut file: File) -> Vec<u8> {
    let mut written = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut written).unwrap();
    written
}
