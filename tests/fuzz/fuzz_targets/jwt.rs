//! Nothing but what the door has signed is a token.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use portreeve::auth::{Issuer, KeyAlgorithm, KeyDirectory, TokenSettings};
use portreeve::clock::{Clock, Timestamp};

const HOUR: Duration = Duration::from_secs(3600);

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("portreeve-fuzz-{}", std::process::id()));
    let keys = KeyDirectory::new(path, KeyAlgorithm::Es256, HOUR);
    let settings = TokenSettings {
        issuer: "i".to_owned(),
        service: "s".to_owned(),
        ttl: HOUR,
        leeway: HOUR,
        carries_certificate: true,
    };
    Issuer::new(settings, keys.open(Timestamp::now()).expect("a key"), Clock::SYSTEM)
});

fuzz_target!(|parts: (&str, &str, &str)| {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let id = ISSUER.keys().signing().public().id().to_owned();
    let (header, claims, signature) = parts;
    let header = header.replace("KID", &id);
    for token in [
        format!("{header}.{claims}.{signature}"),
        format!("{}.{}.{}", encode(&header), encode(claims), encode(signature)),
    ] {
        assert!(ISSUER.check(&token).is_err());
    }
});
