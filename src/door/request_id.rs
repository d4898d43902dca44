//! The identifier of a request, by which a line of the log, an answer and what the registry was asked are found to belong
//! together: `X-Request-Id`.
//!
//! A trusted proxy's is taken, so that all logs on a request's way name it alike. Any other client's is not: two requests would
//! have the same one whenever a client likes.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

/// The header, as it is written in answers.
pub(super) const NAME: &str = "X-Request-Id";
/// The header.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest that is taken from a proxy, in bytes.
const LONGEST: usize = 128;

thread_local! {
    /// What this thread's next identifier is made from: 64 random bits, and a number that grows.
    static NEXT: Cell<(u64, u64)> = {
        let random = RandomState::new();
        Cell::new((random.hash_one("thread"), random.hash_one("number")))
    };
}

/// The identifier of a request. Cheap to clone. No secret: whoever sees one can tell others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Makes one that no other request has: 128 bits in hexadecimal digits.
    pub fn new() -> Self {
        let (thread, number) = NEXT.get();
        NEXT.set((thread, number.wrapping_add(1)));
        let mut text = [0; 32];
        let bits = u128::from(thread) << 64 | u128::from(spread(number));
        // The length fits.
        let _ = hex::encode_to_slice(bits.to_be_bytes(), &mut text);
        // Hexadecimal digits are always a header's value.
        Self(HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("none")))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As a header's value.
    pub fn value(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The one that a proxy sent: one alone, of characters that need no escaping anywhere.
    fn sent(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(X_REQUEST_ID).iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~:/+=@".contains(byte);
        let bytes = value.as_bytes();
        let is_valid = !bytes.is_empty() && bytes.len() <= LONGEST && bytes.iter().all(is_allowed);
        is_valid.then(|| Self(value.clone()))
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

/// Another number for each number, so that two that follow each other do not look alike (the finalizer of SplitMix64).
const fn spread(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Decides which identifier a request has.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestIds {
    trusted_proxies: Arc<[IpNet]>,
}

impl RequestIds {
    /// Takes the identifiers that hosts of these networks send.
    pub(super) fn new(trusted_proxies: &[IpNet]) -> Self {
        Self { trusted_proxies: trusted_proxies.into() }
    }

    /// That of a request with these headers from this end of a connection.
    pub(super) fn of(&self, peer: IpAddr, headers: &HeaderMap) -> RequestId {
        let is_trusted = || self.trusted_proxies.iter().any(|network| network.contains(&peer));
        RequestId::sent(headers).filter(|_| is_trusted()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn with(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_REQUEST_ID, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn identifiers_are_hexadecimal_and_each_is_another_on_every_thread() {
        let make = || (0..1_000).map(|_| RequestId::new().as_str().to_owned()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(make)).collect();
        let all: HashSet<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.len(), 4_000);
        let is_hexadecimal =
            |id: &String| id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        assert!(all.iter().all(is_hexadecimal), "{all:?}");
    }

    #[test]
    fn only_a_trusted_proxys_identifier_is_taken_and_only_a_valid_one() {
        let ids = RequestIds::new(&["10.0.0.0/8".parse().unwrap()]);
        let (proxy, stranger) = (IpAddr::from([10, 1, 2, 3]), IpAddr::from([192, 0, 2, 1]));
        let longest = "x".repeat(LONGEST);
        for id in ["a", "7f3c1d9e-0b7a-4c7e-9d0e-2f6f3a8f5a11", "Root=1-67891233:a/b+c@d~e_f.g", &longest] {
            assert_eq!(ids.of(proxy, &with(&[id])).as_str(), id);
            assert_ne!(ids.of(stranger, &with(&[id])).as_str(), id);
        }
        let too_long = "x".repeat(LONGEST + 1);
        for values in [&["a b"][..], &[""], &["a\"b"], &["a,b"], &["a;b"], &["a", "a"], &[&too_long]] {
            assert_eq!(ids.of(proxy, &with(values)).as_str().len(), 32, "{values:?}");
        }
    }
}
