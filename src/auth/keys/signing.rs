//! One key: making it, its certificate, and its public part.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ED25519, PKCS_RSA_SHA256,
};
use rsa::pkcs8::EncodePrivateKey;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// How many bits a new RSA key has.
const RSA_BITS: usize = 2048;
/// How many P-256 keys are made at most until one has no leading zero: one in 128 has.
const TRIES: usize = 64;

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256: short, quick, and known to every registry.
    Es256,
    /// Ed25519: quicker still, unknown to distribution 2.8.
    EdDsa,
    /// RSA: long and slow, for what knows nothing else.
    Rs256,
}

impl KeyAlgorithm {
    pub(in crate::auth) const fn jwt(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
            Self::Rs256 => Algorithm::RS256,
        }
    }

    /// As it stands in a JWK (RFC 7518 section 3.1, RFC 8037).
    const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    const fn certificate(self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            Self::Es256 => &PKCS_ECDSA_P256_SHA256,
            Self::EdDsa => &PKCS_ED25519,
            Self::Rs256 => &PKCS_RSA_SHA256,
        }
    }
}

/// Why something cannot be done with a key.
pub(super) type KeyCause = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be made.
    #[error("a key cannot be made: {0}")]
    Make(#[source] KeyCause),
    /// It is no key that tokens can be signed with.
    #[error("{0}")]
    Unusable(#[source] KeyCause),
}

fn failed(cause: impl Into<KeyCause>) -> KeyError {
    KeyError::Make(cause.into())
}

fn unusable(cause: impl Into<KeyCause>) -> KeyError {
    KeyError::Unusable(cause.into())
}

/// The public part of a key.
#[derive(Clone, Debug)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    jwk: Jwk,
    id: String,
    decoding: DecodingKey,
}

/// A key that signs.
pub struct SigningKey {
    private: KeyPair,
    encoding: EncodingKey,
    certificate: Vec<u8>,
    x5c: String,
    public: PublicKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SigningKey").field("id", &self.public.id).finish_non_exhaustive()
    }
}

impl PublicKey {
    /// From a JWK with `alg` and `kid`.
    pub(super) fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let jwk: Jwk = serde_json::from_str(text).map_err(unusable)?;
        let algorithm = match jwk.common.key_algorithm {
            Some(jsonwebtoken::jwk::KeyAlgorithm::ES256) => KeyAlgorithm::Es256,
            Some(jsonwebtoken::jwk::KeyAlgorithm::EdDSA) => KeyAlgorithm::EdDsa,
            Some(jsonwebtoken::jwk::KeyAlgorithm::RS256) => KeyAlgorithm::Rs256,
            _ => return Err(unusable("its `alg` is none of ES256, EdDSA and RS256")),
        };
        let id = jwk.common.key_id.clone().ok_or_else(|| unusable("it has no `kid`"))?;
        let decoding = DecodingKey::from_jwk(&jwk).map_err(unusable)?;
        Ok(Self { algorithm, jwk, id, decoding })
    }

    fn of(algorithm: KeyAlgorithm, private: &KeyPair) -> Result<Self, KeyError> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let raw = private.public_key_raw();
        // The members of the thumbprint, in the order of their names (RFC 7638 section 3.2).
        let mut members = match algorithm {
            KeyAlgorithm::Es256 => {
                let (x, y) = coordinates(raw).ok_or_else(|| unusable("it is no point"))?;
                json!({"crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y)})
            }
            KeyAlgorithm::EdDsa => json!({"crv": "Ed25519", "kty": "OKP", "x": encode(raw)}),
            KeyAlgorithm::Rs256 => {
                let pair = ring::signature::RsaKeyPair::from_pkcs8(private.serialized_der())
                    .map_err(|rejected| unusable(rejected.to_string()))?;
                let parts = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"e": encode(&parts.e), "kty": "RSA", "n": encode(&parts.n)})
            }
        };
        let id = encode(&Sha256::digest(members.to_string()));
        if let Some(members) = members.as_object_mut() {
            members.insert("alg".to_owned(), json!(algorithm.as_str()));
            members.insert("kid".to_owned(), json!(id));
            members.insert("use".to_owned(), json!("sig"));
        }
        Self::from_jwk(&members.to_string())
    }

    /// Its identifier: the thumbprint (RFC 7638), as distribution 3.x computes it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it signs with. A token that names another algorithm is not signed by it.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// As a JSON Web Key.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    pub(in crate::auth) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}

