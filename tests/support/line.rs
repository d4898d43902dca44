//! A line between a door and its database: it may be slow, and one that is in a network of its own may be cut without a word, as
//! by a switch that loses everything.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::postgres::{Database, Server, USER};

/// A running line. Dropping it closes its port and all connections.
pub struct Line {
    url: String,
    /// In milliseconds.
    delay: Arc<AtomicU64>,
    network: Option<Network>,
    _stop: DropGuard,
}

/// A network with one end here and one in a namespace of its own, which goes with the process.
struct Network {
    /// The process in the namespace.
    inside: Child,
    /// When it is closed, the process ends.
    _input: ChildStdin,
    address: Ipv4Addr,
}

impl Line {
    /// One on this machine's loopback address.
    pub async fn to(database: &Database) -> Self {
        Self::from(StdListener::bind("127.0.0.1:0").unwrap(), None, database).await
    }

    /// One through a network of its own. Needs root.
    pub async fn through_network_to(database: &Database) -> Self {
        let network = Network::new();
        Self::from(network.listener(5432), Some(network), database).await
    }

    /// One through a network of its own to a server and its standby: to whichever takes writes. Needs root.
    pub async fn through_network_to_either(servers: [&Server; 2], database: &Database) -> Self {
        let network = Network::new();
        let ends = servers.map(|server| (network.listener(server.port()), server.socket()));
        Self::between(ends.into(), Some(network), database)
    }

    async fn from(listener: StdListener, network: Option<Network>, database: &Database) -> Self {
        Self::between(vec![(listener, database.socket())], network, database)
    }

    /// Whatever comes to one of the listeners goes to the socket beside it.
    fn between(ends: Vec<(StdListener, PathBuf)>, network: Option<Network>, database: &Database) -> Self {
        let hosts: Vec<String> =
            ends.iter().map(|(listener, _)| listener.local_addr().unwrap().to_string()).collect();
        let wanted = if ends.len() > 1 { "&target_session_attrs=read-write" } else { "" };
        let url =
            format!("postgres://{USER}@{}/{}?sslmode=disable{wanted}", hosts.join(","), database.name());
        let (delay, stop) = (Arc::<AtomicU64>::default(), CancellationToken::new());
        for (listener, socket) in ends {
            listener.set_nonblocking(true).unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            let accepted = accept(listener, socket, Arc::clone(&delay), stop.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(accepted));
        }
        Self { url, delay, network, _stop: stop.drop_guard() }
    }

    /// The URL of the database at the end of it, for somebody who has the password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on what is asked takes so long on its way.
    pub fn delay(&self, time: Duration) {
        self.delay.store(u64::try_from(time.as_millis()).unwrap(), Ordering::Release);
    }

    /// Loses everything, in both directions, from now on.
    pub fn cut(&self) {
        self.network.as_ref().unwrap().filter("--append");
    }

    /// Loses nothing any more.
    pub fn mend(&self) {
        self.network.as_ref().unwrap().filter("--delete");
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, delay: Arc<AtomicU64>, stop: CancellationToken) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let carried = carry(client, socket.clone(), Arc::clone(&delay));
        tokio::spawn(stop.clone().run_until_cancelled_owned(carried));
    }
}

/// Carries a connection. An end of it that is closed is closed at the other side.
async fn carry(client: TcpStream, socket: PathBuf, delay: Arc<AtomicU64>) {
    let Ok(server) = UnixStream::connect(socket).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let answers = Arc::<AtomicU64>::default();
    tokio::select! {
        () = pass(from_client, to_server, delay) => {}
        () = pass(from_server, to_client, answers) => {}
    }
}

/// Everything is so late, and in its order.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: Arc<AtomicU64>) {
    let (late, mut due) = tokio::sync::mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let reading = async move {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let at = Instant::now() + Duration::from_millis(delay.load(Ordering::Acquire));
            if late.send((at, piece[..length].to_vec())).is_err() {
                break;
            }
        }
    };
    let writing = async move {
        while let Some((at, piece)) = due.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&piece).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(reading, writing);
}

impl Network {
    fn new() -> Self {
        let mut inside = Command::new("unshare");
        inside.args(["--net", "sh", "-c", "ip link set lo up; echo ready; exec cat >/dev/null"]);
        let mut inside = inside.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = inside.stdin.take().unwrap();
        let mut said = String::new();
        BufReader::new(inside.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "a network namespace cannot be made: is this root?");
        let process = inside.id().to_string();
        // What is set aside for such tests (RFC 2544); somebody else may have this part of it.
        for _ in 0..20 {
            let (third, fourth) = (fastrand::u8(..), fastrand::u8(..) & !3);
            let name = format!("line{}", fastrand::u32(..));
            let add = ["link", "add", &name, "type", "veth", "peer", "name", "inside", "netns", &process];
            run("ip", &add);
            let here = format!("198.18.{third}.{}/30", fourth + 1);
            let is_free = !run_for("ip", &["route"]).contains(&format!("198.18.{third}.{fourth}/30"));
            if !is_free {
                run("ip", &["link", "delete", &name]);
                continue;
            }
            run("ip", &["address", "add", &here, "dev", &name]);
            run("ip", &["link", "set", &name, "up"]);
            let network = Self { inside, _input: input, address: Ipv4Addr::new(198, 18, third, fourth + 2) };
            network.run(&["ip", "address", "add", &format!("{}/30", network.address), "dev", "inside"]);
            network.run(&["ip", "link", "set", "inside", "up"]);
            return network;
        }
        panic!("no part of 198.18.0.0/16 is free");
    }

    /// One in the namespace, which takes connections that come through the network.
    fn listener(&self, port: u16) -> StdListener {
        let namespace = File::open(format!("/proc/{}/ns/net", self.inside.id())).unwrap();
        let address = SocketAddr::from((self.address, port));
        // The thread that goes there does nothing else.
        let thread = std::thread::spawn(move || {
            let kind = rustix::thread::LinkNameSpaceType::Network;
            rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(kind))
                .unwrap();
            StdListener::bind(address).unwrap()
        });
        thread.join().unwrap()
    }

    fn filter(&self, change: &str) {
        for chain in ["INPUT", "OUTPUT"] {
            self.run(&["iptables", "--wait", change, chain, "--jump", "DROP"]);
        }
    }

    fn run(&self, command: &[&str]) {
        let target = self.inside.id().to_string();
        run("nsenter", &[&["--target", &target, "--net"], command].concat());
    }
}

fn run(program: &str, arguments: &[&str]) {
    run_for(program, arguments);
}

/// Runs it; what it prints.
fn run_for(program: &str, arguments: &[&str]) -> String {
    let run = Command::new(program).args(arguments).output().unwrap();
    assert!(run.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}
