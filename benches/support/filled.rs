//! A real registry that is full from the start: its files are written as it would write them.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portreeve::oci::{Digest, MediaType};
use tempfile::TempDir;

use crate::Fault;
use crate::door::used;

const START: Duration = Duration::from_secs(20);
/// What the manifests name.
pub const BLOB: &[u8] = b"{}";

/// Debian's `docker-registry`. Dropping it ends it.
pub struct Filled {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Filled {
    /// One with so many repositories of one tag each.
    pub async fn start(repositories: usize) -> Result<Self, Fault> {
        let directory = tempfile::tempdir()?;
        let storage = directory.path().join("storage");
        fill(&storage, repositories)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let configuration = directory.path().join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  cache: \
             {{blobdescriptor: inmemory}}\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: \
             {{addr: \"{address}\"}}\n",
            storage.display()
        );
        fs::write(&configuration, text)?;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("docker-registry cannot be started: {error}"))?;
        let filled = Self { child, address, _directory: directory };
        let begun = Instant::now();
        while reqwest::get(format!("{}/v2/", filled.url())).await.is_err() {
            if begun.elapsed() > START {
                return Err("docker-registry does not answer".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(filled)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its processor seconds so far.
    pub fn processor(&self) -> Result<f64, Fault> {
        Ok(used(self.child.id())?.0)
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the registry cannot be ended: {error}");
        }
    }
}

/// A manifest that differs by this text.
pub fn manifest(text: &str) -> String {
    let (media_type, config) = (MediaType::OCI_MANIFEST, Digest::sha256(BLOB));
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{}}},"layers":[],"annotations":{{"text":"{text}"}}}}"#,
        BLOB.len()
    )
}

/// The name of the repository with this number.
pub fn name(number: usize) -> String {
    format!("team{:02}/app{number:05}", number % 100)
}

/// As distribution lays it out: `registry/storage/paths.go`.
fn fill(storage: &Path, repositories: usize) -> Result<(), Fault> {
    let root = storage.join("docker/registry/v2");
    let blob = |bytes: &[u8]| -> Result<Digest, Fault> {
        let digest = Digest::sha256(bytes);
        let hex = &digest.as_str()["sha256:".len()..];
        let directory = root.join("blobs/sha256").join(&hex[..2]).join(hex);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("data"), bytes)?;
        Ok(digest)
    };
    let config = blob(BLOB)?;
    for number in 0..repositories {
        let name = name(number);
        let manifest = blob(manifest(&name).as_bytes())?;
        let repository = root.join("repositories").join(&name);
        let hex = |digest: &Digest| digest.as_str()["sha256:".len()..].to_owned();
        for (link, digest) in [
            (format!("_layers/sha256/{}", hex(&config)), &config),
            (format!("_manifests/revisions/sha256/{}", hex(&manifest)), &manifest),
            ("_manifests/tags/latest/current".to_owned(), &manifest),
            (format!("_manifests/tags/latest/index/sha256/{}", hex(&manifest)), &manifest),
        ] {
            let directory = repository.join(link);
            fs::create_dir_all(&directory)?;
            fs::write(directory.join("link"), digest.as_str())?;
        }
    }
    Ok(())
}
