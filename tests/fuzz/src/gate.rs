//! What makes and checks tokens, for the targets that try to get past it.

use std::path::PathBuf;
use std::time::Duration;

use portreeve::auth::{Issuer, KeyAlgorithm, KeyDirectory, TokenSettings};
use portreeve::clock::{Clock, Timestamp};

const HOUR: Duration = Duration::from_secs(3600);

/// An issuer `i` for the service `s`, with a key of its own, and the directory where that lies.
pub fn issuer() -> (Issuer, PathBuf) {
    let path = std::env::temp_dir().join(format!("portreeve-fuzz-{}", std::process::id()));
    let keys = KeyDirectory::new(path.clone(), KeyAlgorithm::Es256, HOUR);
    let settings = TokenSettings {
        issuer: "i".to_owned(),
        service: "s".to_owned(),
        ttl: HOUR,
        leeway: HOUR,
        carries_certificate: true,
    };
    (Issuer::new(settings, keys.open(Timestamp::now()).expect("a key"), Clock::SYSTEM), path)
}
