//! Access tokens: making and checking them (Docker's "Token Authentication Implementation", RFC 7519).
//!
//! A token is judged by the clock of the door alone, which made it. How the clocks of client and registry stand does not
//! matter.

mod claims;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use self::claims::Origin;
use self::claims::{AccessClaim, Claims};
use super::keys::{KeyRing, SigningKey};
use crate::clock::{Clock, Timestamp};
use crate::oci::Access;
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Header, Validation};
use moka::sync::Cache;
use ring::rand::{SecureRandom, SystemRandom};

/// Longer tokens are not looked at. One with 64 scopes of long names has a quarter of that.
const MAXIMUM_BYTES: usize = 64 * 1024;
/// How many bytes of tokens that were found good are remembered: checking a signature costs fifty microseconds. A common
/// one has two thousand.
const REMEMBERED: u64 = 32 * 1024 * 1024;

/// What tokens are made for.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub service: String,
    /// How long a token is good.
    pub ttl: Duration,
    /// How far the clocks of several doors may be apart.
    pub leeway: Duration,
    /// Whether they carry the certificate of their key (`x5c`). Distribution finds a key by nothing else if they do, and 2.8
    /// knows it by no name that 3.x knows.
    pub carries_certificate: bool,
}

/// Makes and checks tokens.
pub struct Issuer {
    settings: TokenSettings,
    keys: ArcSwap<KeyRing>,
    clock: Clock,
    good: Cache<Box<str>, Arc<Token>>,
}

/// A token that was made.
#[derive(Clone)]
pub struct Issued {
    /// The token itself. A secret.
    pub token: String,
    /// How long it is good.
    pub expires_in: Duration,
}

/// What a token says that the door has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Who was authenticated; none for an anonymous one.
    pub subject: Option<String>,
    /// What it grants.
    pub access: Vec<Access>,
    /// Its own name.
    pub id: String,
    /// The access token or login that it was given for, where it was not a password.
    pub origin: Option<Origin>,
    /// When it was made.
    pub made: Timestamp,
    /// From when on it is no good.
    pub expires: Timestamp,
}

