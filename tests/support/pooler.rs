//! PgBouncer between doors and a database, which gives each transaction whichever of its connections is free. It ends with the
//! process, however that ends.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use tempfile::TempDir;

use super::postgres::{Database, PASSWORD, USER, postgres_user};

/// Starts it, says so once it takes connections, and ends it once nobody holds the other end of its input any more.
const LIFE: &str = r#"
set -eu
cd "$1"
pgbouncer --quiet pgbouncer.ini &
pooler=$!
until grep -q 'process up' log 2>/dev/null; do
    kill -0 "$pooler" || exit 1
    sleep 0.02
done
echo ready
cat >/dev/null
# A shell has what it runs in the background ignore SIGQUIT.
kill -TERM "$pooler"
wait "$pooler" || true
"#;

/// A running one. It has ended when this was dropped.
pub struct Pooler {
    directory: TempDir,
    url: String,
    /// When it is closed, the pooler ends.
    input: Option<ChildStdin>,
    life: Child,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.life.wait();
    }
}

impl Pooler {
    /// One in front of this database.
    pub fn of(database: &Database) -> Self {
        Self::with(database, "")
    }

    /// One with more lines of `pgbouncer.ini`.
    pub fn with(database: &Database, settings: &str) -> Self {
        let socket = database.socket();
        let directory = tempfile::tempdir().unwrap();
        let (place, server) = (directory.path().display(), socket.parent().unwrap().display());
        let port = database.port();
        // Fewer connections than doors have, so that each of them serves many.
        let configuration = format!(
            "[databases]\n* = host={server} port={port}\n[pgbouncer]\npool_mode = transaction\ndefault_pool_size = 4\n\
             listen_addr =\nlisten_port = 5432\nunix_socket_dir = {place}\nlogfile = {place}/log\n\
             auth_type = scram-sha-256\nauth_file = {place}/users\nmax_client_conn = 400\n{settings}\n"
        );
        fs::write(directory.path().join("pgbouncer.ini"), configuration).unwrap();
        fs::write(directory.path().join("users"), format!("\"{USER}\" \"{PASSWORD}\"\n")).unwrap();
        let mut life = Command::new("sh");
        life.args(["-c", LIFE, "pgbouncer"]).arg(directory.path());
        life.stdin(Stdio::piped()).stdout(Stdio::piped());
        // It refuses to be run by root.
        if fs::metadata(directory.path()).unwrap().uid() == 0 {
            let (user, group) = postgres_user();
            for path in ["", "pgbouncer.ini", "users"] {
                chown(directory.path().join(path), Some(user), Some(group)).unwrap();
            }
            life.uid(user).gid(group);
        }
        let mut life = life.spawn().unwrap();
        let input = life.stdin.take().unwrap();
        let mut said = String::new();
        BufReader::new(life.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let log = fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        assert_eq!(
            said, "ready\n",
            "PgBouncer did not start; is Debian's package pgbouncer installed? {log}"
        );
        let url = format!("postgres://{USER}@/{}?host={place}", database.name());
        Self { directory, url, input: Some(input), life }
    }

    /// The URL of the database by way of it, for somebody who has the password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it has said.
    #[allow(dead_code, reason = "not every test that has a pooler needs it")]
    pub fn log(&self) -> String {
        fs::read_to_string(Path::new(self.directory.path()).join("log")).unwrap_or_default()
    }
}
