//! Fingerprints: what names and credentials are known by in memory, so that neither can be read there, and each takes the
//! same room whatever a client has sent.

use std::io;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

const BYTES: usize = 16;

/// The first 128 bits of an HMAC. Without the key it says nothing, and no second text for it can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Fingerprint([u8; BYTES]);

impl Fingerprint {
    /// As text.
    pub(super) fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// From such a text.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; BYTES];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

/// Takes fingerprints, with a key of this process.
#[derive(Clone)]
pub(super) struct Fingerprints(hmac::Key);

impl Fingerprints {
    /// With a new key.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn new() -> io::Result<Self> {
        let mut secret = [0; 32];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| io::Error::other("the system has no random numbers"))?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    /// That of some texts, which differs from that of any others, and of the same ones that mean something else.
    pub(super) fn of(&self, meaning: &'static str, texts: &[&[u8]]) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.0);
        for text in std::iter::once(meaning.as_bytes()).chain(texts.iter().copied()) {
            // With its length before it: where a text ends must not be in doubt.
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text);
        }
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&context.sign().as_ref()[..BYTES]);
        Fingerprint(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_texts_of_the_same_meaning_have_the_same_fingerprint() {
        let fingerprints = Fingerprints::new().unwrap();
        let of = |meaning, texts: &[&str]| {
            fingerprints.of(meaning, &texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>())
        };
        assert_eq!(of("a", &["b", "c"]), of("a", &["b", "c"]));
        for (meaning, texts) in
            [("a", &["bc", ""][..]), ("a", &["", "bc"]), ("a", &["bc"]), ("b", &["b", "c"])]
        {
            assert_ne!(of("a", &["b", "c"]), of(meaning, texts), "{meaning} {texts:?}");
        }
    }

    #[test]
    fn each_process_has_a_key_of_its_own() {
        let of = || Fingerprints::new().unwrap().of("a", &[b"b"]);
        assert_ne!(of(), of());
    }
}
