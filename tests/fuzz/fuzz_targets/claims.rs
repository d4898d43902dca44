//! Whatever a signed token claims: it is read or refused, and what is taken is for this door, and grants what it says.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use portreeve::auth::Issuer;
use portreeve_fuzz::gate;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

struct House {
    issuer: Issuer,
    key: EcdsaKeyPair,
    header: String,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let (issuer, path) = gate::issuer();
    let header =
        format!(r#"{{"typ":"JWT","alg":"ES256","kid":"{}"}}"#, issuer.keys().signing().public().id());
    House { key: private_key(path), issuer, header: URL_SAFE_NO_PAD.encode(header) }
});

/// The key as it lies in its file: PKCS #8 in PEM.
fn private_key(directory: PathBuf) -> EcdsaKeyPair {
    let mut files =
        std::fs::read_dir(directory).expect("the keys").map(|entry| entry.expect("a file").path());
    let file =
        files.find(|path| path.extension().is_some_and(|found| found == "key")).expect("a private key");
    let text = std::fs::read_to_string(file).expect("PEM");
    let lines: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let bytes = STANDARD.decode(lines).expect("base64");
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes, &SystemRandom::new()).expect("a key")
}

fuzz_target!(|claims: &str| {
    let House { issuer, key, header } = &*HOUSE;
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).expect("a signature");
    if let Ok(token) = issuer.check(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))) {
        let claims: serde_json::Value = serde_json::from_str(claims).expect("it was read before");
        assert_eq!((&claims["iss"], &claims["aud"]), (&"i".into(), &"s".into()));
        let listed = claims["access"].as_array().expect("a list");
        assert!(token.access.len() <= listed.len());
        assert!(token.subject.as_ref().is_none_or(|subject| claims["sub"] == **subject));
    }
});
