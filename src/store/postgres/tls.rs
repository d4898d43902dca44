//! How a connection to the database is encrypted, and whom the door believes to be the database.
//!
//! `sslmode` in the URL says it in the words of libpq, but for the modes that fall back to a connection without encryption:
//! nobody who writes one of them knows what they get. Files are read for each connection, so that a certificate that was renewed
//! counts for the next one.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::{Error as PemError, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Config, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::open_error::PostgresOpenError;

/// What encrypts a connection.
pub(super) type TlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// The parameter of a URL that says how a connection is encrypted.
const MODE: &str = "sslmode";

/// Parameters of libpq for files, and the keys that they are named by here.
const FILES: [(&str, &str); 3] =
    [("sslrootcert", "store.tls.ca"), ("sslcert", "store.tls.cert"), ("sslkey", "store.tls.key")];

/// PEM files for connections to a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities by which the database is believed; those of the system if absent.
    pub authorities: Option<PathBuf>,
    /// The certificate chain and the private key by which the database knows the door.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsMode {
    /// Not at all.
    Disable,
    /// It is, but whoever answers is believed, unless authorities are named: then as [`TlsMode::VerifyAuthority`].
    Require,
    /// An authority has certified whoever answers, under whatever name.
    VerifyAuthority,
    /// An authority has certified that it is the host that was asked for.
    VerifyFull,
}

impl TlsMode {
    fn parse(text: &str) -> Result<Self, PostgresOpenError> {
        match text {
            "disable" => Ok(Self::Disable),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyAuthority),
            "verify-full" => Ok(Self::VerifyFull),
            other => Err(PostgresOpenError::Mode { found: other.to_owned() }),
        }
    }

    /// What counts where none is written: nothing leaves the machine without encryption.
    pub(super) fn default_of(config: &Config, files: &TlsFiles) -> Self {
        match is_local(config) && *files == TlsFiles::default() {
            true => Self::Disable,
            false => Self::VerifyFull,
        }
    }
}

/// Takes what is said about encryption out of a URL: the rest, and the mode if there is one. The client of the database does not
/// know them all.
pub(super) fn take_mode(url: &str) -> Result<(String, Option<TlsMode>), PostgresOpenError> {
    let Some((address, parameters)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
    let (mut kept, mut mode) = (Vec::new(), None);
    for parameter in parameters.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if let Some((parameter, key)) = FILES.iter().find(|(file, _)| *file == name) {
            return Err(PostgresOpenError::TlsFile { parameter, key });
        }
        match name {
            MODE => mode = Some(TlsMode::parse(value)?),
            _ => kept.push(parameter),
        }
    }
    let rest = if kept.is_empty() { address.to_owned() } else { format!("{address}?{}", kept.join("&")) };
    Ok((rest, mode))
}

/// Whether whatever is connected to is on this machine.
fn is_local(config: &Config) -> bool {
    let addresses = config.get_hostaddrs();
    if !addresses.is_empty() {
        return addresses.iter().all(std::net::IpAddr::is_loopback);
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        Host::Unix(_) => true,
    })
}

/// Whether all connections are to sockets on this machine, over which there is no TLS.
pub(super) fn is_over_sockets(config: &Config) -> bool {
    config.get_hostaddrs().is_empty() && config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)))
}

/// Why no connection can be encrypted.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsProblem {
    /// A file cannot be read, or is no PEM.
    #[error("`{key}` {} cannot be used: {source}", path.display())]
    File { key: &'static str, path: PathBuf, source: PemError },
    /// A file has no certificate in it.
    #[error("`{key}` {} has no certificate in it", path.display())]
    Empty { key: &'static str, path: PathBuf },
    /// A certificate is none of an authority.
    #[error("`store.tls.ca` {} has a certificate that cannot be used: {source}", path.display())]
    Authority { path: PathBuf, source: TlsError },
    /// Certificate and key are none, or not of each other.
    #[error("`store.tls.cert` and `store.tls.key` cannot be used together: {0}")]
    Identity(#[source] TlsError),
    /// There is nobody to believe.
    #[error("this system has no certificates of authorities; name some in `store.tls.ca`")]
    NoAuthorities,
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] TlsError),
}

/// Encrypts connections.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    mode: TlsMode,
    files: TlsFiles,
}

impl Connector {
    pub(super) const fn new(mode: TlsMode, files: TlsFiles) -> Self {
        Self { mode, files }
    }

    /// Whether whoever answers is believed.
    pub(super) fn believes_anybody(&self) -> bool {
        self.mode == TlsMode::Require && self.files.authorities.is_none()
    }

    fn configuration(&self) -> Result<ClientConfig, TlsProblem> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsProblem::Setup)?;
        // Of what is not encrypted nothing is asked; the client of the database wants a connector all the same.
        if self.mode == TlsMode::Disable {
            return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
        }
        let builder = builder.dangerous().with_custom_certificate_verifier(self.verifier(&provider)?);
        let Some((certificate, key)) = &self.files.identity else { return Ok(builder.with_no_client_auth()) };
        let chain = certificates("store.tls.cert", certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsProblem::File {
            key: "store.tls.key",
            path: key.clone(),
            source,
        })?;
        builder.with_client_auth_cert(chain, key).map_err(TlsProblem::Identity)
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsProblem> {
        let chain = if self.believes_anybody() {
            None
        } else {
            let roots = match &self.files.authorities {
                Some(path) => Arc::new(authorities(path)?),
                None => authorities_of_the_system()?,
            };
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
            Some(verifier.map_err(|error| TlsProblem::Setup(TlsError::General(error.to_string())))?)
        };
        match (self.mode, chain) {
            (TlsMode::VerifyFull, Some(verifier)) => Ok(verifier),
            (_, chain) => Ok(Arc::new(AnyName { chain, provider: Arc::clone(provider) })),
        }
    }
}

fn certificates(key: &'static str, path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|source| TlsProblem::File { key, path: path.clone(), source })?;
    if read.is_empty() { Err(TlsProblem::Empty { key, path: path.clone() }) } else { Ok(read) }
}

fn authorities(path: &PathBuf) -> Result<RootCertStore, TlsProblem> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("store.tls.ca", path)? {
        roots.add(certificate).map_err(|source| TlsProblem::Authority { path: path.clone(), source })?;
    }
    Ok(roots)
}

/// Read once: they are many.
fn authorities_of_the_system() -> Result<Arc<RootCertStore>, TlsProblem> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() { Err(TlsProblem::NoAuthorities) } else { Ok(Arc::clone(roots)) }
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = TlsStream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = TlsProblem;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, TlsProblem> {
        let mut connecting = MakeRustlsConnect::new(self.configuration()?);
        let made: Result<_, Infallible> = MakeTlsConnect::<Socket>::make_tls_connect(&mut connecting, host);
        match made {
            Ok(connect) => Ok(connect),
            Err(never) => match never {},
        }
    }
}

/// Believes whomever an authority has certified, under whatever name; or anybody, where there is no chain to look at. That they
/// have the key of their certificate is verified in any case.
#[derive(Debug)]
struct AnyName {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last: all else is right.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
