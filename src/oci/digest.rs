//! Content digests.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

/// A content digest, such as `sha256:9f86…`, of an algorithm that the OCI image spec registers, with an encoded
/// part of exactly the right length in lower-case hexadecimal. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Arc<str>);

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// No `algorithm:encoded` in it.
    #[error("`{text}` is no digest: it must read `algorithm:encoded`, such as `sha256:` and 64 hexadecimal digits")]
    Form {
        /// The text that was given.
        text: String,
    },
    /// An algorithm that is not registered in the OCI image spec.
    #[error("the digest algorithm `{algorithm}` is not registered: use `sha256`, `sha512` or `sha384`")]
    Algorithm {
        /// The algorithm that was named.
        algorithm: String,
    },
    /// A wrong length, or other characters than `0-9a-f`.
    #[error("a {algorithm} digest has exactly {expected} lower-case hexadecimal digits")]
    Encoded {
        /// The algorithm that was named.
        algorithm: &'static str,
        /// How many digits it needs.
        expected: usize,
    },
}

/// The registered algorithms with the number of hexadecimal digits of each (OCI image spec "Registered algorithms";
/// sha384 is distribution's addition).
const ALGORITHMS: [(&str, usize); 3] = [("sha256", 64), ("sha512", 128), ("sha384", 96)];

impl Digest {
    /// Parses a digest, bytewise and exactly.
    ///
    /// # Errors
    /// When the form, the algorithm or the encoded part is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
        let Some((algorithm, encoded)) = text.split_once(':') else {
            return Err(InvalidDigest::Form { text: text.to_owned() });
        };
        let Some((algorithm, expected)) = ALGORITHMS.into_iter().find(|(name, _)| *name == algorithm) else {
            return Err(InvalidDigest::Algorithm { algorithm: algorithm.to_owned() });
        };
        let is_hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if encoded.len() != expected || !encoded.bytes().all(is_hexadecimal) {
            return Err(InvalidDigest::Encoded { algorithm, expected });
        }
        Ok(Self(text.into()))
    }

    /// The SHA-256 digest of these bytes.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex::encode(Sha256::digest(bytes))).into())
    }

    /// Whether these bytes have this digest; `None` for an algorithm that is not computed here (sha384).
    pub fn matches(&self, bytes: &[u8]) -> Option<bool> {
        let computed = match self.algorithm() {
            "sha256" => hex::encode(Sha256::digest(bytes)),
            "sha512" => hex::encode(Sha512::digest(bytes)),
            _ => return None,
        };
        Some(computed == self.encoded())
    }

    /// The part in front of the colon.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// The part behind the colon.
    pub fn encoded(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, encoded)| encoded)
    }

    /// The digest as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

super::text::text_newtype!(Digest, InvalidDigest);
