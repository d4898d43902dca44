//! Encrypts what a store keeps of keys, where the operator gives a secret for it: who reads the database or its backups then has
//! none of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::KeyRingError;
use super::signing::KeyError;

/// What the key is for: other uses of the same secret would get other keys.
const PURPOSE: &[u8] = b"portreeve keys in a store, 1";

/// What is kept in the place of keys.
#[derive(Serialize, Deserialize)]
struct Sealed {
    /// A nonce, what was encrypted, and its tag, in base64.
    sealed: String,
}

/// Encrypts what is kept, and decrypts it again. Every door with the same secret reads what the others have written.
pub(super) struct Sealing {
    key: LessSafeKey,
    random: SystemRandom,
}

impl Sealing {
    /// By a secret, which nobody must be able to guess.
    pub(super) fn new(secret: &SecretString) -> Result<Self, KeyRingError> {
        let extracted =
            hkdf::Salt::new(hkdf::HKDF_SHA256, PURPOSE).extract(secret.expose_secret().as_bytes());
        let material = extracted.expand(&[PURPOSE], &AES_256_GCM).map_err(unable)?;
        Ok(Self { key: LessSafeKey::new(UnboundKey::from(material)), random: SystemRandom::new() })
    }

    /// What is kept of this document.
    pub(super) fn seal(&self, mut document: Vec<u8>) -> Result<Vec<u8>, KeyRingError> {
        // Not known before, and never used again: keys are written seldom.
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(unable)?;
        let (unique, bound) = (Nonce::assume_unique_for_key(nonce), Aad::from(PURPOSE));
        let tag = self.key.seal_in_place_separate_tag(unique, bound, &mut document).map_err(unable)?;
        let sealed = STANDARD.encode([nonce.as_slice(), &document, tag.as_ref()].concat());
        serde_json::to_vec(&Sealed { sealed }).map_err(unable)
    }

    /// The document that this was made of; nothing if it was made by another secret.
    fn open(&self, sealed: &Sealed) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(&sealed.sealed).ok()?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let (unique, mut text) = (Nonce::assume_unique_for_key(*nonce), text.to_vec());
        let opened = self.key.open_in_place(unique, Aad::from(PURPOSE), &mut text).ok()?;
        Some(opened.to_vec())
    }
}

/// The document that is kept so, and whether it was encrypted. One that is not is read with a secret as well: the next that is
/// written is encrypted.
pub(super) fn opened(sealing: Option<&Sealing>, kept: Vec<u8>) -> Result<(Vec<u8>, bool), KeyRingError> {
    match (serde_json::from_slice::<Sealed>(&kept), sealing) {
        (Err(_), _) => Ok((kept, false)),
        (Ok(_), None) => Err(KeyRingError::Sealed),
        (Ok(sealed), Some(sealing)) => {
            sealing.open(&sealed).map(|document| (document, true)).ok_or(KeyRingError::SealedOtherwise)
        }
    }
}

fn unable(error: impl std::fmt::Display) -> KeyRingError {
    KeyRingError::Key(KeyError::Make(error.to_string().into()))
}
