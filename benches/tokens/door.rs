//! The real binary as a door with users and rules.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Fault;

const START: Duration = Duration::from_secs(60);
/// bcrypt's cost, as `htpasswd -B` has it.
const COST: u32 = 5;
/// Clock ticks of `/proc/PID/stat` in a second (proc(5), sysconf `_SC_CLK_TCK`).
const TICKS: f64 = 100.0;

/// What a door is started from.
pub struct Guarded {
    directory: TempDir,
}

/// A running door. Dropping it ends it.
pub struct Door {
    child: Child,
    address: SocketAddr,
}

impl Guarded {
    /// With so many users and rules; `user0` may read and write `team/app`.
    pub fn new(users: usize, rules: usize) -> Result<Self, Fault> {
        let directory = tempfile::tempdir()?;
        let mut htpasswd = String::new();
        let shared = bcrypt::hash("of-everybody-else", COST)?;
        for number in 0..users {
            let hash = match number {
                0 => bcrypt::hash("password-of-user0", COST)?,
                _ => shared.clone(),
            };
            writeln!(htpasswd, "user{number}:{hash}")?;
        }
        fs::write(directory.path().join("htpasswd"), htpasswd)?;
        let mut configuration = String::from("[auth]\nhtpasswd = \"htpasswd\"\n[auth.groups]\n");
        writeln!(configuration, "developers = [\"user0\"]")?;
        for number in 0..rules {
            let (who, repositories) = match number % 4 {
                0 => ("*".to_owned(), format!("team{number}/**")),
                1 => (format!("user{number}"), "**".to_owned()),
                2 => ("group:developers".to_owned(), "team/**".to_owned()),
                _ => ("*".to_owned(), format!("home{number}/${{user}}/*")),
            };
            write!(
                configuration,
                "[[auth.rules]]\nwho = \"{who}\"\nrepositories = \"{repositories}\"\nactions = [\"pull\", \"push\"]\n"
            )?;
        }
        fs::write(directory.path().join("portreeve.toml"), configuration)?;
        Ok(Self { directory })
    }

    /// Starts a door with one worker thread.
    pub async fn start(&self, registry: &str, requires_tokens: bool) -> Result<Door, Fault> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(env!("CARGO_BIN_EXE_portreeve"))
            .current_dir(self.directory.path())
            .env("PORTREEVE__AUTH__MODE", if requires_tokens { "on" } else { "off" })
            .env("PORTREEVE__REGISTRY__URL", registry)
            .env("PORTREEVE__LISTEN__DOOR", address.to_string())
            .env("PORTREEVE__LISTEN__ADMIN", "127.0.0.1:0")
            .env("PORTREEVE__SERVER__THREADS", "1")
            // So that every guess is looked at.
            .env("PORTREEVE__AUTH__LOCKOUT", "0")
            .env("PORTREEVE__SYNC__INTERVAL", "0")
            .env("PORTREEVE__SYNC__DEEP_INTERVAL", "0")
            .env("PORTREEVE_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let door = Door { child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begun.elapsed() > START {
                return Err("the door does not listen".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(door)
    }
}

impl Door {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The processor time that it has taken, in seconds.
    pub fn processor(&self) -> Result<f64, Fault> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = (ticks(11).ok_or("no user time")?, ticks(12).ok_or("no system time")?);
        Ok((user + system) / TICKS)
    }

    /// Ends it.
    pub fn end(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the door cannot be ended: {error}");
        }
    }
}
