//! Nothing but what the door has signed is a token.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portreeve::auth::Issuer;
use portreeve_fuzz::gate;

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| gate::issuer().0);

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
