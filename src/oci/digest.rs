//! Content digests.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

use super::text::excerpt;

/// A content digest, such as `sha256:9f86…`, of an algorithm that the OCI image spec registers, with an encoded
/// part of exactly the right length in lower-case hexadecimal. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Arc<str>);

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// No `algorithm:encoded` in it.
    #[error(
        "`{text}` is no digest: it must read `algorithm:encoded`, such as `sha256:` and 64 hexadecimal digits"
    )]
    Form {
        /// The beginning of the text that was given.
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
/// sha384 is distribution's addition). Not blake3, though newer drafts have it: distribution takes a reference of an
/// algorithm that it does not know for a tag, and the door must not read it as a digest.
const ALGORITHMS: [(&str, usize); 3] = [("sha256", 64), ("sha512", 128), ("sha384", 96)];

impl Digest {
    /// Parses a digest, bytewise and exactly.
    ///
    /// # Errors
    /// When the form, the algorithm or the encoded part is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
        let Some((algorithm, encoded)) = text.split_once(':') else {
            return Err(InvalidDigest::Form { text: excerpt(text) });
        };
        let Some((algorithm, expected)) = ALGORITHMS.into_iter().find(|(name, _)| *name == algorithm) else {
            return Err(InvalidDigest::Algorithm { algorithm: excerpt(algorithm) });
        };
        let is_hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if encoded.len() != expected || !encoded.bytes().fold(true, |all, byte| all & is_hexadecimal(byte)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest of no bytes, as `sha256sum` prints it.
    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_falls_into_its_parts() {
        let digest = Digest::parse(EMPTY).unwrap();
        assert_eq!((digest.algorithm(), digest.encoded()), ("sha256", &EMPTY[7..]));
        assert_eq!(digest, Digest::sha256(b""));
    }

    #[test]
    fn bytes_match_their_own_digest_only() {
        let sha256 = Digest::sha256(b"x");
        let sha512 = Digest::parse(&format!("sha512:{}", hex::encode(Sha512::digest(b"x")))).unwrap();
        let sha384 = Digest::parse(&format!("sha384:{}", "0".repeat(96))).unwrap();
        assert_eq!((sha256.matches(b"x"), sha256.matches(b"y")), (Some(true), Some(false)));
        assert_eq!((sha512.matches(b"x"), sha512.matches(b"y")), (Some(true), Some(false)));
        assert_eq!(sha384.matches(b"x"), None);
    }

    #[test]
    fn what_is_wrong_with_a_digest_is_said() {
        let form = |text: &str| Err(InvalidDigest::Form { text: text.to_owned() });
        let algorithm = |text: &str| Err(InvalidDigest::Algorithm { algorithm: text.to_owned() });
        let encoded = |algorithm, expected| Err(InvalidDigest::Encoded { algorithm, expected });
        assert_eq!(Digest::parse(""), form(""));
        assert_eq!(Digest::parse("latest"), form("latest"));
        assert_eq!(Digest::parse("md5:d41d8cd98f00b204e9800998ecf8427e"), algorithm("md5"));
        assert_eq!(Digest::parse(&format!("blake3:{}", "0".repeat(64))), algorithm("blake3"));
        assert_eq!(Digest::parse(&format!("SHA256:{}", "0".repeat(64))), algorithm("SHA256"));
        assert_eq!(Digest::parse(":"), algorithm(""));
        for (name, length) in [("sha256", 64), ("sha384", 96), ("sha512", 128)] {
            let digest =
                |digit: &str, length: usize| Digest::parse(&format!("{name}:{}", digit.repeat(length)));
            assert!(digest("a", length).is_ok());
            assert_eq!(digest("a", length - 1), encoded(name, length));
            assert_eq!(digest("a", length + 1), encoded(name, length));
            assert_eq!(digest("A", length), encoded(name, length));
            assert_eq!(digest(":", length), encoded(name, length));
        }
        let long = Digest::parse(&"x".repeat(1 << 20)).unwrap_err();
        assert!(long.to_string().len() < 300, "{long}");
    }
}
