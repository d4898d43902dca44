//! Passwords that count no more when the login is kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::auth::{
    AccountCommand, Accounts, Authenticator, Credentials, GateParts, Hashing, Issuer, Journal, KeyAlgorithm,
    KeyDirectory, LoginLife, Logins, Policy, StoredUsers, TokenSettings, UploadMarks, UserName, hash,
};
use crate::clock::{Clock, Timestamp};
use crate::store::MemoryStore;

const HOUR: Duration = Duration::from_hours(1);

/// A gate, and the same accounts as somebody else changes them: what is remembered at the gate hears nothing of it.
struct Fixture {
    _directory: tempfile::TempDir,
    gate: Gate,
    elsewhere: Accounts,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let keys = KeyDirectory::new(directory.path().join("keys"), KeyAlgorithm::EdDsa, HOUR);
    let settings = TokenSettings {
        issuer: "i".to_owned(),
        service: "s".to_owned(),
        ttl: HOUR,
        leeway: Duration::ZERO,
        carries_certificate: true,
    };
    let store = Arc::new(MemoryStore::new());
    let journal = || Arc::new(Journal::new(Clock::SYSTEM, HOUR));
    let accounts = Arc::new(Accounts::new(Arc::clone(&store) as _, journal(), Clock::SYSTEM));
    let hashing = Hashing::start(1).unwrap();
    let users = Arc::new(StoredUsers::new(Arc::clone(&accounts), hashing.clone()));
    let life = LoginLife { idle: HOUR, lifetime: HOUR };
    let gate = Gate::new(GateParts {
        authenticator: Authenticator::new(vec![users], hashing, Duration::ZERO).unwrap(),
        issuer: Arc::new(Issuer::new(settings, keys.open(Timestamp::now()).unwrap(), Clock::SYSTEM)),
        marks: UploadMarks::new(&[7; 32], HOUR),
        clock: Clock::SYSTEM,
        external: None,
        logins: Logins { accounts, life, sessions: life },
        policy: Policy::default(),
    });
    Fixture { _directory: directory, gate, elsewhere: Accounts::new(store, journal(), Clock::SYSTEM) }
}

impl Fixture {
    async fn carry_out(&self, command: AccountCommand) {
        self.elsewhere.carry_out(command, None).await.unwrap();
    }

    async fn prove(&self, password: &str) -> Result<Proven, LoginError> {
        let address = IpAddr::from([192, 0, 2, 1]);
        self.gate.prove(&Credentials::new(alice(), password), address).await
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
    let first = hash("first-password").unwrap();
    fixture.carry_out(AccountCommand::AddUser { name: alice(), hash: first, groups: Vec::new() }).await;
    let proven = fixture.prove("first-password").await.unwrap();
    fixture.sign_in(&proven).await.unwrap();
    let second = hash("second-password").unwrap();
    fixture.carry_out(AccountCommand::SetPassword { name: alice(), hash: second }).await;
    // What was proven before, and what is remembered of it.
    for proven in [proven, fixture.prove("first-password").await.unwrap()] {
        let refused = fixture.sign_in(&proven).await;
        assert!(matches!(refused, Err(LoginError::Unavailable(SourceError::Changed(_)))), "{refused:?}");
        let refused = fixture.gate.issue_refresh_token(&proven, Device::default()).await;
        assert!(matches!(refused, Err(LoginError::Unavailable(SourceError::Changed(_)))), "{refused:?}");
    }
    assert!(fixture.elsewhere.logins_of(&alice()).await.unwrap().is_empty());
    let proven = fixture.prove("second-password").await.unwrap();
    let session = fixture.sign_in(&proven).await.unwrap();
    assert!(fixture.gate.session(&session).await.unwrap().is_some());
}
