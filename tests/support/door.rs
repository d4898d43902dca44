//! The real binary as a child process.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::binary::{portreeve, without_variables};
use super::http::http_client;
use super::port;
use super::postgres::{self, Database};
use super::wait::{PAUSE, until};

/// How long the door may take to be ready.
const START: Duration = Duration::from_secs(10);
/// How long its log may take.
const SOON: Duration = Duration::from_secs(20);

/// A running door. Dropping it kills it.
pub struct Door {
    settings: BTreeMap<String, String>,
    directory: TempDir,
    address: SocketAddr,
    admin: SocketAddr,
    child: Child,
    /// Where its record is, if that is a database of its own.
    _database: Option<Database>,
}

/// A door about to be started.
pub struct DoorBuilder {
    settings: BTreeMap<String, String>,
}

/// Why a door did not come to listen.
enum Failed {
    /// It ended, and said this.
    Exited(ExitStatus, String),
    /// It is still there, and said this.
    Silent(String),
}

impl Door {
    /// A door in front of this registry, or several of them separated by commas; ports and store of its own.
    pub fn builder(registry_url: impl Into<String>) -> DoorBuilder {
        DoorBuilder { settings: BTreeMap::new() }
            .set("REGISTRY__URL", registry_url)
            .set("LISTEN__ADMIN", "127.0.0.1:0")
            // What a test shows must not be what a sweep mended meanwhile.
            .set("SYNC__INTERVAL", "0")
            .set("SYNC__DEEP_INTERVAL", "0")
            // Tests write through the door and then around it, and look at once.
            .set("SYNC__SETTLING", "0")
    }

    /// Where clients reach it.
    pub fn url(&self) -> String {
        let scheme = if self.settings.contains_key("LISTEN__TLS__CERT") { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The admin listener.
    pub fn admin(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the door has ended")
    }

    /// Its socket for commands.
    pub fn socket(&self) -> PathBuf {
        let configured = self.settings.get("STORE__URL").and_then(|url| url.strip_prefix("redb:"));
        let mut path = configured.map_or_else(|| self.directory.path().join("portreeve.redb"), PathBuf::from);
        path.as_mut_os_string().push(".socket");
        path
    }

    /// Ends it as a crash does.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends a signal: `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        let status =
            std::process::Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(status.success(), "kill: {status}");
    }

    /// Waits for its end.
    pub async fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("the door did not end within {within:?}:\n{}", self.log()),
        }
    }

    /// Starts it again where it was, with the same store; kills it first if it still runs. Answers when it is ready.
    pub async fn restart(&mut self) {
        self.restart_listening().await;
        self.wait_ready().await;
    }

    /// The same; answers when it listens.
    pub async fn restart_listening(&mut self) {
        self.kill().await;
        let seen = log_length(self.directory.path());
        self.settings.insert("LISTEN__DOOR".to_owned(), self.address.to_string());
        self.child = spawn(&self.settings, self.directory.path());
        match listens(&mut self.child, self.directory.path(), seen).await {
            Ok((_, admin)) => self.admin = admin,
            Err(failed) => panic!("the door did not come back: {failed}"),
        }
    }

    /// Everything it has said so far, over all its runs.
    pub fn log(&self) -> String {
        log(self.directory.path(), 0)
    }

    /// Everything it has said up to now. A thread of its own writes the log, in order: what was said before a request is there
    /// once that request is. With the access log on only.
    pub async fn whole_log(&self) -> String {
        let mark = format!("/mark/{:016x}", fastrand::u64(..));
        http_client().get(format!("{}{mark}", self.url())).send().await.unwrap();
        until("the request is in the log", SOON, async || self.log().contains(&mark)).await;
        self.log()
    }

    /// Runs `portreeve check` with its configuration: whether nothing has to be done, and what it says.
    pub async fn check(&self) -> (bool, String) {
        let settings = self.settings.iter().filter(|(key, _)| !key.starts_with("--"));
        let output = portreeve()
            .arg("check")
            .current_dir(self.directory.path())
            .envs(settings.map(|(key, value)| (format!("PORTREEVE__{key}"), value)))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said.into_owned())
    }

    /// The answer of the API to a question that has to be answered with 200.
    pub async fn get_json(&self, path: &str) -> serde_json::Value {
        let response = http_client().get(format!("{}{path}", self.url())).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    async fn wait_ready(&mut self) {
        let client = http_client();
        let deadline = Instant::now() + START;
        loop {
            let answer = client.get(format!("{}/readyz", self.admin())).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            assert!(
                Instant::now() < deadline && self.child.try_wait().unwrap().is_none(),
                "the door is not ready:\n{}",
                self.log()
            );
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- door on {}:\n{}", self.address, self.log());
        }
    }
}

