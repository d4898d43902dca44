//! The files of keys.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::signing::{KeyCause, KeyError, PublicKey, SigningKey};
use crate::clock::Timestamp;
use crate::files::give_to_owner_of_directory;

const PRIVATE: &str = "key";
const CERTIFICATE: &str = "crt";
const PUBLIC: &str = "jwk";
/// The name of the secret beside the keys.
const SECRET: &str = "uploads.secret";

/// What is wrong with a file of a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("auth.keys: {} cannot be {what}: {source}; it has to belong to the user that the door runs as", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was attempted.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// There is nothing, and nothing is to be made.
    #[error("auth.keys: there are no keys at {}; start the door first, or name another configuration with --config", path.display())]
    Absent {
        /// The directory, or the file in it.
        path: PathBuf,
    },
    /// Others can read a private key.
    #[error("auth.keys: {} can be read by others; run `chmod 600` on it, or make a new key if somebody may have", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// Others can put keys there.
    #[error("auth.keys: others can write to {}; run `chmod 700` on it, and look whose keys are in it", path.display())]
    Shared {
        /// The directory.
        path: PathBuf,
    },
    /// It holds no key.
    #[error("auth.keys: {} cannot be used: {source}; restore it, or remove all files of its name", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyCause,
    },
}

/// The name of a key: since when it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(Timestamp);

/// The name of the key that is to sign next.
const NEXT: &str = "next";

impl Name {
    /// A key that signs since then.
    pub(super) fn new(since: Timestamp) -> Self {
        Self(since)
    }

    pub(super) fn time(self) -> Timestamp {
        self.0
    }

    /// The earliest time for another.
    pub(super) fn after(self) -> Timestamp {
        Timestamp::from_milliseconds(self.0.as_milliseconds() + 1)
    }

    fn parse(stem: &str) -> Option<Self> {
        Some(Self(Timestamp::from_milliseconds(stem.parse().ok()?)))
    }

    fn path(self, directory: &Path, extension: &str) -> PathBuf {
        path(directory, &self.stem(), extension)
    }

    fn stem(self) -> String {
        self.0.as_milliseconds().to_string()
    }
}

fn path(directory: &Path, stem: &str, extension: &str) -> PathBuf {
    directory.join(format!("{stem}.{extension}"))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Io { path, what, source }
}

/// Makes the directory, for its owner alone, if it is not there.
pub(super) fn make_directory(path: &Path) -> Result<(), KeyFileError> {
    make_missing_directories(path).map_err(failed("made", path))?;
    check_directory(path)
}

fn make_missing_directories(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_missing_directories(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => give_to_owner_of_directory(path),
        // Another door was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Refuses a directory that is not there, or that others than its owner can write to.
pub(super) fn check_directory(path: &Path) -> Result<(), KeyFileError> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KeyFileError::Absent { path: path.to_owned() });
        }
        found => found.map_err(failed("read", path))?,
    };
    match found.permissions().mode() & 0o022 {
        0 => Ok(()),
        _ => Err(KeyFileError::Shared { path: path.to_owned() }),
    }
}

fn mode(path: &Path) -> Result<u32, KeyFileError> {
    Ok(fs::metadata(path).map_err(failed("read", path))?.permissions().mode())
}

/// Refuses a file that others than its owner can read.
fn check_private(path: &Path) -> Result<(), KeyFileError> {
    match mode(path)? & 0o077 {
        0 => Ok(()),
        _ => Err(KeyFileError::Open { path: path.to_owned() }),
    }
}

/// All keys, oldest first.
pub(super) fn names(directory: &Path) -> Result<Vec<Name>, KeyFileError> {
    with_extension(directory, PUBLIC)
}

/// Whether there is a key that can sign.
pub(super) fn has_signing(directory: &Path) -> Result<bool, KeyFileError> {
    Ok(!with_extension(directory, PRIVATE)?.is_empty())
}

fn with_extension(directory: &Path, extension: &str) -> Result<Vec<Name>, KeyFileError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed("read", directory))? {
        let path = entry.map_err(failed("read", directory))?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if path.extension().is_some_and(|found| found == extension) {
            names.extend(stem.and_then(Name::parse));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Writes a key that signs from now on.
pub(super) fn write(directory: &Path, name: Name, key: &SigningKey) -> Result<(), KeyFileError> {
    write_as(directory, &name.stem(), key)
}

/// Writes the key that is to sign next.
pub(super) fn write_next(directory: &Path, key: &SigningKey) -> Result<(), KeyFileError> {
    write_as(directory, NEXT, key)
}

/// The private part last, since a key is there when that is.
fn write_as(directory: &Path, stem: &str, key: &SigningKey) -> Result<(), KeyFileError> {
    let jwk = serde_json::to_string_pretty(key.public().jwk()).unwrap_or_default();
    put(&path(directory, stem, PUBLIC), 0o644, jwk.as_bytes())?;
    put(&path(directory, stem, CERTIFICATE), 0o644, certificate_pem(key.certificate()).as_bytes())?;
    put(&path(directory, stem, PRIVATE), 0o600, key.private_pem().as_bytes())?;
    sync(directory)
}

/// Makes durable what names the files of a directory have.
pub(super) fn sync(directory: &Path) -> Result<(), KeyFileError> {
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("written", directory))
}

/// Whether a file of this name is one of a key, or the secret beside them.
pub(super) fn is_name(name: &str) -> bool {
    let is_of_key = |(stem, extension): (&str, &str)| {
        [PRIVATE, CERTIFICATE, PUBLIC].contains(&extension)
            && (stem == NEXT || Name::parse(stem).is_some_and(|name| name.stem() == stem))
    };
    name == SECRET || name.split_once('.').is_some_and(is_of_key)
}

/// The names of all such files, in order; none where there is no directory.
pub(super) fn all_names(directory: &Path) -> Result<Vec<String>, KeyFileError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("read", directory))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed("read", directory))?.file_name();
        names.extend(name.into_string().ok().filter(|name| is_name(name)));
    }
    names.sort_unstable();
    Ok(names)
}

