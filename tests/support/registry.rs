//! A real registry as a child process: Debian's `docker-registry`, or the one that `PORTREEVE_TEST_REGISTRY` names.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::http::http_client;
use super::port;
use super::wait::PAUSE;

/// How long it may take to come up, on a machine that is busy.
const START: Duration = Duration::from_secs(20);

/// What a registry verifies tokens by: certificates, or with `PORTREEVE_TEST_TRUST=jwks` a JSON Web Key Set, which
/// distribution knows from 3.0 on.
pub enum Trust {
    /// The file is a `rootcertbundle`.
    Certificates(PathBuf),
    /// The file is a `jwks`.
    KeySet(PathBuf),
}

impl Trust {
    /// What this run of the tests tries, in a file that `path` places by its name.
    pub fn here(path: impl Fn(&str) -> PathBuf) -> Self {
        match std::env::var("PORTREEVE_TEST_TRUST").as_deref() {
            Err(_) => Self::Certificates(path("bundle.pem")),
            Ok("jwks") => Self::KeySet(path("jwks.json")),
            Ok(other) => panic!("PORTREEVE_TEST_TRUST is `{other}`, and only `jwks` is known"),
        }
    }

    /// What the registry's configuration calls it, and the door's.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Certificates(_) => "rootcertbundle",
            Self::KeySet(_) => "jwks",
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Certificates(path) | Self::KeySet(path) => path,
        }
    }
}

/// Whether a registry deletes.
#[derive(Clone, Copy)]
enum Deletion {
    Enabled,
    Disabled,
}

/// A running registry, with storage of its own. Dropping it kills it.
pub struct Registry {
    directory: TempDir,
    data: PathBuf,
    address: SocketAddr,
    child: Child,
}

