//! The door's TLS certificate, exchanged without a restart when its files change.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

use crate::clock::Timestamp;
use crate::files::{FileVersions, FileWatcher, RereadRequests};
use crate::telemetry::{ReloadResult, Reloaded};

const EXPIRY: &str = "portreeve_certificate_expiry_timestamp_seconds";

/// Describes the metrics of this file to the exporter.
pub(super) fn describe() {
    metrics::describe_gauge!(
        EXPIRY,
        metrics::Unit::Seconds,
        "When the door's TLS certificate ends, in seconds since 1970; not there without TLS"
    );
}

/// The certificate in use, and the files it came from.
pub struct Certificates {
    /// The certificate's, and the key's.
    files: [PathBuf; 2],
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
    /// How the files were before they were read first.
    loaded: FileVersions,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file that cannot be read, or holds no PEM of the right kind.
    #[error("{key} = {file:?} cannot be used: {source}; it must be a PEM file that the door can read")]
    File {
        /// Which configuration key names it.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: rustls_pki_types::pem::Error,
    },
    /// Files that do not go together, or of an unsupported kind.
    #[error(
        "listen.tls.cert = {certificate_file:?} and listen.tls.key = {key_file:?} cannot be used together: {source}"
    )]
    Pair {
        /// The certificate's file.
        certificate_file: PathBuf,
        /// The key's file.
        key_file: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, is no PEM of the right kind, or the two do not go together.
    pub fn load(certificate_file: PathBuf, key_file: PathBuf) -> Result<Self, CertificateError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let files = [certificate_file, key_file];
        let loaded = FileVersions::of(&files);
        let current = read(&provider, &files)?;
        show_expiry(&current);
        Ok(Self { files, provider, current: ArcSwap::from_pointee(current), loaded })
    }

    /// The TLS configuration of a listener that always presents the current certificate; HTTP/2 by ALPN.
    ///
    /// # Errors
    /// When the cryptography has none of TLS 1.2 and 1.3.
    pub fn server_configuration(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let mut configuration = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(configuration)
    }

    /// Watches the files until told to stop, and reads them again when they have changed or the operator asks for that; a pair
    /// that cannot be used is logged as an error and leaves the old one in place.
    pub async fn watch(self: Arc<Self>, requests: RereadRequests, stop: CancellationToken) {
        let watching = async {
            let mut watcher = FileWatcher::new(&self.files, self.loaded.clone(), requests);
            loop {
                watcher.changed().await;
                let certificates = Arc::clone(&self);
                if let Err(error) = tokio::task::spawn_blocking(move || certificates.reload()).await {
                    tracing::error!(%error, "reading the new TLS certificate failed; the old one stays");
                }
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    /// Reads the files again. Blocks.
    fn reload(&self) {
        match read(&self.provider, &self.files) {
            Ok(pair) => {
                Reloaded::Certificate.count(ReloadResult::Accepted, Timestamp::now().as_seconds());
                show_expiry(&pair);
                self.current.store(Arc::new(pair));
                tracing::info!(file = %self.files[0].display(), "the new TLS certificate is in use");
            }
            Err(error) => {
                Reloaded::Certificate.count(ReloadResult::Refused, Timestamp::now().as_seconds());
                tracing::error!(%error, "the new TLS certificate cannot be used; the old one stays")
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificates {
    /// Without the key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Shows when the first certificate of the chain ends: the door's own.
fn show_expiry(pair: &CertifiedKey) {
    let Some(certificate) = pair.cert.first() else { return };
    match x509_parser::parse_x509_certificate(certificate) {
        Ok((_, certificate)) => {
            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 seconds")]
            metrics::gauge!(EXPIRY).set(certificate.validity().not_after.timestamp() as f64);
        }
        Err(error) => tracing::warn!(%error, "when the TLS certificate ends cannot be read from it"),
    }
}

fn read(
    provider: &CryptoProvider,
    [certificate_file, key_file]: &[PathBuf; 2],
) -> Result<CertifiedKey, CertificateError> {
    let chain =
        CertificateDer::pem_file_iter(certificate_file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .and_then(|chain| {
                if chain.is_empty() { Err(rustls_pki_types::pem::Error::NoItemsFound) } else { Ok(chain) }
            })
            .map_err(|source| CertificateError::File {
                key: "listen.tls.cert",
                file: certificate_file.to_owned(),
                source,
            })?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|source| CertificateError::File {
        key: "listen.tls.key",
        file: key_file.to_owned(),
        source,
    })?;
    CertifiedKey::from_der(chain, key, provider).map_err(|source| CertificateError::Pair {
        certificate_file: certificate_file.to_owned(),
        key_file: key_file.to_owned(),
        source,
    })
}
