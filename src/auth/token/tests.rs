//! Tests of making and checking tokens.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::auth::keys::{KeyAlgorithm, KeyDirectory};

const TTL: Duration = Duration::from_mins(5);

struct Fixture {
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

fn fixture(algorithm: KeyAlgorithm, leeway: u64) -> Fixture {
    let root = tempfile::tempdir().unwrap();
    let keys = KeyDirectory::new(root.path().join("keys"), algorithm, Duration::from_secs(1_000));
    let issuer = Issuer::new(settings(leeway), keys.open(Timestamp::now()).unwrap(), Clock::SYSTEM);
    Fixture { _root: root, keys, issuer }
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
        let Fixture { issuer, .. } = &fixture(algorithm, 0);
        let issued = issuer.issue(Some("alice"), &wanted(), None).unwrap();
        for _ in 0..2 {
            let token = issuer.check(&issued.token).unwrap();
            assert_eq!((token.subject.as_deref(), &token.access), (Some("alice"), &wanted()));
        }
    }
}

#[test]
fn a_token_has_the_claims_that_registries_want() {
    let Fixture { issuer, .. } = &fixture(KeyAlgorithm::Es256, 0);
    let [header, claims] = parts(&issuer.issue(None, &wanted(), None).unwrap().token);
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
    let Fixture { issuer, .. } = &fixture(KeyAlgorithm::Es256, 60);
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
    let Fixture { issuer, keys, .. } = &fixture(KeyAlgorithm::Es256, 0);
    let token = issuer.issue(None, &wanted(), None).unwrap().token;
    let now = Timestamp::now();
    let other = |settings| Issuer::new(settings, keys.open(now).unwrap(), Clock::SYSTEM);
    assert!(other(settings(0)).check(&token).is_ok());
    for changed in [
        TokenSettings { issuer: "other".to_owned(), ..settings(0) },
        TokenSettings { service: "other".to_owned(), ..settings(0) },
    ] {
        assert_eq!(other(changed).check(&token), Err(InvalidToken::Foreign));
    }
    let stranger = fixture(KeyAlgorithm::Es256, 0);
    assert_eq!(stranger.issuer.check(&token), Err(InvalidToken::Foreign));
}

#[test]
fn k9_a_token_outlives_a_change_of_keys() {
    let Fixture { issuer, keys, .. } = &fixture(KeyAlgorithm::Es256, 0);
    let old = issuer.issue(Some("alice"), &wanted(), None).unwrap().token;
    issuer.set_keys(keys.rotate(Timestamp::now()).unwrap());
    assert!(issuer.check(&old).is_ok());
    let new = issuer.issue(Some("alice"), &wanted(), None).unwrap().token;
    assert_ne!(parts(&old)[0]["kid"], parts(&new)[0]["kid"]);
    assert!(issuer.check(&new).is_ok());
}

#[test]
fn a_key_that_was_replaced_makes_no_new_tokens_and_no_long_ones() {
    let root = tempfile::tempdir().unwrap();
    let keys = KeyDirectory::new(root.path().join("keys"), KeyAlgorithm::Es256, TTL * 10);
    let ago =
        |seconds: u64| Timestamp::from_milliseconds(Timestamp::now().as_milliseconds() - seconds * 1000);
    // A thief has the key.
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
    let Fixture { issuer, .. } = &fixture(KeyAlgorithm::Es256, 0);
    let token = issuer.issue(Some("alice"), &wanted(), None).unwrap().token;
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
    let Fixture { issuer, .. } = &fixture(KeyAlgorithm::Es256, 0);
    let [header, claims] = parts(&issuer.issue(Some("alice"), &wanted(), None).unwrap().token);
    let signed = |header: &Value| {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(&claims));
        let keys = issuer.keys();
        let key = keys.signing();
        let algorithm = key.public().algorithm().jwt();
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key.encoding(), algorithm).unwrap();
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
    let Fixture { issuer, .. } = &fixture(KeyAlgorithm::EdDsa, 0);
    let token = issuer.issue(Some("alice"), &wanted(), None).unwrap().token;
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
        thread_local! { static FIXTURE: Fixture = fixture(KeyAlgorithm::EdDsa, 0); }
        FIXTURE.with(|fixture| assert!(fixture.issuer.check(&text).is_err()));
    }
}
