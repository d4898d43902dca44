//! Digests in few bytes: as much of each as tells it from all others. What is found by them is looked at whole before it is
//! shown.

use crate::oci::Digest;

/// How many bytes of a digest are kept.
const KEPT: usize = 16;

/// The hexadecimal digits of the shortest digests.
const WHOLE: usize = 64;

/// The algorithms of [`Digest`].
const ALGORITHMS: [&str; 3] = ["sha256", "sha384", "sha512"];

/// The beginning of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct DigestHead {
    algorithm: u8,
    bytes: [u8; KEPT],
}

impl DigestHead {
    /// That of this digest.
    pub(super) fn of(digest: &Digest) -> Self {
        let algorithm = ALGORITHMS.iter().position(|name| *name == digest.algorithm());
        let mut bytes = [0; KEPT];
        // Every digest has more bytes than are kept, all of them hexadecimal.
        let _ = hex::decode_to_slice(&digest.encoded()[..2 * KEPT], &mut bytes);
        Self { algorithm: algorithm.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX), bytes }
    }
}

/// The beginning of digests that are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DigestPrefix {
    /// Any if absent.
    algorithm: Option<u8>,
    encoded: String,
    bytes: [u8; KEPT],
    /// Which bits of the bytes count.
    mask: [u8; KEPT],
}

impl DigestPrefix {
    /// Digests of this algorithm, or of any, whose hexadecimal part begins so; none if no digest does.
    pub(super) fn parse(algorithm: Option<&str>, encoded: &str) -> Option<Self> {
        let is_hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !encoded.bytes().all(is_hexadecimal) {
            return None;
        }
        let algorithm = match algorithm {
            None => None,
            Some(name) => Some(u8::try_from(ALGORITHMS.iter().position(|known| *known == name)?).ok()?),
        };
        let nibble =
            |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
        let (mut bytes, mut mask) = ([0; KEPT], [0; KEPT]);
        for (place, digit) in encoded.bytes().take(2 * KEPT).enumerate() {
            let shift = if place % 2 == 0 { 4 } else { 0 };
            bytes[place / 2] |= nibble(digit) << shift;
            mask[place / 2] |= 0xf << shift;
        }
        Some(Self { algorithm, encoded: encoded.to_owned(), bytes, mask })
    }

    /// Whether a digest with this head may begin so; where the head is longer than the prefix, it does.
    pub(super) fn may_begin(&self, head: DigestHead) -> bool {
        let masked = u128::from_be_bytes(head.bytes) & u128::from_be_bytes(self.mask);
        masked == u128::from_be_bytes(self.bytes)
            && self.algorithm.is_none_or(|algorithm| algorithm == head.algorithm)
    }

    /// Whether a digest begins so.
    pub(super) fn begins(&self, digest: &Digest) -> bool {
        self.may_begin(DigestHead::of(digest)) && digest.encoded().starts_with(&self.encoded)
    }

    /// Whether it may be a whole digest.
    pub(super) const fn is_whole(&self) -> bool {
        self.encoded.len() >= WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_any_length_finds_its_digest_and_no_other() {
        let digest = Digest::sha256(b"one");
        let other = Digest::sha256(b"two");
        for length in 0..=64 {
            let prefix = DigestPrefix::parse(Some("sha256"), &digest.encoded()[..length]).unwrap();
            assert!(prefix.may_begin(DigestHead::of(&digest)) && prefix.begins(&digest), "{length}");
            assert_eq!(prefix.begins(&other), length == 0, "{length}");
            assert_eq!(prefix.is_whole(), length == 64);
            let elsewhere = DigestPrefix::parse(Some("sha512"), &digest.encoded()[..length]).unwrap();
            assert!(!elsewhere.begins(&digest));
        }
        let mut wrong = digest.encoded().to_owned();
        wrong.replace_range(63.., if wrong.ends_with('0') { "1" } else { "0" });
        let prefix = DigestPrefix::parse(None, &wrong).unwrap();
        assert!(prefix.may_begin(DigestHead::of(&digest)), "the head is the same");
        assert!(!prefix.begins(&digest));
    }

    #[test]
    fn what_is_not_hexadecimal_begins_no_digest() {
        for (algorithm, encoded) in
            [(None, "xyz"), (Some("sha256"), "AB"), (Some("md5"), "ab"), (Some(""), "")]
        {
            assert_eq!(DigestPrefix::parse(algorithm, encoded), None);
        }
    }
}
