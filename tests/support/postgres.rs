//! PostgreSQL servers of the test process's own: one for all its tests, a database for each, which listens on a socket in a
//! temporary directory alone; and others for tests that want more of one. They end with the process, however that ends.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where Debian's package puts its programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// The user of the databases, who has a password.
pub const USER: &str = "portreeve";

/// The number of the socket of the server that all tests share.
const PORT: u16 = 5432;

/// Their password.
pub const PASSWORD: &str = "correct horse battery staple";

/// Makes a server, starts it, says so, and ends it once nobody holds the other end of its input any more.
const LIFE: &str = r#"
set -eu
directory=$1 programs=$2 port=$3 primary=$4 primary_port=$5
cd "$directory"
if [ -z "$primary" ]; then
    "$programs/initdb" --pgdata=data --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >log 2>&1
else
    "$programs/pg_basebackup" --pgdata=data --host="$primary" --port="$primary_port" --username=postgres \
        --checkpoint=fast --write-recovery-conf --no-sync >log 2>&1
fi
cat access >data/pg_hba.conf
printf 'local all portreeve scram-sha-256\nlocal all all trust\n' >>data/pg_hba.conf
cat >>data/postgresql.conf <<END
port = $port
listen_addresses = ''
unix_socket_directories = '$directory'
max_connections = 500
shared_buffers = 64MB
fsync = off
min_wal_size = 32MB
max_wal_size = 64MB
END
cat settings >>data/postgresql.conf
"$programs/pg_ctl" --pgdata=data --log=log --wait --silent start >>log 2>&1
server=$(head -n 1 data/postmaster.pid)
echo ready
cat >/dev/null
if [ -e data/postmaster.pid ]; then server=$(head -n 1 data/postmaster.pid); fi
kill -QUIT "$server" 2>/dev/null || true
rm -rf "$directory"
"#;

/// What a server has beside what every one has.
#[derive(Clone, Copy, Default)]
pub struct Extras<'a> {
    /// Lines of `postgresql.conf`.
    pub settings: &'a str,
    /// Lines of `pg_hba.conf` before all others.
    pub access: &'a str,
    /// Files in its directory, by their names.
    pub files: &'a [(&'a str, &'a str)],
    /// Where its directory is, if not among all temporary ones.
    pub place: Option<&'a Path>,
}

/// A server. It ends when this is dropped.
pub struct Server {
    directory: PathBuf,
    port: u16,
    /// When it is closed, the server ends.
    _input: ChildStdin,
    _life: Child,
}

/// A database of one test. It goes when this is dropped, with whoever is connected to it: those of all tests together would take
/// a gigabyte.
pub struct Database {
    directory: PathBuf,
    port: u16,
    name: String,
}

impl Database {
    /// An empty one of the server that all tests share.
    pub fn create() -> Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| Server::start(PORT, Extras::default(), None).unwrap()).database()
    }

    /// Its URL, for somebody who has the password.
    pub fn url(&self) -> String {
        let url = format!("postgres://{USER}@/{}?host={}", self.name, self.directory.display());
        if self.port == PORT { url } else { format!("{url}&port={}", self.port) }
    }

    /// Where its server listens on this machine.
    #[allow(dead_code, reason = "not every test that has a database needs it")]
    pub fn socket(&self) -> PathBuf {
        socket(&self.directory, self.port)
    }

    /// The port of its server's socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL in it, as somebody who may do anything. Answers what it prints, unaligned.
    pub fn run(&self, sql: &str) -> String {
        run_sql(&self.directory, self.port, &self.name, sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Its server may have been ended by the test.
        let _ = psql(
            &self.directory,
            self.port,
            "postgres",
            &format!("DROP DATABASE {} WITH (FORCE)", self.name),
        )
        .output();
    }
}

impl Server {
    /// One that listens on a port of the loopback address as well.
    #[allow(dead_code, reason = "not every test that has a database needs one")]
    pub fn listening(extras: Extras<'_>) -> Self {
        Self::listening_as(extras, None)
    }

    /// A copy of another one that follows it, and is called `standby` by it.
    #[allow(dead_code, reason = "not every test that has a database needs one")]
    pub fn standby_of(primary: &Self, extras: Extras<'_>) -> Self {
        let settings = format!("cluster_name = 'standby'\n{}", extras.settings);
        Self::listening_as(Extras { settings: &settings, ..extras }, Some(primary))
    }

