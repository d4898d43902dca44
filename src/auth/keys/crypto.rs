//! The cryptography beneath `jsonwebtoken`, by the one library that also does TLS: signing and checking with ES256, EdDSA
//! and RS256.

use std::cell::RefCell;
use std::sync::Arc;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
};
use signature::{Signer, Verifier};

/// The provider. Other algorithms than these three are unsupported.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // Only asked to make a JWK out of a private key, which the door does itself.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes `jsonwebtoken` use it. Only the first call of a process sets it; all set the same.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

enum KeyPair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

struct RingSigner {
    pair: Arc<KeyPair>,
    algorithm: Algorithm,
}

struct RingVerifier {
    key: DecodingKey,
    algorithm: Algorithm,
}

thread_local! {
    /// The last key pair: reading one takes longer than signing with it, and there is hardly ever another.
    static LAST: RefCell<Option<(EncodingKey, Arc<KeyPair>)>> = const { RefCell::new(None) };
}

fn pair(algorithm: Algorithm, key: &EncodingKey) -> Result<Arc<KeyPair>, Error> {
    let known = LAST.with_borrow(|last| {
        let same = last
            .as_ref()
            .filter(|(known, _)| known.family() == key.family() && known.as_bytes() == key.as_bytes());
        same.map(|(_, pair)| Arc::clone(pair))
    });
    if let Some(pair) = known {
        return Ok(pair);
    }
    let der = key.as_bytes();
    let unusable = |_| Error::from(ErrorKind::InvalidKeyFormat);
    let pair = match algorithm {
        Algorithm::ES256 => {
            let random = SystemRandom::new();
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
                .map(KeyPair::Es256)
                .map_err(unusable)?
        }
        Algorithm::EdDSA => {
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(KeyPair::EdDsa).map_err(unusable)?
        }
        Algorithm::RS256 => RsaKeyPair::from_pkcs8(der).map(KeyPair::Rs256).map_err(unusable)?,
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    let pair = Arc::new(pair);
    LAST.set(Some((key.clone(), Arc::clone(&pair))));
    Ok(pair)
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(RingSigner { pair: pair(*algorithm, key)?, algorithm: *algorithm }))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(RingVerifier { key: key.clone(), algorithm: *algorithm }))
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let random = SystemRandom::new();
        match &*self.pair {
            KeyPair::Es256(pair) => {
                let signed = pair.sign(&random, message).map_err(|_| signature::Error::new())?;
                Ok(signed.as_ref().to_vec())
            }
            KeyPair::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            KeyPair::Rs256(pair) => {
                let mut signed = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signed)
                    .map_err(|_| signature::Error::new())?;
                Ok(signed)
            }
        }
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match (self.algorithm, self.key.kind()) {
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signed)
            }
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signed)
            }
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signed)
            }
            _ => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
