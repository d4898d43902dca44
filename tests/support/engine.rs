//! A real Docker engine: Debian's docker.io, with everything it keeps in a directory of its own. Needs root.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tool::Tool;
use super::wait::until;

/// How long it may take to come up, on a machine that is busy.
const START: Duration = Duration::from_secs(60);
/// How long it may take to end its containerd and itself.
const STOP: Duration = Duration::from_secs(20);

/// A running engine. Dropping it ends it.
pub struct Engine {
    directory: TempDir,
    child: Child,
    /// Its client.
    pub docker: Tool,
}

impl Engine {
    /// Starts one that takes every registry on the loopback address without TLS, and leaves the system's network alone.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let socket = format!("unix://{}", path("docker.sock"));
        let log = std::fs::File::create(path("engine.log")).unwrap();
        let child = Command::new("dockerd")
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--host", &socket, "--insecure-registry", "127.0.0.0/8"])
            .args(["--bridge=none", "--iptables=false", "--ip-masq=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("dockerd cannot be run ({error}): Debian's package docker.io brings it")
            });
        let docker = Tool::new("docker", "docker.io").set("DOCKER_HOST", socket);
        let mut engine = Self { directory, child, docker };
        until("the Docker engine answers", START, async || {
            let ended = engine.child.try_wait().unwrap();
            assert!(ended.is_none(), "dockerd ended; does the test run as root?\n{}", engine.log());
            engine.docker.attempt(&["version"]).await.status.success()
        })
        .await;
        engine
    }

    /// Makes an image of a small root file system, since none can be fetched from anywhere.
    pub async fn import_base(&self, name: &str) {
        let root = self.directory.path().join("root");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        let busybox = Path::new("/bin/busybox");
        std::fs::copy(busybox, root.join("bin/sh")).unwrap_or_else(|error| {
            panic!(
                "{} cannot be read ({error}): Debian's package busybox-static brings it",
                busybox.display()
            )
        });
        let archive = self.directory.path().join("root.tar");
        let (root, archive) = (root.to_str().unwrap(), archive.to_str().unwrap());
        Tool::new("tar", "tar").run(&["--create", "--file", archive, "--directory", root, "."]).await;
        self.docker.run(&["import", archive, name]).await;
    }

    /// The client of the containerd that this engine runs.
    pub fn containerd(&self) -> Tool {
        let socket = self.directory.path().join("exec/containerd/containerd.sock");
        Tool::new("ctr", "containerd").always(&["--address", socket.to_str().unwrap()])
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("engine.log")).unwrap_or_default()
    }
}

impl Drop for Engine {
    /// Asks it to end, since it has processes and mounts of its own to clear away.
    #[expect(clippy::disallowed_methods, reason = "dropping cannot wait in any other way")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Docker engine:\n{}", self.log());
        }
        let asked = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        let deadline = Instant::now() + STOP;
        while asked.is_ok() && Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // It is gone already, or this is all that is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
