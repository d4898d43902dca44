//! A certificate with its key: that of the listener, and that by which a database knows the door.

use std::path::PathBuf;

use super::settings::Settings;
use super::value;

/// A certificate of the door's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `….cert`: PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// `….key`: PEM file with the private key.
    pub key: PathBuf,
}

/// Certificate and key come together or not at all.
pub(super) fn read(settings: &mut Settings, keys: [&'static str; 2]) -> Option<Tls> {
    let [certificate, key] = keys.map(|name| settings.read(name, value::path));
    for (given, missing) in [(keys[0], keys[1]), (keys[1], keys[0])] {
        if settings.has(given) && !settings.has(missing) {
            let sentence = format!("`{given}` is set but `{missing}` is not; set both for TLS, or neither");
            settings.complain(settings.origin(given), sentence);
        }
    }
    Some(Tls { certificate: certificate?, key: key? })
}
