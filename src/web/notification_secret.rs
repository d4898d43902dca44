//! The secret by which a sender of notifications is known.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// What a sender of notifications has to know. Kept as a hash. Clones are one: they are replaced together.
#[derive(Clone)]
pub struct NotificationSecret(Arc<ArcSwap<[u8; 32]>>);

impl NotificationSecret {
    /// From the secret itself.
    pub fn new(secret: &str) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Sha256::digest(secret).into())))
    }

    /// From now on it is this one.
    pub fn replace(&self, secret: &str) {
        self.0.store(Arc::new(Sha256::digest(secret).into()));
    }

    /// Whether a request carries it. Takes as long for a wrong one as for the right one.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        // Of several it is not known which one counts for the proxy that passed them on.
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let value = value.as_bytes();
        let (scheme, sent) = value.split_at_checked(7).unwrap_or_default();
        let sent: [u8; 32] = Sha256::digest(sent).into();
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(sent.ct_eq(self.0.load().as_ref()))
    }
}

impl std::fmt::Debug for NotificationSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("NotificationSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_secret_opens() {
        let secret = NotificationSecret::new("0123456789abcdef");
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            secret.is_in(&headers)
        };
        assert!(with("Bearer 0123456789abcdef") && with("bearer 0123456789abcdef"));
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Basic 0123456789abcdef", "0123456789abcdef"]
        {
            assert!(!with(wrong), "{wrong}");
        }
        assert!(!secret.is_in(&HeaderMap::new()));
        let mut twice = HeaderMap::new();
        for value in ["Bearer 0123456789abcdef", "Basic YTpi"] {
            twice.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        assert!(!secret.is_in(&twice), "one of two");
    }
}
