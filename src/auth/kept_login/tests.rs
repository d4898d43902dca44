//! Passwords that count no more when the login is kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::auth::{
    AccountCommand, Accounts, Authenticator, Credentials, GateParts, Hashing, Issuer, Journal, KeyAlgorithm,
    KeyDirectory, LoginLife, LoginShown, Logins, Policy, Presence, StoredUsers, TokenSettings, UploadMarks,
    UserName, hash,
};
use crate::clock::{Clock, Timestamp};
use crate::store::MemoryStore;

const HOUR: Duration = Duration::from_hours(1);
const FIRST: &str = "first-password";

/// A gate, and the same accounts as somebody else changes them: what is remembered at the gate hears nothing of it.
struct Fixture {
    _directory: tempfile::TempDir,
    store: Arc<MemoryStore>,
    gate: Gate,
    elsewhere: Arc<Accounts>,
}

fn fixture() -> Fixture {
    over(&Arc::default(), Clock::SYSTEM, true)
}

fn over(store: &Arc<MemoryStore>, clock: Clock, has_pages: bool) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let keys = KeyDirectory::new(directory.path().join("keys"), KeyAlgorithm::EdDsa, HOUR);
    let settings = TokenSettings {
        issuer: "i".to_owned(),
        service: "s".to_owned(),
        ttl: HOUR,
        leeway: Duration::ZERO,
        carries_certificate: true,
    };
    let accounts = || Accounts::new(Arc::clone(store) as _, Arc::new(Journal::new(clock, HOUR)), clock);
    let own = Arc::new(accounts());
    let hashing = Hashing::start(1).unwrap();
    let users = Arc::new(StoredUsers::new(Arc::clone(&own), hashing.clone()));
    let life = LoginLife { idle: HOUR, lifetime: HOUR };
    let gate = Gate::new(GateParts {
        authenticator: Authenticator::new(vec![users], hashing, Duration::ZERO).unwrap(),
        issuer: Arc::new(Issuer::new(settings, keys.open(Timestamp::now()).unwrap(), clock)),
        marks: UploadMarks::new(&[7; 32], HOUR),
        clock,
        external: None,
        logins: Logins { accounts: own, life, sessions: life, has_pages },
        policy: Policy::default(),
    });
    Fixture { _directory: directory, store: Arc::clone(store), gate, elsewhere: Arc::new(accounts()) }
}

impl Fixture {
    async fn carry_out(&self, command: AccountCommand) {
        self.elsewhere.carry_out(command, None).await.unwrap();
    }

    async fn add(&self, password: &str) {
        let hash = hash(password).unwrap();
        self.carry_out(AccountCommand::AddUser { name: alice(), hash, groups: Vec::new() }).await;
    }

    async fn prove(&self, password: &str) -> Result<Proven, LoginError> {
        let address = IpAddr::from([192, 0, 2, 1]);
        self.gate.prove(&Credentials::new(alice(), password), address).await
    }

    async fn logins(&self) -> Vec<(LoginKind, LoginShown)> {
        let found = self.gate.authenticator.find(&alice()).await.unwrap().unwrap();
        self.elsewhere.logins_of(&found).await.unwrap()
    }

    async fn sign_in(&self, proven: &Proven) -> Result<SecretString, LoginError> {
        let session = self.gate.begin_session(proven, Device::default(), None).await?;
        Ok(session.expect("by a password"))
    }
}

fn alice() -> UserName {
    UserName::parse("alice").unwrap()
}

#[tokio::test]
async fn a_password_that_was_replaced_begins_no_session_also_where_it_is_remembered() {
    let fixture = fixture();
    fixture.add(FIRST).await;
    let proven = fixture.prove(FIRST).await.unwrap();
    fixture.sign_in(&proven).await.unwrap();
    let second = hash("second-password").unwrap();
    fixture.carry_out(AccountCommand::SetPassword { name: alice(), hash: second, present: None }).await;
    // What was proven before, and what is remembered of it.
    for proven in [proven, fixture.prove(FIRST).await.unwrap()] {
        let refused = fixture.sign_in(&proven).await;
        assert!(matches!(refused, Err(LoginError::Unavailable(SourceError::Changed(_)))), "{refused:?}");
        let refused = fixture.gate.issue_refresh_token(&proven, Device::default()).await;
        assert!(matches!(refused, Err(LoginError::Unavailable(SourceError::Changed(_)))), "{refused:?}");
    }
    assert!(fixture.logins().await.is_empty());
    let proven = fixture.prove("second-password").await.unwrap();
    let session = fixture.sign_in(&proven).await.unwrap();
    assert!(fixture.gate.session(&session, Presence::Attended).await.unwrap().is_some());
}

#[tokio::test]
async fn no_session_counts_at_a_door_without_pages() {
    let fixture = fixture();
    fixture.add(FIRST).await;
    let session = fixture.sign_in(&fixture.prove(FIRST).await.unwrap()).await.unwrap();
    for (has_pages, expected) in [(true, true), (false, false)] {
        let gate = over(&fixture.store, Clock::SYSTEM, has_pages).gate;
        let found = gate.session(&session, Presence::Attended).await.unwrap();
        assert_eq!(found.is_some(), expected, "{has_pages}");
    }
}

#[tokio::test]
async fn what_nobody_attends_to_is_no_use_of_a_session() {
    let fixture = fixture();
    fixture.add(FIRST).await;
    let session = fixture.sign_in(&fixture.prove(FIRST).await.unwrap()).await.unwrap();
    let last_use = async || fixture.logins().await[0].1.last_use;
    let begun = last_use().await;
    let later = over(&fixture.store, Clock::shifted(20 * 60 * 1000), true).gate;
    for (presence, is_use) in [(Presence::Unattended, false), (Presence::Attended, true)] {
        assert!(later.session(&session, presence).await.unwrap().is_some(), "{presence:?}");
        assert_eq!(last_use().await > begun, is_use, "{presence:?}");
    }
}

#[test]
fn a_request_says_whether_somebody_attends_to_it() {
    for (name, value, expected) in [
        ("accept", "text/html", Presence::Attended),
        ("accept", "text/event-stream", Presence::Unattended),
        ("portreeve-unattended", "1", Presence::Unattended),
    ] {
        let headers = http::HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        assert_eq!(Presence::of(&headers), expected, "{name}: {value}");
    }
}