impl SigningKey {
    /// Makes a key, with a certificate for it.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let private = private_key(algorithm)?;
        let certificate = certify(&private)?;
        Self::from_parts(algorithm, private, certificate)
    }

    fn from_parts(algorithm: KeyAlgorithm, private: KeyPair, certificate: Vec<u8>) -> Result<Self, KeyError> {
        let der = private.serialized_der();
        let encoding = match algorithm {
            KeyAlgorithm::Es256 => EncodingKey::from_ec_der(der),
            KeyAlgorithm::EdDsa => EncodingKey::from_ed_der(der),
            KeyAlgorithm::Rs256 => EncodingKey::from_rsa_der(der),
        };
        let public = PublicKey::of(algorithm, &private)?;
        Ok(Self { encoding, x5c: STANDARD.encode(&certificate), certificate, public, private })
    }

    /// From what its files hold.
    pub(super) fn from_files(private: &str, certificate: Vec<u8>) -> Result<Self, KeyError> {
        let private = KeyPair::from_pem(private).map_err(unusable)?;
        let kinds = [KeyAlgorithm::Es256, KeyAlgorithm::EdDsa, KeyAlgorithm::Rs256];
        let algorithm = kinds.into_iter().find(|kind| private.is_compatible(kind.certificate()));
        let algorithm =
            algorithm.ok_or_else(|| unusable("it is a key for none of ES256, EdDSA and RS256"))?;
        Self::from_parts(algorithm, private, certificate)
    }

    /// Its public part.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Its certificate, in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The certificate as a token carries it (RFC 7515 section 4.1.6).
    pub(in crate::auth) fn x5c(&self) -> &str {
        &self.x5c
    }

    pub(in crate::auth) fn encoding(&self) -> &EncodingKey {
        &self.encoding
    }

    /// The private key in PEM. For its file alone.
    pub(super) fn private_pem(&self) -> String {
        self.private.serialize_pem()
    }
}

fn private_key(algorithm: KeyAlgorithm) -> Result<KeyPair, KeyError> {
    match algorithm {
        KeyAlgorithm::Es256 => {
            for _ in 0..TRIES {
                let pair = KeyPair::generate_for(algorithm.certificate()).map_err(failed)?;
                // distribution up to 3.1.1 computes another thumbprint where a coordinate begins with a zero.
                if coordinates(pair.public_key_raw()).is_some_and(|(x, y)| x[0] != 0 && y[0] != 0) {
                    return Ok(pair);
                }
            }
            Err(failed("the system's random numbers are not random"))
        }
        KeyAlgorithm::EdDsa => KeyPair::generate_for(algorithm.certificate()).map_err(failed),
        KeyAlgorithm::Rs256 => {
            let key = rsa::PrivateKey::new(&mut getrandom::SysRng, RSA_BITS).map_err(failed)?;
            let der = key.to_pkcs8_der().map_err(failed)?;
            let der = rustls_pki_types::PrivatePkcs8KeyDer::from(der.as_bytes());
            KeyPair::from_pkcs8_der_and_sign_algo(&der, algorithm.certificate()).map_err(failed)
        }
    }
}

/// X and Y of an uncompressed point on P-256.
fn coordinates(point: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&4, coordinates) = point.split_first()? else { return None };
    (coordinates.len() == 64).then(|| coordinates.split_at(32))
}

/// A certificate that says nothing but which key it is. Registries look at its dates by their own clocks, so it begins long
/// ago and lives long.
fn certify(private: &KeyPair) -> Result<Vec<u8>, KeyError> {
    let mut parameters = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "portreeve token signing");
    parameters.distinguished_name = name;
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2120, 1, 1);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let certificate = parameters.self_signed(private).map_err(failed)?;
    Ok(certificate.der().to_vec())
}