/// What such a file holds.
pub(super) fn read(directory: &Path, name: &str) -> Result<Vec<u8>, KeyFileError> {
    let path = directory.join(name);
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(KeyFileError::Absent { path }),
        read => read.map_err(failed("read", &path)),
    }
}

/// Writes such a file as it was. Its name is one of a file of a key.
pub(super) fn put_back(directory: &Path, name: &str, content: &[u8]) -> Result<(), KeyFileError> {
    let is_secret =
        name == SECRET || name.rsplit_once('.').is_some_and(|(_, extension)| extension == PRIVATE);
    put(&directory.join(name), if is_secret { 0o600 } else { 0o644 }, content)
}

/// The secret that lies beside the keys.
pub(super) fn secret(directory: &Path) -> Result<[u8; 32], KeyFileError> {
    let path = directory.join(SECRET);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(KeyFileError::Absent { path }),
        read => read.map_err(failed("read", &path))?,
    };
    check_private(&path)?;
    let wrong = "it has no 64 hexadecimal digits";
    let bytes = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| KeyFileError::Content { path, source: wrong.into() })
}

/// Whether there is a secret beside the keys.
pub(super) fn has_secret(directory: &Path) -> bool {
    directory.join(SECRET).exists()
}

/// Makes the secret beside the keys.
pub(super) fn make_secret(directory: &Path) -> Result<(), KeyFileError> {
    let path = directory.join(SECRET);
    let mut secret = [0; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut secret)
        .map_err(|error| failed("written", &path)(io::Error::other(error.to_string())))?;
    put(&path, 0o600, hex::encode(secret).as_bytes())
}

/// A certificate in PEM.
pub(super) fn certificate_pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Writes a whole file or none, durably.
fn put(path: &Path, mode: u32, content: &[u8]) -> Result<(), KeyFileError> {
    let aside = path.with_extension("new");
    let written = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&aside)?;
        // An old file aside keeps its mode, and the process's mask takes bits away.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(content)?;
        give_to_owner_of_directory(&aside)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    written().map_err(failed("written", path))
}

/// Reads the key that signs: the newest with a private part.
pub(super) fn read_signing(directory: &Path) -> Result<(Name, SigningKey), KeyFileError> {
    let Some(name) = with_extension(directory, PRIVATE)?.pop() else {
        return Err(KeyFileError::Absent { path: directory.to_owned() });
    };
    Ok((name, read_as(directory, &name.stem())?))
}

/// Reads the key that is to sign next, if there is one.
pub(super) fn read_next(directory: &Path) -> Result<Option<SigningKey>, KeyFileError> {
    match path(directory, NEXT, PRIVATE).exists() {
        true => read_as(directory, NEXT).map(Some),
        false => Ok(None),
    }
}

fn read_as(directory: &Path, stem: &str) -> Result<SigningKey, KeyFileError> {
    let (private_path, certificate) = (path(directory, stem, PRIVATE), path(directory, stem, CERTIFICATE));
    check_private(&private_path)?;
    let private = fs::read_to_string(&private_path).map_err(failed("read", &private_path))?;
    let der = CertificateDer::from_pem_file(&certificate)
        .map_err(|error| KeyFileError::Content { path: certificate, source: error.into() })?;
    SigningKey::from_files(&private, der.to_vec())
        .map_err(|error: KeyError| KeyFileError::Content { path: private_path, source: error.into() })
}

/// Reads the public part of a key.
pub(super) fn read_public(directory: &Path, name: Name) -> Result<PublicKey, KeyFileError> {
    let path = name.path(directory, PUBLIC);
    let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
    PublicKey::from_jwk(&text).map_err(|error| KeyFileError::Content { path, source: error.into() })
}

/// Removes the private part of a key that was replaced.
pub(super) fn remove_private(directory: &Path, name: Name) -> Result<(), KeyFileError> {
    remove_file(&name.path(directory, PRIVATE))
}

/// Removes everything of a key. The public part goes last, since its name is found by that.
pub(super) fn remove(directory: &Path, name: Name) -> Result<(), KeyFileError> {
    remove_as(directory, &name.stem())
}

/// Removes the key that is to sign next.
pub(super) fn remove_next(directory: &Path) -> Result<(), KeyFileError> {
    remove_as(directory, NEXT)
}

fn remove_as(directory: &Path, stem: &str) -> Result<(), KeyFileError> {
    [PRIVATE, CERTIFICATE, PUBLIC]
        .iter()
        .try_for_each(|extension| remove_file(&path(directory, stem, extension)))
}

fn remove_file(path: &Path) -> Result<(), KeyFileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("removed", path)(error)),
        _ => Ok(()),
    }
}
