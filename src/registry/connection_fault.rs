//! Why a connection to a backend does not come about, as an operator has to know it: each cause with its own remedy.

use std::error::Error;
use std::fmt;
use std::io;

/// Why a backend cannot be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// Its name leads to no address.
    NameNotFound,
    /// Nothing listens at its port.
    Refused,
    /// No way leads to its address.
    Unreachable,
    /// It did not answer in time.
    TimedOut,
    /// Its certificate was signed by an authority that the door does not know.
    UnknownIssuer,
    /// Its certificate is for other names.
    OtherName,
    /// Its certificate has expired, or is not valid yet.
    CertificateTime,
    /// Its certificate cannot be used for another reason.
    Certificate,
    /// It does not speak TLS.
    NoTls,
    /// It does not speak HTTP, or expects TLS.
    NoHttp,
}

impl ConnectionFault {
    /// What lies behind an error. None if it is something else.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        std::iter::successors(Some(error), |error| inner(*error)).find_map(classify)
    }

    /// What to do about it, as the rest of a sentence.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NameNotFound => "set registry.url to a name that this machine can resolve",
            Self::Refused => "start it, or set registry.url to where it is",
            Self::Unreachable => "see the routes of this machine, or set registry.url to where it is",
            Self::TimedOut => {
                "see whether it runs and a firewall lets the door through, or set registry.url to where it is"
            }
            Self::UnknownIssuer => "set registry.ca to a file with the certificate of that authority",
            Self::OtherName => "set registry.url to a name that the certificate is for",
            Self::CertificateTime => "renew it, or set the clock of this machine right",
            Self::Certificate => "give the registry a certificate that is right",
            Self::NoTls => {
                "write http:// instead of https:// in registry.url, or set it to the port with TLS"
            }
            Self::NoHttp => {
                "write https:// instead of http:// in registry.url if the registry has TLS, or set it to where the registry is"
            }
        }
    }
}

impl fmt::Display for ConnectionFault {
    /// The rest of a sentence that begins with the backend.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NameNotFound => "has a name that is not found",
            Self::Refused => "refuses connections",
            Self::Unreachable => "cannot be reached: no route leads there",
            Self::TimedOut => "does not answer in time",
            Self::UnknownIssuer => "has a certificate of an unknown authority",
            Self::OtherName => "has a certificate for other names",
            Self::CertificateTime => "has a certificate that has expired or is not valid yet",
            Self::Certificate => "has a certificate that cannot be used",
            Self::NoTls => "does not speak TLS",
            Self::NoHttp => "does not speak HTTP",
        })
    }
}

/// What an error wraps. An error of the system may carry another one that it does not name as its source.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    carried.map(|carried| carried as &(dyn Error + 'static)).or_else(|| error.source())
}

fn classify(error: &(dyn Error + 'static)) -> Option<ConnectionFault> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(of_tls(error));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return of_system(error);
    }
    // The client to the registry has no types for these.
    match error.to_string().as_str() {
        "dns error" => Some(ConnectionFault::NameNotFound),
        text if text.starts_with("invalid HTTP") => Some(ConnectionFault::NoHttp),
        _ => None,
    }
}

fn of_tls(error: &rustls::Error) -> ConnectionFault {
    use rustls::CertificateError as Wrong;
    match error {
        rustls::Error::InvalidCertificate(wrong) => match wrong {
            Wrong::UnknownIssuer => ConnectionFault::UnknownIssuer,
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => ConnectionFault::OtherName,
            Wrong::Expired
            | Wrong::ExpiredContext { .. }
            | Wrong::NotValidYet
            | Wrong::NotValidYetContext { .. } => ConnectionFault::CertificateTime,
            _ => ConnectionFault::Certificate,
        },
        _ => ConnectionFault::NoTls,
    }
}

fn of_system(error: &io::Error) -> Option<ConnectionFault> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(ConnectionFault::Refused),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            Some(ConnectionFault::Unreachable)
        }
        io::ErrorKind::TimedOut => Some(ConnectionFault::TimedOut),
        _ => None,
    }
}
