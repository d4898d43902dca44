//! A PostgreSQL server of the test process's own: one for all its tests, a database for each. It listens on a socket in a
//! temporary directory alone, and ends with the process, however that ends.

use std::fs;
use std::io::{BufRead as _, BufReader};
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

/// Their password.
pub const PASSWORD: &str = "correct horse battery staple";

/// Makes a server, starts it, says so, and ends it once nobody holds the other end of its input any more.
const LIFE: &str = r#"
set -eu
directory=$1 programs=$2
cd "$directory"
"$programs/initdb" --pgdata=data --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >log 2>&1
printf 'local all portreeve scram-sha-256\nlocal all all trust\n' >data/pg_hba.conf
cat >>data/postgresql.conf <<END
listen_addresses = ''
unix_socket_directories = '$directory'
max_connections = 500
shared_buffers = 64MB
fsync = off
END
"$programs/pg_ctl" --pgdata=data --log=log --wait --silent start >>log 2>&1
server=$(head -n 1 data/postmaster.pid)
echo ready
cat >/dev/null
kill -QUIT "$server"
rm -rf "$directory"
"#;

struct Server {
    directory: PathBuf,
    /// When it is closed, the server ends.
    _input: ChildStdin,
    _life: Child,
}

/// A database of one test. It goes with its server.
pub struct Database {
    directory: &'static Path,
    name: String,
}

impl Database {
    /// An empty one.
    pub fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let directory = &server().directory;
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let database = Self { directory, name };
        run_sql(directory, "postgres", &format!("CREATE DATABASE {} OWNER {USER}", database.name));
        database
    }

    /// Its URL, for somebody who has the password.
    pub fn url(&self) -> String {
        format!("postgres://{USER}@/{}?host={}", self.name, self.directory.display())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL in it, as somebody who may do anything. Answers what it prints, unaligned.
    pub fn run(&self, sql: &str) -> String {
        run_sql(self.directory, &self.name, sql)
    }
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

fn start() -> Server {
    assert!(
        Path::new(PROGRAMS).join("initdb").exists(),
        "{PROGRAMS}/initdb is missing: install Debian's package postgresql (version 15)"
    );
    let directory = std::env::temp_dir().join(format!("portreeve-postgres-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o711)).unwrap();
    let mut life = Command::new("sh");
    life.args(["-c", LIFE, "postgres"]).arg(&directory).arg(PROGRAMS);
    life.stdin(Stdio::piped()).stdout(Stdio::piped());
    // The server refuses to be run by root.
    if fs::metadata(&directory).unwrap().uid() == 0 {
        let (user, group) = postgres_user();
        chown(&directory, Some(user), Some(group)).unwrap();
        life.uid(user).gid(group);
    }
    let mut life = life.spawn().unwrap();
    let input = life.stdin.take().unwrap();
    let mut said = String::new();
    BufReader::new(life.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
    assert_eq!(said, "ready\n", "PostgreSQL did not start: {}", log());
    run_sql(&directory, "postgres", &format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'"));
    Server { directory, _input: input, _life: life }
}

/// The user and the group that Debian's package makes.
fn postgres_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find(|line| line.starts_with("postgres:"));
    let user: Vec<&str> =
        user.expect("there is no user postgres: install Debian's package postgresql").split(':').collect();
    (user[2].parse().unwrap(), user[3].parse().unwrap())
}

fn run_sql(directory: &Path, database: &str, sql: &str) -> String {
    let run = Command::new(Path::new(PROGRAMS).join("psql"))
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
        .arg(format!("--host={}", directory.display()))
        .args(["--username=postgres", "--dbname", database, "--command", sql])
        .output()
        .unwrap();
    assert!(run.status.success(), "{sql}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}