impl DoorBuilder {
    /// Sets a configuration key by the end of its environment variable's name: `REGISTRY__TIMEOUT`.
    pub fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.settings.insert(key.to_owned(), value.into());
        self
    }

    /// Takes back what was set.
    pub fn unset(mut self, key: &str) -> Self {
        self.settings.remove(key);
        self
    }

    /// Reads this configuration's file.
    pub fn configured_by(self, file: &Path) -> Self {
        self.set(CONFIGURATION, file.to_str().unwrap())
    }

    /// Its clock shows the time of day moved by what this file says, such as `+2h`, whenever it is looked at.
    pub fn with_clock_of(self, file: &Path) -> Self {
        self.set(CLOCK, file.to_str().unwrap())
    }

    /// Gives its process so many descriptors: a limit that it may raise, and the one up to which it may.
    pub fn descriptors(self, soft: u64, hard: u64) -> Self {
        self.set(DESCRIPTORS, format!("{soft}:{hard}"))
    }

    /// Keeps the record in this file, instead of in one that goes with the door.
    pub fn store(self, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        self.set("STORE__URL", format!("redb:{}", path.display()))
    }

    /// Starts it, and answers when it is ready.
    pub async fn start(self) -> Door {
        let mut door = self.start_listening().await;
        door.wait_ready().await;
        door
    }

    /// Starts it, and answers when it listens, ready or not: without a registry no door is ready.
    pub async fn start_listening(self) -> Door {
        let chooses_port = !self.settings.contains_key("LISTEN__DOOR");
        for _ in 0..10 {
            match self.attempt().await {
                Ok(door) => return door,
                // Another process was quicker.
                Err(Failed::Exited(_, said)) if chooses_port && said.contains("another process listens") => {}
                Err(failed) => panic!("the door does not listen: {failed}"),
            }
        }
        panic!("no port was free");
    }

    /// Starts a door that is expected not to come up: its exit status, and what it said. A door that does come up is
    /// killed when the answer is dropped.
    pub async fn try_start(self) -> Result<Door, (ExitStatus, String)> {
        match self.attempt().await {
            Ok(door) => Ok(door),
            Err(Failed::Exited(status, said)) => Err((status, said)),
            Err(failed) => panic!("neither listening nor ended: {failed}"),
        }
    }

    async fn attempt(&self) -> Result<Door, Failed> {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = self.settings.clone();
        settings.entry("LISTEN__DOOR".to_owned()).or_insert_with(|| port::free().to_string());
        let database = keep_record(&mut settings, directory.path());
        let mut child = spawn(&settings, directory.path());
        let (address, admin) = listens(&mut child, directory.path(), 0).await?;
        Ok(Door { settings, directory, address, admin, child, _database: database })
    }
}

/// Gives a door a place for its record, unless it has one: a file, or with `PORTREEVE_TEST_STORE=postgres` a database.
fn keep_record(settings: &mut BTreeMap<String, String>, directory: &Path) -> Option<Database> {
    if settings.contains_key("STORE__URL") {
        return None;
    }
    let file = directory.join("portreeve.redb");
    match std::env::var("PORTREEVE_TEST_STORE").as_deref() {
        Err(_) | Ok("redb") => {
            settings.insert("STORE__URL".to_owned(), format!("redb:{}", file.display()));
            None
        }
        Ok("postgres") => {
            let database = Database::create();
            settings.insert("STORE__URL".to_owned(), database.url());
            settings.insert("STORE__PASSWORD".to_owned(), postgres::PASSWORD.to_owned());
            let socket = format!("{}.socket", file.display());
            settings.entry("SERVER__SOCKET".to_owned()).or_insert(socket);
            Some(database)
        }
        Ok(other) => panic!("PORTREEVE_TEST_STORE is {other}, which is neither redb nor postgres"),
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status, said) => write!(formatter, "it ended with {status}:\n{said}"),
            Self::Silent(said) => write!(formatter, "it said only:\n{said}"),
        }
    }
}

/// Stands for the configuration's file among the settings.
const CONFIGURATION: &str = "--config";
/// Stands for the file that moves its clock among the settings.
const CLOCK: &str = "--clock";
/// Stands for the most descriptors of the process among the settings.
const DESCRIPTORS: &str = "--nofile";

fn spawn(settings: &BTreeMap<String, String>, directory: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(directory.join("door.log")).unwrap();
    let mut settings = settings.clone();
    let mut command = match settings.remove(DESCRIPTORS) {
        None => portreeve(),
        Some(descriptors) => {
            let mut command = std::process::Command::new("prlimit");
            command.args([&format!("--nofile={descriptors}"), env!("CARGO_BIN_EXE_portreeve")]);
            without_variables(&mut command);
            Command::from(command)
        }
    };
    // The working directory may hold a configuration.
    command.arg("serve").current_dir(directory);
    if let Some(file) = settings.remove(CONFIGURATION) {
        command.args(["--config", &file]);
    }
    if let Some(file) = settings.remove(CLOCK) {
        command.envs(clock_of(Path::new(&file)));
    }
    command
        .envs(settings.iter().map(|(key, value)| (format!("PORTREEVE__{key}"), value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The environment of a process whose time of day is moved by what this file says, and whose other clocks are as they are
/// (libfaketime).
pub fn clock_of(file: &Path) -> Vec<(&'static str, String)> {
    let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
    assert!(Path::new(&library).exists(), "{library} is missing: install libfaketime");
    vec![
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap().to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// Waits for the line that names the addresses, beyond the first `seen` bytes of the log.
async fn listens(child: &mut Child, directory: &Path, seen: u64) -> Result<(SocketAddr, SocketAddr), Failed> {
    let deadline = Instant::now() + START;
    loop {
        // Looked at first: what is said before the end is in the log then.
        let ended = child.try_wait().unwrap();
        let said = log(directory, seen);
        for line in said.lines() {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            if line["message"] == "listening" {
                let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
                return Ok((address("door"), address("admin")));
            }
        }
        if let Some(status) = ended {
            return Err(Failed::Exited(status, said));
        }
        if Instant::now() > deadline {
            return Err(Failed::Silent(said));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the log says beyond its first bytes.
fn log(directory: &Path, beyond: u64) -> String {
    let mut said = Vec::new();
    let mut file = std::fs::File::open(directory.join("door.log")).unwrap();
    file.seek(SeekFrom::Start(beyond)).unwrap();
    file.read_to_end(&mut said).unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

fn log_length(directory: &Path) -> u64 {
    std::fs::metadata(directory.join("door.log")).unwrap().len()
}