impl Registry {
    /// Starts one, with deletion enabled.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        Self::start_in(directory, data, "").await
    }

    /// Starts one with more in its configuration.
    pub async fn start_with(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        Self::start_in(directory, data, more).await
    }

    /// Starts one with more in the part of its configuration that is about HTTP, such as `prefix: /inner/`.
    pub async fn start_with_http(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        Self::start_with_parts(directory, data, Deletion::Enabled, &format!(", {more}"), "").await
    }

    /// Starts one that takes any index, as 2.8 does: 3.x wants everything that an index names to be a manifest that it has.
    pub async fn start_lenient() -> Self {
        match std::env::var("PORTREEVE_TEST_REGISTRY") {
            Ok(_) => Self::start_with("validation: {manifests: {indexes: {platforms: none}}}\n").await,
            Err(_) => Self::start().await,
        }
    }

    /// Starts one that sends its notifications somewhere: a part of its configuration, as `config/` shows one.
    pub async fn start_notifying(notifications: &str) -> Self {
        Self::start_with(notifications).await
    }

    /// Starts one that verifies tokens of the door, as `config/registry-token-auth.yml` shows it.
    pub async fn start_verifying(trust: &Trust) -> Self {
        let example = include_str!("../../config/registry-token-auth.yml");
        let shown = "rootcertbundle: /etc/docker/registry/portreeve.pem";
        assert!(example.contains(shown));
        let trusted = format!("{}: {}", trust.name(), trust.path().display());
        Self::start_notifying(&example.replace(shown, &trusted)).await
    }

    /// Starts one that wants a name and a password.
    pub async fn start_with_password(name: &str, password: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let users = directory.path().join("htpasswd");
        std::fs::write(&users, format!("{name}:{}\n", bcrypt::hash(password, 4).unwrap())).unwrap();
        let more = format!("auth: {{htpasswd: {{realm: registry, path: {}}}}}\n", users.display());
        Self::start_in(directory, data, &more).await
    }

    /// Starts another one that keeps everything where this one does. Each signs its upload sessions with a secret of its
    /// own, so that neither goes on with one of the other's.
    pub async fn start_beside(&self) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), self.data.clone(), "").await
    }

    async fn start_in(directory: TempDir, data: PathBuf, more: &str) -> Self {
        Self::start_with_parts(directory, data, Deletion::Enabled, "", more).await
    }

    /// Starts one that deletes nothing.
    pub async fn start_without_deletion() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        Self::start_with_parts(directory, data, Deletion::Disabled, "", "").await
    }

    async fn start_with_parts(
        directory: TempDir,
        data: PathBuf,
        deletion: Deletion,
        http: &str,
        more: &str,
    ) -> Self {
        let deletes = matches!(deletion, Deletion::Enabled);
        for _ in 0..10 {
            let address = port::free();
            let configuration = format!(
                "version: 0.1\nlog: {{level: warn, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: \
                 {{rootdirectory: {}}}\n  delete: {{enabled: {deletes}}}\nhttp: {{addr: \"{address}\"{http}}}\n{more}",
                data.display()
            );
            std::fs::write(directory.path().join("registry.yml"), configuration).unwrap();
            let mut child = spawn(directory.path());
            if comes_up(&mut child, address).await {
                return Self { directory, data, address, child };
            }
        }
        panic!("no registry came up:\n{}", log(directory.path()));
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes a tag off its disk, as an operator or a broken disk does.
    pub fn lose_tag(&self, repository: &str, tag: &str) {
        std::fs::remove_dir_all(self.repository(repository).join("_manifests/tags").join(tag)).unwrap();
    }

    /// Writes further tags beside one, to the same manifest, as the registry keeps them.
    pub fn copy_tag(&self, repository: &str, tag: &str, copies: impl IntoIterator<Item = String>) {
        let tags = self.repository(repository).join("_manifests/tags");
        let link = std::fs::read(tags.join(tag).join("current/link")).unwrap();
        for copy in copies {
            let current = tags.join(copy).join("current");
            std::fs::create_dir_all(&current).unwrap();
            std::fs::write(current.join("link"), &link).unwrap();
        }
    }

    /// Takes a whole repository off its disk.
    pub fn lose_repository(&self, repository: &str) {
        std::fs::remove_dir_all(self.repository(repository)).unwrap();
    }

    /// Takes its storage away, as when its volume is not mounted: it serves an empty one.
    pub fn lose_storage(&self) {
        std::fs::rename(&self.data, self.data.with_extension("lost")).unwrap();
        std::fs::create_dir(&self.data).unwrap();
    }

    /// Gives its storage back.
    pub fn regain_storage(&self) {
        std::fs::remove_dir_all(&self.data).unwrap();
        std::fs::rename(self.data.with_extension("lost"), &self.data).unwrap();
    }

    /// Takes a tag off its disk if it is there.
    pub fn try_lose_tag(&self, repository: &str, tag: &str) -> bool {
        std::fs::remove_dir_all(self.repository(repository).join("_manifests/tags").join(tag)).is_ok()
    }

    /// Takes a whole repository off its disk if it is there.
    pub fn try_lose_repository(&self, repository: &str) -> bool {
        std::fs::remove_dir_all(self.repository(repository)).is_ok()
    }

    /// Takes a repository's tags and manifests off its disk if there are any, and leaves it its blobs.
    pub fn try_lose_manifests(&self, repository: &str) -> bool {
        std::fs::remove_dir_all(self.repository(repository).join("_manifests")).is_ok()
    }

    /// Removes tags and revisions whose link is an empty file: what a registry leaves that was killed while it wrote one,
    /// and answers with 500 until somebody does this.
    pub fn remove_empty_links(&self) {
        let mut directories = vec![self.data.clone()];
        while let Some(directory) = directories.pop() {
            let link = directory.join("link");
            if std::fs::metadata(&link).is_ok_and(|metadata| metadata.len() == 0) {
                std::fs::remove_dir_all(&directory).unwrap();
                continue;
            }
            let entries = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
            directories.extend(entries.filter(|path| path.is_dir()));
        }
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.data.join("docker/registry/v2/repositories").join(name)
    }

    /// Kills it; nobody listens on its port after that.
    pub async fn stop(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Deletes the blobs that no manifest names, as operators do: while it does not run, since it remembers what it has.
    pub async fn collect_garbage(&mut self) {
        self.stop().await;
        let mut collection = Command::new(program());
        collection.arg("garbage-collect").arg(self.directory.path().join("registry.yml"));
        let output = collection.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.restart().await;
    }

    /// Starts it again where it was, with what it held.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.child = spawn(self.directory.path());
        assert!(
            comes_up(&mut self.child, self.address).await,
            "the registry did not come back:\n{}",
            log(self.directory.path())
        );
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- registry on {}:\n{}", self.address, log(self.directory.path()));
        }
    }
}

fn spawn(directory: &Path) -> Child {
    let log =
        std::fs::OpenOptions::new().create(true).append(true).open(directory.join("registry.log")).unwrap();
    Command::new(program())
        .arg("serve")
        .arg(directory.join("registry.yml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{} cannot be started ({error}): is it installed?", program()))
}

/// Debian's registry, or another one that `tests/matrix.sh` names.
fn program() -> String {
    std::env::var("PORTREEVE_TEST_REGISTRY").unwrap_or_else(|_| "docker-registry".to_owned())
}

/// Waits for an answer; false when the process ended instead.
async fn comes_up(child: &mut Child, address: SocketAddr) -> bool {
    let client = http_client();
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if client
            .get(format!("http://{address}/v2/"))
            .send()
            .await
            .is_ok_and(|answer| matches!(answer.status().as_u16(), 200 | 401 | 404))
        {
            // Somebody else may have been quicker on this port: then ours is about to end.
            return child.try_wait().unwrap().is_none();
        }
        tokio::time::sleep(PAUSE).await;
    }
    false
}

fn log(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("registry.log")).unwrap_or_default()
}
