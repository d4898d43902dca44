//! What the proxies stand in front of: a real registry, and static files in the shape of one.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use portreeve::oci::MediaType;

use crate::Fault;
use crate::content::{Blob, BlobFamily, SMALL_BLOB, manifest};
use crate::http::{Body, Client, path_of};
use crate::load;
use crate::process::{Server, free_address, tool};

/// Where what is only pulled lies, at the registry and among the static files.
pub const REPOSITORY: &str = "bench/pulled";

/// The tag of the manifest that is asked for.
pub const TAG: &str = "latest";

/// How many tags and repositories there are where lists are asked for.
pub const LISTED: usize = 10_000;
/// Under which name the repositories are.
pub const LISTED_UNDER: &str = "l";
/// Which repository has the tags.
pub const TAGGED: &str = "bench/tagged";

/// The name of one of them.
pub fn listed(number: usize) -> String {
    format!("n{number:05}")
}

/// Debian's `docker-registry` on a directory of its own.
pub struct Registry {
    server: Server,
    storage: PathBuf,
}

impl Registry {
    /// Starts it, empty.
    pub fn start(directory: &Path) -> Result<Self, Fault> {
        let address = free_address()?;
        let storage = directory.join("registry");
        fs::create_dir(&storage)?;
        let configuration = directory.join("registry.yml");
        fs::write(
            &configuration,
            format!(
                "version: 0.1\n\
                 log: {{ level: error, accesslog: {{ disabled: true }} }}\n\
                 storage:\n  \
                   cache: {{ blobdescriptor: inmemory }}\n  \
                   filesystem: {{ rootdirectory: {} }}\n  \
                   delete: {{ enabled: true }}\n\
                 http: {{ addr: {address}, secret: bench }}\n",
                storage.display(),
            ),
        )?;
        let mut command = Command::new(tool("docker-registry", "docker-registry")?);
        command.arg("serve").arg(&configuration);
        Ok(Self { server: Server::start("registry", command, address, directory)?, storage })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Puts the small blob into a repository, so that manifests there may name it.
    pub fn prepare(&self, repository: &str) -> Result<(), Fault> {
        let mut client = Client::connect(self.address())?;
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        let begun = client.expect(202, "POST", &uploads, "", Body::Empty)?;
        let upload = begun.location.ok_or("an upload was opened without a Location")?;
        let digest = portreeve::oci::Digest::sha256(SMALL_BLOB);
        let commit = format!("{}&digest={digest}", path_of(&upload));
        client.expect(201, "PUT", &commit, "", Body::Sized(SMALL_BLOB))?;
        Ok(())
    }

    /// Puts the manifest that is asked for into [`REPOSITORY`].
    pub fn put_manifest(&self) -> Result<(), Fault> {
        let media_type = format!("Content-Type: {}\r\n", MediaType::OCI_MANIFEST);
        let path = format!("/v2/{REPOSITORY}/manifests/{TAG}");
        let manifest = manifest(TAG);
        Client::connect(self.address())?.expect(
            201,
            "PUT",
            &path,
            &media_type,
            Body::Sized(manifest.as_bytes()),
        )?;
        Ok(())
    }

    /// Makes the long lists: the files of [`REPOSITORY`] again, as the registry keeps them.
    pub fn fill_lists(&self) -> Result<(), Fault> {
        let repositories = self.storage.join("docker/registry/v2/repositories");
        let digest = portreeve::oci::Digest::sha256(manifest(TAG).as_bytes());
        let link = |directory: PathBuf| -> Result<(), Fault> {
            fs::create_dir_all(&directory)?;
            Ok(fs::write(directory.join("link"), digest.as_str())?)
        };
        let revision = format!("_manifests/revisions/sha256/{}", digest.encoded());
        let tag = |name: &str| format!("_manifests/tags/{name}/current");
        // The catalog is made of the directories that have this one.
        let layers = |repository: &Path| fs::create_dir_all(repository.join("_layers"));
        layers(&repositories.join(TAGGED))?;
        link(repositories.join(TAGGED).join(&revision))?;
        for number in 0..LISTED {
            let name = listed(number);
            link(repositories.join(TAGGED).join(tag(&name)))?;
            let repository = repositories.join(LISTED_UNDER).join(name);
            layers(&repository)?;
            link(repository.join(&revision))?;
            link(repository.join(tag(TAG)))?;
        }
        Ok(())
    }

    /// Puts a large blob into [`REPOSITORY`]; answers its path.
    pub fn put_blob(&self, family: &BlobFamily) -> Result<String, Fault> {
        let blob = family.another();
        load::push(&mut Client::connect(self.address())?, REPOSITORY, &blob)?;
        Ok(path(&blob))
    }

    /// Removes a pushed blob, from the repository and from the disk: a registry that unlinks a blob leaves its bytes
    /// to the garbage collection, and this run would fill the disk.
    pub fn remove(&self, repository: &str, blob: &Blob<'_>) -> Result<(), Fault> {
        let digest = blob.encoded_digest();
        let path = format!("/v2/{repository}/blobs/sha256:{digest}");
        Client::connect(self.address())?.expect(202, "DELETE", &path, "", Body::Empty)?;
        let data = format!("docker/registry/v2/blobs/sha256/{}/{digest}", &digest[..2]);
        Ok(fs::remove_dir_all(self.storage.join(data))?)
    }
}

/// nginx with static files under the paths of a registry, which answers many times what the registry can.
pub struct StaticFiles {
    server: Server,
    /// The path of the large one.
    pub blob: String,
}

impl StaticFiles {
    /// Writes the files and starts it.
    pub fn start(directory: &Path, family: &BlobFamily) -> Result<Self, Fault> {
        let address = free_address()?;
        let prefix = directory.join("static");
        let files = prefix.join("files");
        let repository = files.join("v2").join(REPOSITORY);
        fs::create_dir_all(repository.join("manifests"))?;
        fs::create_dir_all(repository.join("blobs"))?;
        fs::write(repository.join("manifests").join(TAG), manifest(TAG))?;
        let blob = family.another();
        let path = path(&blob);
        let mut file = fs::File::create(files.join(path.trim_start_matches('/')))?;
        for piece in blob.plain() {
            file.write_all(piece)?;
        }
        drop(file);

        let configuration = prefix.join("nginx.conf");
        fs::write(
            &configuration,
            format!(
                "{preamble}\
                 http {{\n  \
                   {temporary}\
                   access_log off;\n  \
                   sendfile on;\n  \
                   tcp_nopush on;\n  \
                   keepalive_requests 100000000;\n  \
                   open_file_cache max=16;\n  \
                   types {{ }}\n  \
                   server {{\n    \
                     listen {address};\n    \
                     root {files};\n    \
                     location = /v2/ {{ default_type application/json; return 200 '{{}}'; }}\n    \
                     location /v2/{REPOSITORY}/manifests/ {{ default_type {manifest}; }}\n    \
                     location /v2/{REPOSITORY}/blobs/ {{ default_type application/octet-stream; }}\n  \
                   }}\n\
                 }}\n",
                preamble = nginx_preamble(),
                temporary = nginx_temporary_paths(),
                files = files.display(),
                manifest = MediaType::OCI_MANIFEST,
            ),
        )?;
        let command = nginx_command(&prefix, &configuration)?;
        Ok(Self { server: Server::start("static", command, address, directory)?, blob: path })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }
}

/// The path of a blob in [`REPOSITORY`].
fn path(blob: &Blob<'_>) -> String {
    format!("/v2/{REPOSITORY}/blobs/sha256:{}", blob.encoded_digest())
}

/// nginx in the foreground with this configuration, its working files under this directory.
pub fn nginx_command(prefix: &Path, configuration: &Path) -> Result<Command, Fault> {
    let mut command = Command::new(tool("nginx", "nginx")?);
    command.arg("-p").arg(prefix).arg("-c").arg(configuration).args(["-e", "stderr"]);
    Ok(command)
}

/// How every nginx configuration here begins: one worker, in the foreground, that may read this run's directory.
pub const fn nginx_preamble() -> &'static str {
    "daemon off;\nworker_processes 1;\nuser root;\npid nginx.pid;\nerror_log stderr error;\n\
     events { worker_connections 1024; }\n"
}

/// Where nginx may write, since its own default places belong to the system's service.
pub const fn nginx_temporary_paths() -> &'static str {
    "client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n  \
     uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n  "
}
