//! Keys and the secret as a store keeps them, all in one row, so that what belongs together changes together.

use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

use super::file::certificate_pem;
use super::signing::{KeyAlgorithm, KeyError, PublicKey, SigningKey};
use super::{KeyRing, KeyRingError, MOST_OLD};
use crate::clock::Timestamp;

/// What is kept. A secret as a whole.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptKeys {
    /// For marks that hold across restarts and doors, in hexadecimal digits.
    secret: String,
    /// Oldest first; the last one signs.
    keys: Vec<KeptKey>,
    /// What is to sign next.
    next: Option<KeptPair>,
}

/// A key that signs or was replaced.
#[derive(Clone, Serialize, Deserialize)]
struct KeptKey {
    /// Since when it signs, or did.
    since: Timestamp,
    /// A JSON Web Key.
    public: serde_json::Value,
    /// None of a key that was replaced.
    pair: Option<KeptPair>,
}

/// What signs, both in PEM.
#[derive(Clone, Serialize, Deserialize)]
struct KeptPair {
    private: String,
    certificate: String,
}

impl KeptPair {
    fn of(key: &SigningKey) -> Self {
        Self { private: key.private_pem(), certificate: certificate_pem(key.certificate()) }
    }

    fn read(&self) -> Result<SigningKey, KeyRingError> {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes())
            .map_err(|error| KeyRingError::Damaged(error.to_string().into()))?;
        SigningKey::from_files(&self.private, certificate.to_vec()).map_err(damaged)
    }
}

impl KeptKey {
    fn public(&self) -> Result<PublicKey, KeyRingError> {
        PublicKey::from_jwk(&self.public.to_string()).map_err(damaged)
    }
}

fn damaged(error: KeyError) -> KeyRingError {
    KeyRingError::Damaged(error.to_string().into())
}

impl KeptKeys {
    /// A new secret, and no keys.
    pub(super) fn new() -> Result<Self, KeyRingError> {
        let mut secret = [0; 32];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut secret)
            .map_err(|error| KeyError::Make(error.to_string().into()))?;
        Ok(Self { secret: hex::encode(secret), keys: Vec::new(), next: None })
    }

    /// Whether there is a key that signs.
    pub(super) fn has_signing(&self) -> bool {
        self.keys.last().is_some_and(|key| key.pair.is_some())
    }

    /// Whether there is a key that is to sign next.
    pub(super) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// The secret.
    pub(super) fn secret(&self) -> Result<[u8; 32], KeyRingError> {
        let bytes = hex::decode(&self.secret).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| KeyRingError::Damaged("its secret has no 64 hexadecimal digits".into()))
    }

    /// The keys in use, with those that were replaced no longer ago than tokens live.
    pub(super) fn ring(&self, keep: Duration, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        let (newest, older) = self.keys.split_last().ok_or(KeyRingError::NoneInStore)?;
        let signing = newest.pair.as_ref().ok_or(KeyRingError::NoneInStore)?.read()?;
        let next = self.next.as_ref().map(KeptPair::read).transpose()?;
        let (mut replaced, mut replaced_at) = (Vec::new(), newest.since);
        for key in older.iter().rev() {
            if now.since(replaced_at) <= keep {
                replaced.push((key.public()?, replaced_at));
            }
            replaced_at = key.since;
        }
        Ok(KeyRing { signing, next: next.map(|next| next.public().clone()), replaced })
    }

    /// The certificates of the keys that sign now and next, in PEM.
    pub(super) fn certificates(&self) -> Result<String, KeyRingError> {
        let signing = self.keys.last().and_then(|key| key.pair.as_ref()).ok_or(KeyRingError::NoneInStore)?;
        let pairs = std::iter::once(signing).chain(&self.next);
        Ok(pairs.map(|pair| pair.certificate.as_str()).collect())
    }

    /// Makes the key that is to sign next.
    pub(super) fn prepare(&mut self, algorithm: KeyAlgorithm) -> Result<(), KeyRingError> {
        self.next = Some(KeptPair::of(&SigningKey::generate(algorithm)?));
        Ok(())
    }

    /// The prepared key signs from now on, or a new one. The private part of the one before is forgotten, and so is the oldest of
    /// too many whose tokens are over.
    pub(super) fn rotate(
        &mut self,
        algorithm: KeyAlgorithm,
        keep: Duration,
        now: Timestamp,
    ) -> Result<(), KeyRingError> {
        let key = match self.next.take() {
            Some(next) => next.read()?,
            None => SigningKey::generate(algorithm)?,
        };
        for older in &mut self.keys {
            older.pair = None;
        }
        // Two keys of one moment would be one.
        let newest = self.keys.last().map(|newest| newest.since.as_milliseconds() + 1);
        let since = newest.map_or(now, |newest| now.max(Timestamp::from_milliseconds(newest)));
        let public =
            serde_json::to_value(key.public().jwk()).map_err(|error| KeyError::Make(error.into()))?;
        self.keys.push(KeptKey { since, public, pair: Some(KeptPair::of(&key)) });
        // Each was replaced when the one behind it began.
        let replaced = self.keys.windows(2).map(|pair| pair[1].since);
        let over = replaced.take_while(|at| now.since(*at) > keep).count();
        self.keys.drain(..over.saturating_sub(MOST_OLD));
        Ok(())
    }
}
