//! The types of addresses that a configuration names: backends of the registry, the door's own URL, the store.

use std::fmt;
use std::path::{Path, PathBuf};

use url::{Host, Url};

/// A backend of the registry: scheme, host and port, nothing else. Two that are written differently but mean the same
/// are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendUrl {
    tls: bool,
    host: Host<String>,
    port: u16,
}

/// Why a text is not a URL of the kind that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Another scheme, or none.
    #[error("does not begin with `http://` or `https://`")]
    Scheme,
    /// Not a URL at all.
    #[error("is not a URL ({0})")]
    Form(url::ParseError),
    /// A user name or a password. The text is not repeated, since it may be secret.
    #[error("has a user name or password in it")]
    UserInformation,
    /// A path beyond `/`, a query or a fragment.
    #[error("has a path, query or fragment behind the host")]
    Path,
}

/// Parses an `http://` or `https://` URL that has a host and perhaps a port, and nothing behind but a single `/`.
///
/// # Errors
/// When it is anything else.
pub(super) fn parse_origin(text: &str) -> Result<Url, InvalidUrl> {
    let is_http =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if !is_http("http://") && !is_http("https://") {
        return Err(InvalidUrl::Scheme);
    }
    let url = Url::parse(text).map_err(InvalidUrl::Form)?;
    // The parser drops an empty user name: `http://@host` must not pass for `http://host`.
    if text.contains('@') {
        return Err(InvalidUrl::UserInformation);
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(InvalidUrl::Path);
    }
    Ok(url)
}

impl BackendUrl {
    /// Parses a backend's URL.
    ///
    /// # Errors
    /// When it is not `http://HOST[:PORT]` or `https://HOST[:PORT]`, with at most a `/` behind.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let url = parse_origin(text)?;
        let host = url.host().ok_or(InvalidUrl::Form(url::ParseError::EmptyHost))?.to_owned();
        let port = url.port_or_known_default().ok_or(InvalidUrl::Form(url::ParseError::InvalidPort))?;
        Ok(Self { tls: url.scheme() == "https", host, port })
    }

    /// Whether the backend is spoken to over TLS.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// `http` or `https`.
    pub const fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The host: a domain, which is also the name that TLS asks for, or an address.
    pub const fn host(&self) -> &Host<String> {
        &self.host
    }

    /// The port, the scheme's own if the URL named none.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` as a resolver takes it; an IPv6 address in brackets.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The value of a `Host` header: without the port where it is the scheme's own.
    pub fn authority(&self) -> String {
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => self.host.to_string(),
            _ => self.address(),
        }
    }
}

/// As a URL without a trailing slash.
impl fmt::Display for BackendUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme(), self.authority())
    }
}

/// Where the record is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A redb file; a relative path begins at the working directory.
    Redb(PathBuf),
    /// A PostgreSQL database, as a URL in which no password stands.
    Postgres(String),
}

impl StoreUrl {
    /// The path beside the store with this extension more: where what belongs to the store is kept by default. Beside no file, it
    /// is in the working directory.
    pub(crate) fn beside(&self, extension: &str) -> PathBuf {
        match self {
            Self::Redb(path) => path.with_added_extension(extension),
            Self::Postgres(_) => Path::new("portreeve").with_added_extension(extension),
        }
    }
}

/// As it is written in a configuration.
impl fmt::Display for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redb(path) => write!(formatter, "redb:{}", path.display()),
            Self::Postgres(url) => formatter.write_str(url),
        }
    }
}