    fn listening_as(extras: Extras<'_>, primary: Option<&Self>) -> Self {
        let settings = format!("listen_addresses = '127.0.0.1'\n{}", extras.settings);
        let mut tries = 0;
        loop {
            tries += 1;
            // Somebody else may be quicker.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            match Self::start(port, Extras { settings: &settings, ..extras }, primary) {
                Ok(server) => return server,
                Err(log) => assert!(tries < 5 && log.contains("could not bind"), "{log}"),
            }
        }
    }

    /// An empty database of its own.
    pub fn database(&self) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        run_sql(&self.directory, self.port, "postgres", &format!("CREATE DATABASE {name} OWNER {USER}"));
        Database { directory: self.directory.clone(), port: self.port, name }
    }

    /// Where it listens on this machine.
    #[allow(dead_code, reason = "not every test that has a database needs it")]
    pub fn socket(&self) -> PathBuf {
        socket(&self.directory, self.port)
    }

    /// The port that it listens on.
    #[allow(dead_code, reason = "not every test that has a database needs one")]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL in a database of it, as [`Database::run`].
    #[allow(dead_code, reason = "not every test that has a database needs one")]
    pub fn run(&self, database: &str, sql: &str) -> String {
        run_sql(&self.directory, self.port, database, sql)
    }

    /// Whether it runs SQL in a database of it, and that does not fail.
    #[allow(dead_code, reason = "not every test that has a database needs one")]
    pub fn can_run(&self, database: &str, sql: &str) -> bool {
        psql(&self.directory, self.port, database, sql).output().unwrap().status.success()
    }

    /// Ends it as a crash of its machine does: no process of it does anything more.
    #[allow(dead_code, reason = "not every test that has a database needs one")]
    pub fn crash(&self) {
        let file = fs::read_to_string(self.directory.join("data/postmaster.pid")).unwrap();
        let server = file.lines().next().unwrap().to_owned();
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
        let kill = |signal: &str, processes: &str| {
            let _ = Command::new("kill").arg(signal).args(processes.split_whitespace()).output().unwrap();
        };
        // First the one that would start others.
        kill("-KILL", &server);
        kill("-KILL", &children);
    }

    /// Whether it runs: one that has ended is not started again by anybody.
    #[allow(dead_code, reason = "not every test that has a database needs one")]
    pub fn is_running(&self) -> bool {
        self.control("status")
    }

    /// Starts it where it was, after it has ended or crashed.
    #[allow(dead_code, reason = "not every test that has a database needs one")]
    pub fn restart(&self) {
        // Who was killed may still have its number, where nobody asks for how it ended.
        let _ = fs::remove_file(self.directory.join("data/postmaster.pid"));
        assert!(self.control("start"), "{}", fs::read_to_string(self.directory.join("log")).unwrap());
    }

    fn control(&self, what: &str) -> bool {
        let mut control = Command::new(Path::new(PROGRAMS).join("pg_ctl"));
        control.args(["--pgdata=data", "--log=log", "--wait", "--silent", what]).current_dir(&self.directory);
        let owner = fs::metadata(&self.directory).unwrap();
        control.uid(owner.uid()).gid(owner.gid());
        control.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    /// Makes a standby a primary.
    #[allow(dead_code, reason = "not every test that has a database needs one")]
    pub fn promote(&self) {
        run_sql(&self.directory, self.port, "postgres", "SELECT pg_promote(wait => true)");
    }

    /// Makes and starts one, or answers its log.
    fn start(port: u16, extras: Extras<'_>, primary: Option<&Self>) -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(
            Path::new(PROGRAMS).join("initdb").exists(),
            "{PROGRAMS}/initdb is missing: install Debian's package postgresql (version 15)"
        );
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("portreeve-postgres-{}-{number}", std::process::id());
        let directory = extras.place.map_or_else(std::env::temp_dir, Path::to_owned).join(name);
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o711)).unwrap();
        let own = [("settings", extras.settings), ("access", extras.access)];
        let files: Vec<PathBuf> = own
            .iter()
            .chain(extras.files)
            .map(|(name, content)| {
                let path = directory.join(name);
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                path
            })
            .collect();
        let mut life = Command::new("sh");
        life.args(["-c", LIFE, "postgres"]).arg(&directory).arg(PROGRAMS).arg(port.to_string());
        match primary {
            Some(primary) => life.arg(&primary.directory).arg(primary.port.to_string()),
            None => life.args(["", ""]),
        };
        life.stdin(Stdio::piped()).stdout(Stdio::piped());
        // The server refuses to be run by root.
        if fs::metadata(&directory).unwrap().uid() == 0 {
            let (user, group) = postgres_user();
            for path in files.iter().chain([&directory]) {
                chown(path, Some(user), Some(group)).unwrap();
            }
            life.uid(user).gid(group);
        }
        let mut life = life.spawn().unwrap();
        let input = life.stdin.take().unwrap();
        let mut said = String::new();
        BufReader::new(life.stdout.take().unwrap()).read_line(&mut said).unwrap();
        if said != "ready\n" {
            let _ = life.wait();
            let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
            let _ = fs::remove_dir_all(&directory);
            return Err(format!("PostgreSQL did not start: {log}"));
        }
        let server = Self { directory, port, _input: input, _life: life };
        if primary.is_none() {
            let role = format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'");
            run_sql(&server.directory, port, "postgres", &role);
        }
        Ok(server)
    }
}

/// The user and the group that Debian's package makes.
pub fn postgres_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find(|line| line.starts_with("postgres:"));
    let user: Vec<&str> =
        user.expect("there is no user postgres: install Debian's package postgresql").split(':').collect();
    (user[2].parse().unwrap(), user[3].parse().unwrap())
}

fn socket(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
}

fn psql(directory: &Path, port: u16, database: &str, sql: &str) -> Command {
    let mut psql = Command::new(Path::new(PROGRAMS).join("psql"));
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
        .arg(format!("--host={}", directory.display()))
        .arg(format!("--port={port}"))
        .args(["--username=postgres", "--dbname", database, "--command", sql]);
    psql
}

fn run_sql(directory: &Path, port: u16, database: &str, sql: &str) -> String {
    let run = psql(directory, port, database, sql).output().unwrap();
    assert!(run.status.success(), "{sql}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}
