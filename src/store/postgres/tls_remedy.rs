//! What can be done about a connection to the database that cannot be encrypted.

use std::error::Error as _;
use std::io;

use rustls::{CertificateError, Error as TlsError};

/// What the operator can do about a connection that failed over its encryption.
pub(super) fn remedy(error: &tokio_postgres::Error) -> Option<&'static str> {
    let source = error.source()?;
    let Some(failed) = source.downcast_ref::<io::Error>() else {
        // The client of the database has no other name for it.
        return (source.to_string() == "server does not support TLS").then_some(
            "turn on `ssl` at the database, or write sslmode=disable into `store.url` where nobody else is on the way to it",
        );
    };
    match failed.get_ref()?.downcast_ref::<TlsError>()? {
        // Another authority of the same name has another key.
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            Some("name the authority of the database's certificate in `store.tls.ca`")
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Some(
            "name the database in `store.url` as its certificate does, give it a certificate for that name, or write \
             sslmode=verify-ca to believe whomever the authority has certified",
        ),
        TlsError::InvalidCertificate(_) => Some("give the database another certificate"),
        TlsError::AlertReceived(_) => {
            Some("its log says why; it may want another certificate than that in `store.tls.cert`")
        }
        _ => None,
    }
}