/// Why a token is no good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// It is none of the door's.
    #[error("the token was not made here")]
    Foreign,
    /// Its time is over. The signature is right.
    #[error("the token has expired")]
    Expired(Arc<Token>),
    /// Its time has not come: the door that made it has another clock.
    #[error("the token is not valid yet; the clocks of the doors differ by more than auth.leeway")]
    NotYet,
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SigningFailed {
    /// The key does not sign.
    #[error("a token cannot be signed: {0}")]
    Signature(#[source] jsonwebtoken::errors::Error),
    /// The system has no random numbers for the token's name.
    #[error("a token cannot be named: the system has no random numbers")]
    Random,
}

impl Issuer {
    /// An issuer with these keys.
    pub fn new(settings: TokenSettings, keys: KeyRing, clock: Clock) -> Self {
        // What is remembered of a token is about as long as the token.
        #[expect(clippy::borrowed_box, reason = "so the cache hands it")]
        let weight =
            |token: &Box<str>, _: &Arc<Token>| u32::try_from(token.len() * 2 + 256).unwrap_or(u32::MAX);
        let good = Cache::builder().max_capacity(REMEMBERED).weigher(weight).build();
        Self { settings, keys: ArcSwap::from_pointee(keys), clock, good }
    }

    /// What its tokens are made for.
    pub fn settings(&self) -> &TokenSettings {
        &self.settings
    }

    /// The keys in use.
    pub fn keys(&self) -> Arc<KeyRing> {
        self.keys.load_full()
    }

    /// From now on others. A token that no key is left for is no good any more.
    pub fn set_keys(&self, keys: KeyRing) {
        self.keys.store(Arc::new(keys));
        self.good.invalidate_all();
    }

    /// Makes a token that grants this, for a caller who showed that.
    ///
    /// # Errors
    /// When the cryptography fails.
    pub fn issue(
        &self,
        subject: Option<&str>,
        access: &[Access],
        origin: Option<Origin>,
    ) -> Result<Issued, SigningFailed> {
        self.make(subject, access, origin, self.clock.now())
    }

    /// Makes a token in the time of another clock.
    ///
    /// # Errors
    /// When the cryptography fails.
    pub fn issue_at(
        &self,
        subject: Option<&str>,
        access: &[Access],
        now: Timestamp,
    ) -> Result<Issued, SigningFailed> {
        self.make(subject, access, None, now)
    }

    fn make(
        &self,
        subject: Option<&str>,
        access: &[Access],
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<Issued, SigningFailed> {
        let keys = self.keys.load();
        let TokenSettings { issuer, service, ttl, carries_certificate, .. } = &self.settings;
        let seconds = now.as_milliseconds() / 1000;
        let claims = Claims {
            iss: issuer.clone(),
            sub: subject.unwrap_or_default().to_owned(),
            aud: service.clone(),
            exp: seconds.saturating_add(ttl.as_secs()),
            nbf: seconds,
            iat: seconds,
            jti: new_id()?,
            access: access.iter().map(AccessClaim::from).collect(),
            origin,
        };
        let token = sign(keys.signing(), *carries_certificate, &claims)?;
        Ok(Issued { token, expires_in: *ttl })
    }

    /// What a token says, if it is a good one.
    ///
    /// # Errors
    /// When it was not made here, or not for now.
    pub fn check(&self, token: &str) -> Result<Arc<Token>, InvalidToken> {
        let now = self.clock.now();
        if let Some(known) = self.good.get(token) {
            return self.in_time(known, now);
        }
        let known = Arc::new(self.read(token).ok_or(InvalidToken::Foreign)?);
        let known = self.in_time(known, now)?;
        self.good.insert(token.into(), Arc::clone(&known));
        Ok(known)
    }

    /// How long a token is good from now on; zero once its time is over.
    pub fn time_left(&self, token: &Token) -> Duration {
        token.expires.later_by(self.settings.leeway).since(self.clock.now())
    }

    fn in_time(&self, token: Arc<Token>, now: Timestamp) -> Result<Arc<Token>, InvalidToken> {
        if now >= token.expires.later_by(self.settings.leeway) {
            return Err(InvalidToken::Expired(token));
        }
        if token.made.since(now) > self.settings.leeway {
            return Err(InvalidToken::NotYet);
        }
        Ok(token)
    }

    /// Reads a token whose signature, issuer and audience are right.
    fn read(&self, token: &str) -> Option<Token> {
        if token.len() > MAXIMUM_BYTES {
            return None;
        }
        if has_critical_extensions(token)? {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        let keys = self.keys.load();
        let (key, replaced) = keys.with_id(header.kid.as_deref()?)?;
        // The algorithm is the key's, whatever the token says.
        let mut validation = Validation::new(key.algorithm().jwt());
        validation.set_audience(&[&self.settings.service]);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss"]);
        // Times are looked at by the door's own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let Claims { sub, exp, nbf, jti, access, origin, .. } =
            jsonwebtoken::decode::<Claims>(token, key.decoding(), &validation).ok()?.claims;
        let token = Token {
            subject: (!sub.is_empty()).then_some(sub),
            access: access.iter().filter_map(AccessClaim::access).collect(),
            id: jti,
            origin,
            made: Timestamp::from_milliseconds(nbf.checked_mul(1000)?),
            expires: Timestamp::from_milliseconds(exp.checked_mul(1000)?),
        };
        // A key is often replaced because it may have been stolen.
        let is_of_its_time = replaced.is_none_or(|at| {
            token.made.since(at) <= self.settings.leeway
                && token.expires.since(token.made) <= self.settings.ttl
        });
        is_of_its_time.then_some(token)
    }
}

impl Token {
    /// Whether it grants all of this.
    pub fn grants(&self, wanted: &Access) -> bool {
        self.access.iter().any(|granted| granted.covers(wanted))
    }
}

fn sign(key: &SigningKey, carries_certificate: bool, claims: &Claims) -> Result<String, SigningFailed> {
    let mut header = Header::new(key.public().algorithm().jwt());
    header.kid = Some(key.public().id().to_owned());
    header.x5c = carries_certificate.then(|| vec![key.x5c().to_owned()]);
    jsonwebtoken::encode(&header, claims, key.encoding()).map_err(SigningFailed::Signature)
}

/// Whether a token's header names extensions that it must not be read without (`crit`, RFC 7515 section 4.1.11). None is
/// known here. None for what has no header.
fn has_critical_extensions(token: &str) -> Option<bool> {
    let (header, _) = token.split_once('.')?;
    let header: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    Some(header.contains_key("crit"))
}

fn new_id() -> Result<String, SigningFailed> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|ring::error::Unspecified| SigningFailed::Random)?;
    Ok(hex::encode(bytes))
}
