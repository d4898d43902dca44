//! The door's TLS certificate, exchanged without a restart when its files change.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::certificate_details::{CertificateDetails, Validity};
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

/// How often a certificate that ends soon is warned about.
const WARNED_EVERY: Duration = Duration::from_hours(24);

/// The certificate in use, and the files it came from.
pub struct Certificates {
    /// The certificate's, and the key's.
    files: [PathBuf; 2],
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
    details: ArcSwap<CertificateDetails>,
    /// How the files were before they were read first.
    loaded: FileVersions,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file that cannot be read, or holds no PEM of the right kind.
    #[error("`{key}` {file:?} cannot be used: {source}; it must be a PEM file that the door can read")]
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
        "`listen.tls.cert` {certificate_file:?} and `listen.tls.key` {key_file:?} cannot be used together: {source}"
    )]
    Pair {
        /// The certificate's file.
        certificate_file: PathBuf,
        /// The key's file.
        key_file: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// A certificate that cannot be read.
    #[error("`listen.tls.cert` {file:?} cannot be used: {source}; it must be an X.509 certificate")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: x509_parser::error::X509Error,
    },
    /// A certificate that came to replace another one, and is over or not good yet.
    #[error(
        "`listen.tls.cert` {file:?} is good from {} until {} only; name one that is good now",
        details.not_before, details.not_after
    )]
    NotGoodNow {
        /// The file.
        file: PathBuf,
        /// What it says of itself.
        details: CertificateDetails,
    },
}

impl CertificateError {
    /// The configuration key of the file to look at first.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::File { key, .. } => key,
            Self::Pair { .. } | Self::Unreadable { .. } | Self::NotGoodNow { .. } => "listen.tls.cert",
        }
    }
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
        let (current, details) = read(&provider, &files)?;
        show_expiry(&details);
        let (current, details) = (ArcSwap::from_pointee(current), ArcSwap::from_pointee(details));
        Ok(Self { files, provider, current, details, loaded })
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
            let mut daily = tokio::time::interval(WARNED_EVERY);
            // A machine that has slept for a week says it once.
            daily.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tracing::info!("the TLS certificate {}", self.details());
            loop {
                tokio::select! {
                    _ = daily.tick() => {
                        self.warn_of_its_end();
                        continue;
                    }
                    _ = watcher.changed() => {}
                }
                let certificates = Arc::clone(&self);
                if let Err(error) = tokio::task::spawn_blocking(move || certificates.reload()).await {
                    tracing::error!(%error, "reading the new TLS certificate failed; the old one stays");
                }
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    /// What the current certificate says of itself.
    pub fn details(&self) -> Arc<CertificateDetails> {
        self.details.load_full()
    }

    /// Says that the certificate is over, or will be soon.
    fn warn_of_its_end(&self) {
        if let Some(warning) = self.details().warning(Timestamp::now()) {
            tracing::warn!("{warning}");
        }
    }

    /// Reads the files again. Blocks.
    fn reload(&self) {
        let read = read(&self.provider, &self.files).and_then(|(pair, details)| {
            match details.validity(Timestamp::now()) {
                Validity::Good | Validity::EndsSoon => Ok((pair, details)),
                Validity::Expired | Validity::NotYet => {
                    Err(CertificateError::NotGoodNow { file: self.files[0].clone(), details })
                }
            }
        });
        match read {
            Ok((pair, details)) => {
                tracing::info!(file = %self.files[0].display(), "the new TLS certificate is in use; it {details}");
                Reloaded::Certificate.count(ReloadResult::Accepted, Timestamp::now().as_seconds());
                show_expiry(&details);
                self.current.store(Arc::new(pair));
                self.details.store(Arc::new(details));
                self.warn_of_its_end();
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

/// Shows when the certificate ends.
fn show_expiry(details: &CertificateDetails) {
    metrics::gauge!(EXPIRY).set(details.not_after.as_seconds());
}

fn read(
    provider: &CryptoProvider,
    [certificate_file, key_file]: &[PathBuf; 2],
) -> Result<(CertifiedKey, CertificateDetails), CertificateError> {
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
    let details = CertificateDetails::read(&chain[0])
        .map_err(|source| CertificateError::Unreadable { file: certificate_file.to_owned(), source })?;
    let pair = CertifiedKey::from_der(chain, key, provider).map_err(|source| CertificateError::Pair {
        certificate_file: certificate_file.to_owned(),
        key_file: key_file.to_owned(),
        source,
    })?;
    Ok((pair, details))
}
