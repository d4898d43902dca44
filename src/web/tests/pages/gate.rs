//! A door that asks who its callers are.

use std::time::Duration;

use super::*;
use crate::auth::{
    Accounts, Authenticator, Gate, GateParts, Hashing, Identity, Issuer, Journal, KeyAlgorithm, KeyDirectory,
    LoginLife, Logins, Policy, Rule, Rules, Subject, TokenSettings, UploadMarks, UserName, Who as RuleWho,
};
use crate::clock::Clock;
use crate::oci::{Action, Actions};

const HOUR: Duration = Duration::from_hours(1);

pub(super) struct House {
    _directory: tempfile::TempDir,
    pub(super) gate: Arc<Gate>,
}

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Nobody,
    User,
    Administrator,
}

pub(super) fn viewer(gate: &Arc<Gate>, who: Who) -> Viewer {
    match who {
        Who::Nobody => Viewer::SignedIn(Arc::clone(gate), Subject::Anonymous),
        Who::User => named(gate, "alice"),
        Who::Administrator => named(gate, "root"),
    }
}

pub(super) fn named(gate: &Arc<Gate>, name: &str) -> Viewer {
    let identity = Identity::new(UserName::parse(name).unwrap(), Vec::new());
    Viewer::SignedIn(Arc::clone(gate), Subject::Known(identity))
}

/// At which `alice` may pull from `team/**`, and `root` administers.
pub(super) fn house(store: &Arc<MemoryStore>) -> House {
    let mut administer = rule(RuleWho::User("root".to_owned()), "**");
    administer.admin = true;
    house_with(store, vec![rule(RuleWho::User("alice".to_owned()), "team/**"), administer])
}

/// Everybody may pull from `team/**`.
pub(super) fn public_rules() -> Vec<Rule> {
    vec![rule(RuleWho::Anonymous, "team/**")]
}

fn rule(who: RuleWho, repositories: &str) -> Rule {
    Rule {
        who: vec![who],
        repositories: vec![repositories.to_owned()],
        actions: Actions::of(&[Action::Pull]),
        catalog: false,
        admin: false,
        deny: false,
    }
}

pub(super) fn house_with(store: &Arc<MemoryStore>, rules: Vec<Rule>) -> House {
    let directory = tempfile::tempdir().unwrap();
    let keys = KeyDirectory::new(directory.path().join("keys"), KeyAlgorithm::EdDsa, HOUR);
    let settings = TokenSettings {
        issuer: "i".to_owned(),
        service: "s".to_owned(),
        ttl: HOUR,
        leeway: Duration::ZERO,
        carries_certificate: true,
    };
    let issuer = Issuer::new(settings, keys.open(Timestamp::now()).unwrap(), Clock::SYSTEM);
    let hashing = Hashing::start(1).unwrap();
    let authenticator = Authenticator::new(Vec::new(), hashing, Duration::ZERO).unwrap();
    let journal = Arc::new(Journal::new(Clock::SYSTEM, HOUR));
    let accounts = Arc::new(Accounts::new(Arc::clone(store) as _, journal, Clock::SYSTEM));
    let gate = Arc::new(Gate::new(GateParts {
        authenticator,
        issuer: Arc::new(issuer),
        marks: UploadMarks::new(&[7; 32], HOUR),
        clock: Clock::SYSTEM,
        external: None,
        logins: Logins {
            accounts,
            life: LoginLife { idle: HOUR, lifetime: HOUR },
            sessions: LoginLife { idle: HOUR, lifetime: HOUR },
            has_pages: true,
        },
        policy: Policy { rules: Rules::new(rules).unwrap(), ..Policy::default() },
    }));
    House { _directory: directory, gate }
}
