//! Tokens for a registry that verifies them itself: made for each request, in the registry's own time.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use moka::sync::Cache;

use super::token::Issuer;
use crate::clock::{Clock, ClockOffset, Sample, Timestamp};
use crate::oci::Access;
use crate::registry::{BackendKey, BearerToken, BearerTokens, TokenError};

/// How many tokens are remembered.
const REMEMBERED: u64 = 10_000;
/// A registry's clock that moved by more than this, in milliseconds, was set: what was made in its old time is made anew.
const SET: u64 = 2_000;
/// Tokens begin so much before the registry's time, in milliseconds: its clock shows whole seconds only.
const EARLY: i64 = -2_000;

/// Makes the tokens.
pub struct RegistryTokens {
    issuer: Arc<Issuer>,
    clock: Clock,
    offset: Arc<ClockOffset>,
    made: Cache<String, Made>,
}

#[derive(Clone)]
struct Made {
    token: BearerToken,
    /// In steady time.
    at: Timestamp,
    /// The identifier of the key that signed it.
    key: String,
}

impl RegistryTokens {
    /// Makes tokens by this issuer, for a registry whose clock is so far off.
    pub fn new(issuer: Arc<Issuer>, clock: Clock, offset: Arc<ClockOffset>) -> Self {
        let half = issuer.settings().ttl / 2;
        let made = Cache::builder().max_capacity(REMEMBERED).time_to_live(half.max(Duration::from_secs(1)));
        Self { issuer, clock, offset, made: made.build() }
    }

    fn offset_of(&self, backend: &str) -> i64 {
        self.offset.estimate(backend, self.steady()).map_or(0, |estimate| estimate.offset)
    }
}

impl BearerTokens for RegistryTokens {
    fn steady(&self) -> Timestamp {
        self.clock.steady()
    }

    fn refused(&self, backend: &BackendKey, token: &BearerToken, sample: Option<Sample>) -> bool {
        if let Some(sample) = sample {
            self.offset.correct(backend.as_str(), sample);
        }
        self.offset_of(backend.as_str()).abs_diff(token.offset) > SET
    }

    /// A token that is good for at least half of `auth.token_ttl`.
    fn token(
        &self,
        backend: &BackendKey,
        subject: Option<&str>,
        access: &[Access],
    ) -> Result<BearerToken, TokenError> {
        let backend = backend.as_str();
        let now = self.steady();
        let offset = self.offset_of(backend);
        let signing = self.issuer.keys().signing().public().id().to_owned();
        let mut name = format!("{backend}\n{}", subject.unwrap_or_default());
        for access in access {
            name.push('\n');
            name.push_str(&access.to_string());
        }
        let half = self.issuer.settings().ttl / 2;
        let is_good = |made: &Made| {
            made.token.offset.abs_diff(offset) <= SET && now.since(made.at) < half && made.key == signing
        };
        if let Some(made) = self.made.get(&name).filter(is_good) {
            return Ok(made.token);
        }
        let issued = self.issuer.issue_at(subject, access, now.shifted(offset).shifted(EARLY));
        let issued = issued.map_err(|error| TokenError(error.into()))?;
        let authorization = HeaderValue::try_from(format!("Bearer {}", issued.token));
        let mut authorization = authorization.map_err(|error| TokenError(error.into()))?;
        authorization.set_sensitive(true);
        let token = BearerToken { authorization, offset };
        self.made.insert(name, Made { token: token.clone(), at: now, key: signing });
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::keys::{KeyAlgorithm, KeyDirectory};
    use crate::auth::token::TokenSettings;
    use crate::registry::Backends;

    struct Fixture {
        _root: tempfile::TempDir,
        keys: KeyDirectory,
        issuer: Arc<Issuer>,
        offset: Arc<ClockOffset>,
        tokens: RegistryTokens,
    }

    fn fixture() -> Fixture {
        let root = tempfile::tempdir().unwrap();
        let keys =
            KeyDirectory::new(root.path().join("keys"), KeyAlgorithm::Es256, Duration::from_secs(1_000));
        let settings = TokenSettings {
            issuer: "issuer".to_owned(),
            service: "service".to_owned(),
            ttl: Duration::from_mins(5),
            leeway: Duration::ZERO,
            carries_certificate: true,
        };
        let issuer = Arc::new(Issuer::new(settings, keys.open(Timestamp::now()).unwrap(), Clock::SYSTEM));
        let offset = Arc::<ClockOffset>::default();
        let tokens = RegistryTokens::new(Arc::clone(&issuer), Clock::SYSTEM, Arc::clone(&offset));
        Fixture { _root: root, keys, issuer, offset, tokens }
    }

    fn backend(name: &str) -> BackendKey {
        Backends::new([format!("http://{name}").parse().unwrap()]).all()[0].key().clone()
    }

    /// What an answer says that comes at once from a clock which is so far ahead.
    fn sample(tokens: &RegistryTokens, ahead: i64) -> Sample {
        let steady = tokens.steady();
        let date = steady.shifted(ahead).as_milliseconds() / 1000 * 1000;
        Sample { sent: steady, received: steady, date: Timestamp::from_milliseconds(date) }
    }

    #[test]
    fn a_refusal_by_another_clock_is_worth_another_token_and_any_other_is_not() {
        let Fixture { tokens, .. } = fixture();
        let token = tokens.token(&backend("one"), None, &[]).unwrap();
        assert!(!tokens.refused(&backend("one"), &token, Some(sample(&tokens, 0))));
        assert!(!tokens.refused(&backend("one"), &token, None), "nothing is known of the clock");
        assert!(tokens.refused(&backend("one"), &token, Some(sample(&tokens, 7_200_000))));
        let corrected = tokens.token(&backend("one"), None, &[]).unwrap();
        assert!(!tokens.refused(&backend("one"), &corrected, Some(sample(&tokens, 7_200_000))));
        // Another request was on its way with an old token meanwhile.
        assert!(tokens.refused(&backend("one"), &token, Some(sample(&tokens, 7_200_000))));
    }

    #[test]
    fn backends_whose_clocks_differ_get_tokens_in_the_time_of_each() {
        let Fixture { tokens, offset, .. } = fixture();
        offset.note(backend("one").as_str(), sample(&tokens, 0));
        offset.note(backend("another").as_str(), sample(&tokens, 3_600_000));
        let (one, another) = (
            tokens.token(&backend("one"), None, &[]).unwrap(),
            tokens.token(&backend("another"), None, &[]).unwrap(),
        );
        assert!(another.offset - one.offset > 3_590_000, "{} {}", one.offset, another.offset);
    }

    #[test]
    fn a_token_that_another_key_has_signed_is_not_used_any_more() {
        let Fixture { tokens, issuer, keys, _root, .. } = fixture();
        let first = tokens.token(&backend("one"), None, &[]).unwrap();
        assert_eq!(tokens.token(&backend("one"), None, &[]).unwrap().authorization, first.authorization);
        issuer.set_keys(keys.rotate(Timestamp::now()).unwrap());
        assert_ne!(tokens.token(&backend("one"), None, &[]).unwrap().authorization, first.authorization);
    }
}
