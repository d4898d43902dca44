//! The real binary: as a running door, or for one sweep.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::Fault;

const START: Duration = Duration::from_secs(20);
/// Clock ticks of `/proc/PID/stat` in a second (proc(5), sysconf `_SC_CLK_TCK`).
const TICKS: f64 = 100.0;

/// A directory with a store in it, or beside a database.
pub struct House {
    directory: TempDir,
    registry: String,
    /// The database that it shares with others.
    database: Option<SharedDatabase>,
}

/// A database that doors share.
#[derive(Clone)]
pub struct SharedDatabase {
    pub url: String,
    pub password: String,
}

/// What one sweep took.
pub struct Swept {
    pub elapsed: Duration,
    /// Processor time in seconds.
    pub processor: f64,
    /// The most memory at once, in MiB.
    pub memory: f64,
    /// The last line that it said.
    pub said: String,
}

/// A running door. Dropping it ends it.
pub struct Door {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
}

impl House {
    pub fn new(registry: impl Into<String>) -> Result<Self, Fault> {
        let house = Self { directory: tempfile::tempdir()?, registry: registry.into(), database: None };
        house.make_store()?;
        Ok(house)
    }

    /// One of which the record is in a database.
    #[allow(dead_code, reason = "not every benchmark has a database")]
    pub fn sharing(registry: impl Into<String>, database: SharedDatabase) -> Result<Self, Fault> {
        Ok(Self { directory: tempfile::tempdir()?, registry: registry.into(), database: Some(database) })
    }

    /// Makes an empty store, as only a door does.
    fn make_store(&self) -> Result<(), Fault> {
        let mut door = self
            .command()
            .arg("serve")
            .env("PORTREEVE__LISTEN__DOOR", "127.0.0.1:0")
            .env("PORTREEVE__SYNC__INTERVAL", "0")
            .env("PORTREEVE__SYNC__DEEP_INTERVAL", "0")
            .spawn()?;
        let begun = Instant::now();
        while !self.store().exists() && begun.elapsed() < START {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        door.kill()?;
        door.wait()?;
        Ok(())
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store.redb")
    }

    /// The size of the store's file in MiB.
    pub fn store_size(&self) -> Result<f64, Fault> {
        Ok(fs::metadata(self.store())?.len() as f64 / 1_048_576.0)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portreeve"));
        command
            .current_dir(self.directory.path())
            .env("PORTREEVE__REGISTRY__URL", &self.registry)
            .env("PORTREEVE__STORE__URL", format!("redb:{}", self.store().display()))
            .env("PORTREEVE__LISTEN__ADMIN", "127.0.0.1:0")
            .env("PORTREEVE_LOG", "warn")
            .stdin(Stdio::null());
        if let Some(database) = &self.database {
            command
                .env("PORTREEVE__STORE__URL", &database.url)
                .env("PORTREEVE__STORE__PASSWORD", &database.password);
        }
        command
    }

    /// One sweep by `portreeve sync`.
    pub fn sweep(&self, deep: bool) -> Result<Swept, Fault> {
        let output = self.directory.path().join("said");
        let begun = Instant::now();
        let mut child = self
            .command()
            .arg("sync")
            .args(deep.then_some("--deep"))
            .stdout(fs::File::create(&output)?)
            .stderr(Stdio::inherit())
            .spawn()?;
        let (mut processor, mut memory) = (0.0, 0.0_f64);
        let status = loop {
            if let Ok(used) = used(child.id()) {
                // A process that has just ended tells its time, but of its memory nothing any more.
                processor = used.0;
                memory = used.1.max(memory);
            }
            match child.try_wait()? {
                Some(status) => break status,
                None => std::thread::park_timeout(Duration::from_millis(10)),
            }
        };
        let elapsed = begun.elapsed();
        let said = fs::read_to_string(&output)?.lines().last().unwrap_or_default().to_owned();
        if !status.success() {
            return Err(format!("portreeve sync ended with {status}: {said}").into());
        }
        Ok(Swept { elapsed, processor, memory, said })
    }

    /// A door with shallow sweeps at this interval.
    pub async fn serve(&self, interval: &str) -> Result<Door, Fault> {
        let [address, admin] = free_addresses()?;
        let child = self
            .command()
            .arg("serve")
            .env("PORTREEVE__LISTEN__DOOR", address.to_string())
            .env("PORTREEVE__LISTEN__ADMIN", admin.to_string())
            .env("PORTREEVE__SYNC__INTERVAL", interval)
            .env("PORTREEVE__SYNC__DEEP_INTERVAL", "0")
            .env("PORTREEVE__SERVER__THREADS", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let door = Door { child, address, admin };
        let begun = Instant::now();
        let url = format!("{}/readyz", door.url());
        while !reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
            if begun.elapsed() > START {
                return Err("the door is not ready".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(door)
    }
}

impl Door {
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its number among the processes.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// What its metrics say of this one.
    #[allow(dead_code, reason = "not every benchmark asks for metrics")]
    pub async fn metric(&self, name: &str) -> Result<f64, Fault> {
        let text = reqwest::get(format!("http://{}/metrics", self.admin)).await?.text().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.ok_or_else(|| format!("there is no metric {name}").into())
    }

    /// What is answered at this path.
    pub async fn get(&self, path: &str) -> Result<Value, Fault> {
        Ok(reqwest::get(format!("{}{path}", self.url())).await?.json().await?)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the door, process {}, cannot be ended: {error}", self.process());
        }
    }
}

/// Loopback addresses whose ports were free a moment ago.
fn free_addresses() -> Result<[SocketAddr; 2], Fault> {
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    Ok([listeners[0].local_addr()?, listeners[1].local_addr()?])
}

/// Processor seconds and peak MiB of a process so far.
pub fn used(process: u32) -> Result<(f64, f64), Fault> {
    let directory = Path::new("/proc").join(process.to_string());
    let stat = fs::read_to_string(directory.join("stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // The state is the third field of the file and the first behind the name; utime and stime are 14 and 15.
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    let status = fs::read_to_string(directory.join("status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    Ok(((ticks(11) + ticks(12)) / TICKS, peak.unwrap_or(0.0) / 1024.0))
}
