//! Servers that this run started: started with their output in a file, awaited, and ended with the run.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Fault;
use crate::http::{Body, Client};
use crate::resources::ProcessTree;

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(20);

/// How long a server may take to end before it is killed.
const END: Duration = Duration::from_secs(5);

/// How often something that cannot be waited for is looked at.
const POLL: Duration = Duration::from_millis(10);

/// A running server. Dropping it ends it.
pub struct Server {
    name: String,
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts a server that will listen on this address, and waits until it answers `GET /v2/` with 200.
    pub fn start(
        name: &str,
        mut command: Command,
        address: SocketAddr,
        directory: &Path,
    ) -> Result<Self, Fault> {
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let child = command
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let mut server = Self { name: name.to_owned(), child, address, log };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its processes.
    pub fn processes(&self) -> ProcessTree {
        ProcessTree::new(self.child.id())
    }

    fn wait_until_ready(&mut self) -> Result<(), Fault> {
        let deadline = Instant::now() + START;
        loop {
            crate::interruption::check()?;
            if let Some(status) = self.child.try_wait()? {
                return Err(
                    format!("{} ended ({status}) before it answered: {}", self.name, self.tail()).into()
                );
            }
            let answer = Client::connect(self.address)
                .and_then(|mut client| client.expect(200, "GET", "/v2/", "", Body::Empty));
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(format!("{} does not answer: {error}: {}", self.name, self.tail()).into());
                }
                Err(_) => std::thread::park_timeout(POLL),
            }
        }
    }

    /// The end of what it wrote.
    fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM first: a master process that is killed leaves its workers behind.
        let asked = Command::new("sh")
            .args(["-c", "kill -TERM \"$1\"", "sh", &self.child.id().to_string()])
            .stderr(Stdio::null())
            .status();
        let deadline = Instant::now() + END;
        while asked.as_ref().is_ok_and(std::process::ExitStatus::success) && Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::park_timeout(POLL);
        }
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            eprintln!("cannot end {} (process {}): {error}", self.name, self.child.id());
        }
    }
}

/// A loopback address whose port was free a moment ago.
pub fn free_address() -> Result<SocketAddr, Fault> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The program of this name, or what to install to have it.
pub fn tool(name: &str, package: &str) -> Result<PathBuf, Fault> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where Debian keeps daemons, though not everybody has it in the path.
    let daemons = [PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")];
    std::env::split_paths(&path)
        .chain(daemons)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| format!("`{name}` is missing: install the Debian package `{package}`").into())
}

/// The first line of what a program says about its version.
pub fn version(program: &Path, argument: &str) -> Result<String, Fault> {
    let output = Command::new(program).arg(argument).output()?;
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Ok(String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned())
}
