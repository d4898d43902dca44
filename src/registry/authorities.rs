//! The authorities whose certificates the registry is believed by, where the operator names some: `registry.ca`.

use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{Error as PemError, PemObject as _};

/// Certificates of authorities, read from a PEM file.
#[derive(Clone, Debug)]
pub struct Authorities {
    path: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
}

/// Why a file of authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAuthorities {
    /// It cannot be read, or is no PEM.
    #[error("{} cannot be used: {source}; name a PEM file with the certificates of authorities", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PemError,
    },
    /// It has no certificate in it.
    #[error("{} has no certificate in it; name a PEM file with the certificates of authorities", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// One of its certificates is none of an authority.
    #[error("{}, certificate {number} cannot be used: {source}; name a PEM file with the certificates of authorities", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Which, counted from one.
        number: usize,
        /// What is wrong.
        source: rustls::Error,
    },
}

impl Authorities {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else than certificates of authorities.
    pub fn load(path: PathBuf) -> Result<Self, InvalidAuthorities> {
        let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certificates = match read {
            Ok(certificates) if certificates.is_empty() => return Err(InvalidAuthorities::Empty { path }),
            Ok(certificates) => certificates,
            Err(source) => return Err(InvalidAuthorities::File { path, source }),
        };
        let mut roots = rustls::RootCertStore::empty();
        for (index, certificate) in certificates.iter().enumerate() {
            if let Err(source) = roots.add(certificate.clone()) {
                return Err(InvalidAuthorities::Certificate { path, number: index + 1, source });
            }
        }
        Ok(Self { path, certificates })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The certificates, for the client of the door's own questions.
    pub(super) fn certificates(&self) -> Result<Vec<reqwest::Certificate>, reqwest::Error> {
        self.certificates.iter().map(|certificate| reqwest::Certificate::from_der(certificate)).collect()
    }
}
