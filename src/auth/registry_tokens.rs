//! Tokens for a registry that verifies them itself: made for each request, in the registry's own time.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::scope::Access;
use super::sensitive::Sensitive;
use super::token::{Issuer, SigningFailed};
use crate::clock::{Clock, ClockOffset, Timestamp};

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
    token: Sensitive,
    /// By the door's clock.
    at: Timestamp,
    offset: i64,
}

impl RegistryTokens {
    /// Makes tokens by this issuer, for a registry whose clock is so far off.
    pub fn new(issuer: Arc<Issuer>, clock: Clock, offset: Arc<ClockOffset>) -> Self {
        let half = issuer.settings().ttl / 2;
        let made = Cache::builder().max_capacity(REMEMBERED).time_to_live(half.max(Duration::from_secs(1)));
        Self { issuer, clock, offset, made: made.build() }
    }

    /// The registry did not take one: perhaps its clock was set.
    pub fn doubt(&self) {
        self.offset.doubt();
        self.made.invalidate_all();
    }

    /// A token that is good at the registry now, and for at least half of `auth.token_ttl`.
    ///
    /// # Errors
    /// When the cryptography fails.
    pub fn token(&self, subject: Option<&str>, access: &[Access]) -> Result<Sensitive, SigningFailed> {
        let now = self.clock.now();
        let offset = self.offset.estimate(now).map_or(0, |estimate| estimate.offset);
        let mut key = subject.unwrap_or_default().to_owned();
        for access in access {
            key.push('\n');
            key.push_str(&access.to_string());
        }
        let half = self.issuer.settings().ttl / 2;
        let is_good =
            |made: &Made| made.offset.abs_diff(offset) <= SET && now.since(made.at) < half && made.at <= now;
        if let Some(made) = self.made.get(&key).filter(is_good) {
            return Ok(made.token);
        }
        let issued = self.issuer.issue_at(subject, access, now.shifted(offset).shifted(EARLY))?;
        let token = Sensitive::new(&issued.token);
        self.made.insert(key, Made { token: token.clone(), at: now, offset });
        Ok(token)
    }
}
