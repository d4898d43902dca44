//! Access tokens: making and checking them (Docker's "Token Authentication Implementation", RFC 7519).
//!
//! A token is judged by the clock of the door alone, which made it. How the clocks of client and registry stand does not
//! matter.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Header, Validation};
use moka::sync::Cache;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::keys::{KeyRing, SigningKey};
use super::scope::{Access, Claim};
use crate::clock::{Clock, Timestamp};

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
#[error("a token cannot be signed: {0}")]
pub struct SigningFailed(String);

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    nbf: u64,
    iat: u64,
    jti: String,
    access: Vec<Claim>,
    /// The door's own: nobody else reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
}

/// What somebody showed who was given a token, if that can be taken back by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The access token with this identifier.
    AccessToken(String),
    /// The login that is kept under this key.
    Login(String),
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

    /// Makes a token that grants this.
    ///
    /// # Errors
    /// When the cryptography fails.
    pub fn issue(&self, subject: Option<&str>, access: &[Access]) -> Result<Issued, SigningFailed> {
        self.make(subject, access, None, self.clock.now())
    }

    /// The same, for somebody who showed this.
    ///
    /// # Errors
    /// When the cryptography fails.
    pub fn issue_for(
        &self,
        subject: Option<&str>,
        access: &[Access],
        origin: Option<Origin>,
    ) -> Result<Issued, SigningFailed> {
        self.make(subject, access, origin, self.clock.now())
    }

    /// Makes a token in the time of somebody else's clock.
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
            access: access.iter().map(Claim::from).collect(),
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
            access: access.iter().filter_map(Claim::access).collect(),
            id: jti,
            origin,
            made: Timestamp::from_milliseconds(nbf.checked_mul(1000)?),
            expires: Timestamp::from_milliseconds(exp.checked_mul(1000)?),
        };
        // A key is often replaced because somebody else may have it.
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
    jsonwebtoken::encode(&header, claims, key.encoding()).map_err(|error| SigningFailed(error.to_string()))
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
    SystemRandom::new().fill(&mut bytes).map_err(|error| SigningFailed(error.to_string()))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::keys::{KeyAlgorithm, KeyDirectory};

    const TTL: Duration = Duration::from_secs(300);

    struct House {
        _root: tempfile::TempDir,
        keys: KeyDirectory,
        issuer: Issuer,
    }

    fn settings(leeway: u64) -> TokenSettings {
        TokenSettings {
            issuer: "issuer".to_owned(),
            service: "service".to_owned(),
            ttl: TTL,
            leeway: Duration::from_secs(leeway),
            carries_certificate: true,
        }
    }

    fn house(algorithm: KeyAlgorithm, leeway: u64) -> House {
        let root = tempfile::tempdir().unwrap();
        let keys = KeyDirectory::new(root.path().join("keys"), algorithm, Duration::from_secs(1_000));
        let issuer = Issuer::new(settings(leeway), keys.open(Timestamp::now()).unwrap(), Clock::SYSTEM);
        House { _root: root, keys, issuer }
    }

    fn wanted() -> Vec<Access> {
        Access::parse_all(["repository:a/b:pull,push registry:catalog:*"])
    }

    fn parts(token: &str) -> [Value; 2] {
        let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
        [(); 2].map(|()| serde_json::from_slice(&parts.next().unwrap()).unwrap())
    }

    #[test]
    fn a_token_comes_back_as_it_was_made_with_every_algorithm() {
        for algorithm in [KeyAlgorithm::Es256, KeyAlgorithm::EdDsa, KeyAlgorithm::Rs256] {
            let House { issuer, .. } = &house(algorithm, 0);
            let issued = issuer.issue(Some("alice"), &wanted()).unwrap();
            for _ in 0..2 {
                let token = issuer.check(&issued.token).unwrap();
                assert_eq!((token.subject.as_deref(), &token.access), (Some("alice"), &wanted()));
            }
        }
    }

    #[test]
    fn a_token_has_the_claims_that_registries_want() {
        let House { issuer, .. } = &house(KeyAlgorithm::Es256, 0);
        let [header, claims] = parts(&issuer.issue(None, &wanted()).unwrap().token);
        assert_eq!((&header["alg"], header["x5c"].as_array().unwrap().len()), (&json!("ES256"), 1));
        assert_eq!(header["kid"], *issuer.keys().signing().public().id());
        assert_eq!(claims["aud"], "service", "one string: distribution 2.8 takes no list");
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("issuer"), &json!("")));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), TTL.as_secs());
        assert_eq!(claims["nbf"], claims["iat"]);
        let first = json!({"type": "repository", "name": "a/b", "actions": ["pull", "push"]});
        let second = json!({"type": "registry", "name": "catalog", "actions": ["*"]});
        assert_eq!(claims["access"], json!([first, second]));
    }

    #[test]
    fn a_token_is_good_within_its_time_and_the_leeway_and_no_longer() {
        let House { issuer, .. } = &house(KeyAlgorithm::Es256, 60);
        let check = |seconds_ago: i64| {
            let made = Timestamp::now().as_milliseconds().cast_signed() - seconds_ago * 1000;
            let made = Timestamp::from_milliseconds(made.cast_unsigned());
            issuer.check(&issuer.issue_at(None, &[], made).unwrap().token)
        };
        for good in [0, 100, 299, 355, -55] {
            assert!(check(good).is_ok(), "{good}");
        }
        assert!(matches!(check(365), Err(InvalidToken::Expired(_))));
        assert_eq!(check(-65), Err(InvalidToken::NotYet));
    }

    #[test]
    fn a_token_that_was_good_once_expires_all_the_same() {
        let root = tempfile::tempdir().unwrap();
        let keys = KeyDirectory::new(root.path().join("keys"), KeyAlgorithm::EdDsa, TTL);
        let issuer = Issuer::new(settings(0), keys.open(Timestamp::now()).unwrap(), Clock::SYSTEM);
        let made = Timestamp::from_milliseconds(Timestamp::now().as_milliseconds() - 200_000);
        let token = issuer.issue_at(None, &[], made).unwrap().token;
        let known = issuer.check(&token).unwrap();
        let later = Timestamp::from_milliseconds(known.expires.as_milliseconds() + 1);
        assert!(issuer.good.contains_key(token.as_str()));
        assert!(matches!(issuer.in_time(known, later), Err(InvalidToken::Expired(_))));
    }

    #[test]
    fn another_issuer_service_or_key_is_foreign() {
        let House { issuer, keys, .. } = &house(KeyAlgorithm::Es256, 0);
        let token = issuer.issue(None, &wanted()).unwrap().token;
        let now = Timestamp::now();
        let other = |settings| Issuer::new(settings, keys.open(now).unwrap(), Clock::SYSTEM);
        assert!(other(settings(0)).check(&token).is_ok());
        for changed in [
            TokenSettings { issuer: "other".to_owned(), ..settings(0) },
            TokenSettings { service: "other".to_owned(), ..settings(0) },
        ] {
            assert_eq!(other(changed).check(&token), Err(InvalidToken::Foreign));
        }
        let stranger = house(KeyAlgorithm::Es256, 0);
        assert_eq!(stranger.issuer.check(&token), Err(InvalidToken::Foreign));
    }

    #[test]
    fn k9_a_token_outlives_a_change_of_keys() {
        let House { issuer, keys, .. } = &house(KeyAlgorithm::Es256, 0);
        let old = issuer.issue(Some("alice"), &wanted()).unwrap().token;
        issuer.set_keys(keys.rotate(Timestamp::now()).unwrap());
        assert!(issuer.check(&old).is_ok());
        let new = issuer.issue(Some("alice"), &wanted()).unwrap().token;
        assert_ne!(parts(&old)[0]["kid"], parts(&new)[0]["kid"]);
        assert!(issuer.check(&new).is_ok());
    }

    #[test]
    fn a_key_that_was_replaced_makes_no_new_tokens_and_no_long_ones() {
        let root = tempfile::tempdir().unwrap();
        let keys = KeyDirectory::new(root.path().join("keys"), KeyAlgorithm::Es256, TTL * 10);
        let ago =
            |seconds: u64| Timestamp::from_milliseconds(Timestamp::now().as_milliseconds() - seconds * 1000);
        // Somebody else has the key.
        let [issuer, thief] =
            [(); 2].map(|()| Issuer::new(settings(0), keys.open(ago(1_000)).unwrap(), Clock::SYSTEM));
        issuer.set_keys(keys.rotate(ago(200)).unwrap());
        let old = thief.issue_at(Some("alice"), &[], ago(250)).unwrap().token;
        let new = thief.issue_at(Some("alice"), &[], ago(50)).unwrap().token;
        assert!(issuer.check(&old).is_ok());
        assert_eq!(issuer.check(&new), Err(InvalidToken::Foreign));
        let greedy = TokenSettings { ttl: TTL * 1000, ..settings(0) };
        let greedy = Issuer { settings: greedy, ..thief };
        let long = greedy.issue_at(Some("alice"), &[], ago(250)).unwrap().token;
        assert_eq!(issuer.check(&long), Err(InvalidToken::Foreign));
    }

    #[test]
    fn the_algorithm_is_the_keys_whatever_the_token_says() {
        let House { issuer, .. } = &house(KeyAlgorithm::Es256, 0);
        let token = issuer.issue(Some("alice"), &wanted()).unwrap().token;
        let [mut header, claims] = parts(&token);
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        for algorithm in ["none", "HS256", "RS256", "EdDSA", "ES384"] {
            header["alg"] = json!(algorithm);
            let message = format!("{}.{}", encode(&header), encode(&claims));
            // As one would who takes the public key for a secret.
            let public = serde_json::to_vec(issuer.keys().signing().public().jwk()).unwrap();
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &public);
            let forged = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, message.as_bytes()));
            let signature = token.rsplit('.').next().unwrap();
            for signature in ["", signature, &forged] {
                let forged = format!("{message}.{signature}");
                assert_eq!(issuer.check(&forged), Err(InvalidToken::Foreign), "{algorithm}");
            }
        }
    }

    #[test]
    fn a_token_with_extensions_that_are_not_understood_is_refused_although_its_signature_is_right() {
        let House { issuer, .. } = &house(KeyAlgorithm::Es256, 0);
        let [header, claims] = parts(&issuer.issue(Some("alice"), &wanted()).unwrap().token);
        let signed = |header: &Value| {
            let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let message = format!("{}.{}", encode(header), encode(&claims));
            let keys = issuer.keys();
            let key = keys.signing();
            let algorithm = key.public().algorithm().jwt();
            let signature =
                jsonwebtoken::crypto::sign(message.as_bytes(), key.encoding(), algorithm).unwrap();
            format!("{message}.{signature}")
        };
        assert!(issuer.check(&signed(&header)).is_ok());
        for critical in [json!(["b64"]), json!(["exp"]), json!([]), json!(null), json!("b64"), json!(false)] {
            let mut header = header.clone();
            header["crit"] = critical.clone();
            assert_eq!(issuer.check(&signed(&header)), Err(InvalidToken::Foreign), "{critical}");
        }
        // What is no extension that has to be understood is of no interest (RFC 7519 section 5).
        let mut header = header;
        header["x"] = json!(1);
        assert!(issuer.check(&signed(&header)).is_ok());
    }

    #[test]
    fn no_single_byte_of_a_token_can_be_changed() {
        let House { issuer, .. } = &house(KeyAlgorithm::EdDsa, 0);
        let token = issuer.issue(Some("alice"), &wanted()).unwrap().token;
        let padding = token.rfind('.').unwrap() + 1..token.len();
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character of base64 may have bits that say nothing; then it is refused as malformed or the same.
            let same = padding.contains(&place) && place + 1 == token.len();
            assert!(issuer.check(&changed).is_err() || same, "{place}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}|[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
            thread_local! { static HOUSE: House = house(KeyAlgorithm::EdDsa, 0); }
            HOUSE.with(|house| assert!(house.issuer.check(&text).is_err()));
        }
    }
}
