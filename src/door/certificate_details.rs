//! What a TLS certificate says of itself: for which names it is, and when it is good.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::clock::Timestamp;

/// How long before its end a certificate is warned about.
pub(super) const WARNED_BEFORE: Duration = Duration::from_hours(30 * 24);
/// More names than a line of the log has room for.
const SHOWN_NAMES: usize = 8;

/// What a certificate says of itself (RFC 5280).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateDetails {
    /// The names and addresses it is for.
    pub names: Vec<String>,
    /// From when on it is good.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

/// How a certificate stands at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It is not good yet.
    NotYet,
    /// It is good.
    Good,
    /// It is good, and ends within thirty days.
    EndsSoon,
    /// It is over.
    Expired,
}

impl CertificateDetails {
    /// Reads a certificate.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Self, X509Error> {
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| match error {
            x509_parser::nom::Err::Error(error) | x509_parser::nom::Err::Failure(error) => error,
            x509_parser::nom::Err::Incomplete(_) => X509Error::InvalidCertificate,
        })?;
        let validity = certificate.validity();
        Ok(Self {
            names: names(&certificate),
            not_before: timestamp(validity.not_before),
            not_after: timestamp(validity.not_after),
        })
    }

    /// What has to be done about it now: a sentence without its end, and nothing while all is well.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        match self.validity(now) {
            Validity::Good => None,
            Validity::EndsSoon => Some(format!("the TLS certificate {self}: renew it")),
            Validity::Expired => {
                Some(format!("the TLS certificate {self}, which is over: clients refuse it; renew it"))
            }
            Validity::NotYet => Some(format!(
                "the TLS certificate is good from {} on only: clients refuse it; is the clock of this machine right?",
                self.not_before
            )),
        }
    }

    /// How it stands at this time.
    pub fn validity(&self, now: Timestamp) -> Validity {
        if now < self.not_before {
            Validity::NotYet
        } else if now > self.not_after {
            Validity::Expired
        } else if self.not_after.since(now) < WARNED_BEFORE {
            Validity::EndsSoon
        } else {
            Validity::Good
        }
    }
}

impl fmt::Display for CertificateDetails {
    /// For which names, and until when: the rest of a sentence that begins with the certificate.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.names.len() > SHOWN_NAMES { " and more" } else { "" };
        let names = match self.names.len() {
            0 => "no name".to_owned(),
            _ => self.names.iter().take(SHOWN_NAMES).cloned().collect::<Vec<_>>().join(", "),
        };
        write!(formatter, "is for {names}{more}, and good until {}", self.not_after)
    }
}

/// Its alternative names; without any, which clients of today do not take, its common name.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.into_iter().flat_map(|names| &names.value.general_names);
    let names: Vec<String> = alternatives.filter_map(shown).collect();
    if !names.is_empty() {
        return names;
    }
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    common.map(|name| name.escape_debug().to_string()).collect()
}

fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.escape_debug().to_string()),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(|bytes| Ipv4Addr::from(bytes).to_string())
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(|bytes| Ipv6Addr::from(bytes).to_string()))
            .ok(),
        _ => None,
    }
}

/// Times before 1970 are no later than that.
fn timestamp(time: ASN1Time) -> Timestamp {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    Timestamp::from_milliseconds(seconds.saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    fn details(names: &[&str]) -> CertificateDetails {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2021, 1, 1);
        parameters.distinguished_name.push(DnType::CommonName, "common.example");
        let certificate = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
        CertificateDetails::read(certificate.der()).unwrap()
    }

    #[test]
    fn a_certificate_is_good_from_its_first_to_its_last_moment_and_ends_soon_for_thirty_days() {
        let details = details(&["a.example"]);
        for (time, expected) in [
            ("2019-12-31T23:59:59Z", Validity::NotYet),
            ("2020-01-01T00:00:00Z", Validity::Good),
            ("2020-12-01T23:59:59Z", Validity::Good),
            ("2020-12-02T00:00:01Z", Validity::EndsSoon),
            ("2021-01-01T00:00:00Z", Validity::EndsSoon),
            ("2021-01-01T00:00:01Z", Validity::Expired),
        ] {
            assert_eq!(details.validity(Timestamp::parse(time).unwrap()), expected, "{time}");
        }
    }

    #[test]
    fn names_are_the_alternative_ones_and_the_common_one_only_without_any() {
        assert_eq!(details(&["a.example", "127.0.0.1", "::1"]).names, ["a.example", "127.0.0.1", "::1"]);
        assert_eq!(details(&[]).names, ["common.example"]);
        assert!(details(&["a.example"]).to_string().contains("is for a.example, and good until 2021-01-01"));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert!(CertificateDetails::read(&CertificateDer::from(b"no certificate".to_vec())).is_err());
        assert!(CertificateDetails::read(&CertificateDer::from(Vec::new())).is_err());
    }
}
