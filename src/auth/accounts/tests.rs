//! Accounts in a real store.

mod disabled;
mod other_doors;
mod sessions;
mod standing;

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::stored::{StoredToken, StoredUser};
use super::*;
use crate::auth::hashing::{Hashing, StoredHash, Ticket};
use crate::auth::identity::{Credentials, Found, IdentitySource as _};
use crate::auth::subject::Identity;
use crate::auth::{Authenticator, LoginError, LoginFailure, Network, Privilege, Rule, Rules, Subject, Who};
use crate::clock::RetentionClock;
use crate::clock::Timestamp;
use crate::oci::{Action, Actions, RepositoryName};
use crate::store::RedbStore;

const DAY: Duration = Duration::from_hours(24);
const REFRESH: LoginKind = LoginKind::RefreshToken;

struct Fixture {
    _directory: tempfile::TempDir,
    accounts: Arc<Accounts>,
    authenticator: Authenticator,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(RedbStore::open(directory.path().join("store.redb")).unwrap());
    let accounts = Accounts::new(store, Arc::new(Journal::new(Clock::SYSTEM, DAY)), Clock::SYSTEM);
    Fixture::of(directory, accounts)
}

impl Fixture {
    fn of(directory: tempfile::TempDir, accounts: Accounts) -> Self {
        let accounts = Arc::new(accounts);
        let hashing = Hashing::start(1).unwrap();
        let tokens = Arc::new(AccessTokens(Arc::clone(&accounts)));
        let users = Arc::new(StoredUsers::new(Arc::clone(&accounts), hashing.clone()));
        let authenticator = Authenticator::new(vec![tokens, users], hashing, Duration::ZERO).unwrap();
        Self { _directory: directory, accounts, authenticator }
    }
}

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

impl Accounts {
    /// A login of a user whose password is known so, as they stand now.
    async fn keep_login_of(
        &self,
        kind: LoginKind,
        found: &Found,
        service: &str,
        device: Device,
    ) -> Result<SecretString, AccountError> {
        let standing = self.standing_of(&found.identity.name).await?;
        let shown = ShownPassword { proof: found.proof.clone(), standing };
        self.keep_login(kind, &shown, service, device, None).await
    }
}

/// At little cost: what counts is the form.
fn quick_hash(password: &str) -> String {
    use argon2::password_hash::PasswordHasher;
    let parameters = argon2::Params::new(8, 1, 1, None).unwrap();
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters);
    argon2.hash_password(password.as_bytes()).unwrap().to_string()
}

impl Fixture {
    async fn add(&self, user: &str, password: &str) -> Result<AccountAnswer, AccountError> {
        let (name, hash) = (name(user), quick_hash(password));
        self.accounts
            .carry_out(AccountCommand::AddUser { name, hash, groups: vec!["dev".to_owned()] }, None)
            .await
    }

    async fn token(&self, label: &str, user: Option<&str>, expires_in: Option<u64>) -> (String, String) {
        let command = AccountCommand::CreateToken {
            name: name(label),
            user: user.map(name),
            repositories: vec!["team/**".to_owned()],
            actions: vec!["pull".to_owned(), "push".to_owned()],
            expires_in,
        };
        match self.accounts.carry_out(command, None).await.unwrap() {
            AccountAnswer::Created { id, token, .. } => (id, token),
            other => panic!("{other:?}"),
        }
    }

    async fn login(&self, user: &str, password: &str) -> Result<Identity, LoginError> {
        let address = std::net::IpAddr::from([192, 0, 2, 1]);
        let credentials = Credentials::new(name(user), password);
        Ok(self.authenticator.login(&credentials, address).await?.identity.as_ref().clone())
    }
}

#[tokio::test]
async fn users_come_change_and_go() {
    let fixture = fixture();
    fixture.add("alice", "first").await.unwrap();
    assert!(matches!(fixture.add("alice", "other").await, Err(AccountError::Exists(_))));
    assert_eq!(fixture.login("alice", "first").await.unwrap().groups, ["dev"]);
    let command =
        AccountCommand::SetPassword { name: name("alice"), hash: quick_hash("second"), present: None };
    fixture.accounts.carry_out(command, None).await.unwrap();
    assert!(matches!(fixture.login("alice", "first").await, Err(LoginError::Wrong(_))));
    fixture.login("alice", "second").await.unwrap();
    fixture.accounts.carry_out(AccountCommand::RemoveUser { name: name("alice") }, None).await.unwrap();
    assert!(matches!(fixture.login("alice", "second").await, Err(LoginError::Wrong(_))));
    let gone = fixture.accounts.carry_out(AccountCommand::RemoveUser { name: name("alice") }, None).await;
    assert!(matches!(gone, Err(AccountError::NoUser(_))));
}

#[tokio::test]
async fn a_robot_may_do_what_its_token_says_and_a_denial_still_counts() {
    let fixture = fixture();
    let (_, token) = fixture.token("ci", None, None).await;
    let robot = Subject::Known(fixture.login("ci", &token).await.unwrap());
    let denial = Rule {
        who: vec![Who::Everybody],
        repositories: vec!["team/secret".to_owned()],
        actions: Actions::ALL,
        deny: true,
        ..Rule::default()
    };
    let rules = Rules::new(vec![denial]).unwrap();
    let may = |repository| rules.actions(&robot, &RepositoryName::parse(repository).unwrap()).to_string();
    assert_eq!(
        (may("team/app"), may("other"), may("team/secret")),
        ("pull,push".into(), String::new(), String::new())
    );
    assert!(!rules.has(&robot, Privilege::Catalog));
    assert!(fixture.login("somebody", &token).await.is_err());
    assert!(fixture.login("ci", &token[..token.len() - 1]).await.is_err());
}

#[tokio::test]
async fn a_personal_token_is_a_part_of_what_its_owner_may_do() {
    let fixture = fixture();
    fixture.add("alice", "password").await.unwrap();
    let (_, token) = fixture.token("laptop", Some("alice"), None).await;
    let alice = Subject::Known(fixture.login("alice", &token).await.unwrap());
    let rule = |repositories: &str, actions: &[Action]| Rule {
        who: vec![Who::Group("dev".to_owned())],
        repositories: vec![repositories.to_owned()],
        actions: Actions::of(actions),
        catalog: true,
        ..Rule::default()
    };
    let rules = Rules::new(vec![rule("team/*", &[Action::Pull]), rule("other", &[Action::Pull])]).unwrap();
    let may = |repository| rules.actions(&alice, &RepositoryName::parse(repository).unwrap()).to_string();
    assert_eq!((may("team/app"), may("other")), ("pull".to_owned(), String::new()));
    assert!(!rules.has(&alice, Privilege::Catalog));
    fixture.accounts.carry_out(AccountCommand::RemoveUser { name: name("alice") }, None).await.unwrap();
    assert!(fixture.login("alice", &token).await.is_err());
}

#[tokio::test]
async fn a_token_ends_when_it_is_revoked_or_expires() {
    let fixture = fixture();
    let (id, token) = fixture.token("ci", None, Some(1_000)).await;
    fixture.login("ci", &token).await.unwrap();
    fixture.accounts.carry_out(AccountCommand::RevokeToken { id: id.clone() }, None).await.unwrap();
    assert!(fixture.login("ci", &token).await.is_err());
    let again = fixture.accounts.carry_out(AccountCommand::RevokeToken { id }, None).await;
    assert!(matches!(again, Err(AccountError::NoToken(_))));
    let (_, expired) = fixture.token("old", None, Some(0)).await;
    assert!(fixture.login("old", &expired).await.is_err());
}

#[tokio::test]
async fn tokens_are_listed_without_their_secrets_and_with_their_last_use() {
    let fixture = fixture();
    let (id, token) = fixture.token("ci", None, None).await;
    fixture.login("ci", &token).await.unwrap();
    let answer = fixture.accounts.carry_out(AccountCommand::ListTokens { after: None }, None).await.unwrap();
    let shown = serde_json::to_string(&answer).unwrap();
    // The secret may have such a line in it, too.
    let (_, secret) = token.strip_prefix(PREFIX).unwrap().split_once('_').unwrap();
    assert!(shown.contains(&id) && !shown.contains(secret) && !shown.contains(&hash_of(secret)), "{shown}");
    let AccountAnswer::Tokens { access, .. } = answer else { panic!() };
    assert!(access[0].last_use.is_some());
}

#[tokio::test]
async fn what_is_shown_for_debugging_has_no_secret() {
    let fixture = fixture();
    let add = AccountCommand::AddUser { name: name("alice"), hash: quick_hash("x"), groups: vec![] };
    assert!(!format!("{add:?}").contains("argon2"));
    let (id, token) = (String::from("1"), String::from("portreeve_1_secret"));
    let created = AccountAnswer::Created { id, name: name("ci"), token, expires: None };
    assert!(!format!("{created:?}").contains("secret"));
    assert!(fixture.add("alice", "password").await.is_ok());
}

#[tokio::test]
async fn a_robot_and_a_user_never_share_a_name() {
    let fixture = fixture();
    fixture.token("ci", None, None).await;
    assert!(matches!(fixture.add("ci", "password").await, Err(AccountError::Robot(_))));
    fixture.add("alice", "password").await.unwrap();
    let robot = AccountCommand::CreateToken {
        name: name("alice"),
        user: None,
        repositories: vec!["**".to_owned()],
        actions: vec!["*".to_owned()],
        expires_in: None,
    };
    assert!(matches!(fixture.accounts.carry_out(robot, None).await, Err(AccountError::Invalid(_))));
}

#[tokio::test]
async fn a_robot_whose_name_is_a_users_elsewhere_is_not_let_in() {
    let fixture = fixture();
    let (_, token) = fixture.token("ci", None, None).await;
    fixture.login("ci", &token).await.unwrap();
    // As from a file, which the store knows nothing of.
    let user = StoredUser {
        hash: quick_hash("password"),
        groups: vec![],
        created: Timestamp::now(),
        is_superseded: false,
    };
    fixture.accounts.write(AccountKind::User, "ci", &user, Expect::Anything).await.unwrap();
    fixture.accounts.version.fetch_add(1, Ordering::Release);
    assert!(matches!(fixture.login("ci", &token).await, Err(LoginError::Wrong(_))));
}

#[tokio::test]
async fn a_name_that_is_unknown_costs_the_same_hash_as_a_wrong_password() {
    let fixture = fixture();
    let users = StoredUsers::new(Arc::clone(&fixture.accounts), Hashing::start(1).unwrap());
    assert!(users.decoy().await.unwrap().is_none(), "nobody to take for");
    fixture.add("alice", "password").await.unwrap();
    let Some(StoredHash::Argon2(decoy)) = users.decoy().await.unwrap() else { panic!() };
    let made = crate::auth::hash("password").unwrap();
    let parameters = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(parameters(&decoy), parameters(&made));
    let hashing = Hashing::start(1).unwrap();
    let ticket = Ticket::new(Network::of(std::net::IpAddr::from([192, 0, 2, 1])));
    let wrong = SecretString::from("x");
    assert!(!hashing.verify(StoredHash::Argon2(decoy), wrong, &ticket).await.unwrap());
}

#[tokio::test]
async fn nonsense_is_refused_by_name() {
    let fixture = fixture();
    let create = |repositories: &str, actions: &str| AccountCommand::CreateToken {
        name: name("ci"),
        user: None,
        repositories: vec![repositories.to_owned()],
        actions: vec![actions.to_owned()],
        expires_in: None,
    };
    for (command, told) in [(create("Team/**", "pull"), "`Team/**`"), (create("team/**", "read"), "`read`")] {
        let refused = fixture.accounts.carry_out(command, None).await.unwrap_err().to_string();
        assert!(refused.contains(told), "{refused}");
    }
}

#[tokio::test]
async fn a_login_goes_on_by_its_token_for_its_service_and_its_time() {
    let fixture = fixture();
    let found = Found { identity: Identity::new(name("alice"), Vec::new()), proof: "proof".to_owned() };
    let token = fixture.accounts.keep_login_of(REFRESH, &found, "service", Device::default()).await.unwrap();
    let asked = async |service: &str, idle, lifetime| {
        let life = LoginLife { idle, lifetime };
        let login = fixture.accounts.find_login(REFRESH, &token, service, life).await.unwrap();
        login.map(|login| (login.user().clone(), login.proof().to_owned()))
    };
    let known = Ok((name("alice"), "proof".to_owned()));
    assert_eq!(asked("service", DAY, DAY).await, known);
    // Once more: Docker presents the same one again and again.
    assert_eq!(asked("service", DAY, DAY).await, known);
    assert_eq!(asked("other", DAY, DAY).await, Err(LoginFailure::WrongSecret));
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(asked("service", Duration::ZERO, DAY).await, Err(LoginFailure::Expired));
    assert_eq!(asked("service", DAY, DAY).await, known, "a clock that was ahead for a moment ends no login");
}

#[tokio::test]
async fn logins_are_old_by_a_time_that_has_held_and_by_no_other() {
    let fixture = fixture();
    let found = Found { identity: Identity::new(name("alice"), Vec::new()), proof: String::new() };
    fixture.accounts.keep_login_of(REFRESH, &found, "service", Device::default()).await.unwrap();
    let life = LoginLife { idle: DAY, lifetime: DAY };
    let ahead = Clock::shifted(10 * 365 * 24 * 60 * 60 * 1000);
    let leapt = RetentionClock::new(ahead, Some(Timestamp::now()));
    assert_eq!(fixture.accounts.purge_logins(REFRESH, life, &leapt).await.unwrap(), 0);
    let held = RetentionClock::new(ahead, Some(ahead.now()));
    assert_eq!(fixture.accounts.purge_logins(REFRESH, life, &held).await.unwrap(), 1);
}

#[tokio::test]
async fn a_login_that_is_refused_is_not_used() {
    let fixture = fixture();
    let found = Found { identity: Identity::new(name("alice"), Vec::new()), proof: "proof".to_owned() };
    let token = fixture.accounts.keep_login_of(REFRESH, &found, "service", Device::default()).await.unwrap();
    let later = Accounts::new(
        Arc::clone(&fixture.accounts.store),
        Arc::new(Journal::new(Clock::SYSTEM, DAY)),
        Clock::shifted(2 * 60 * 60 * 1000),
    );
    let life = LoginLife { idle: DAY, lifetime: DAY };
    let last_use = async || fixture.accounts.logins().await.unwrap()[0].last_use;
    let before = last_use().await;
    // The caller has yet to see whether the user is known by the same proof.
    let login = later.find_login(REFRESH, &token, "service", life).await.unwrap().unwrap();
    assert_eq!(last_use().await, before);
    later.note_login_use(login).await;
    assert!(last_use().await > before);
}

#[tokio::test]
async fn a_login_that_was_made_while_the_clock_was_ahead_lives_no_longer_than_any_other() {
    let year = 365 * 24 * 60 * 60 * 1000;
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(RedbStore::open(directory.path().join("store.redb")).unwrap());
    let accounts = |clock| Accounts::new(Arc::clone(&store) as _, Arc::new(Journal::new(clock, DAY)), clock);
    let found = Found { identity: Identity::new(name("alice"), Vec::new()), proof: String::new() };
    let token = accounts(Clock::shifted(year))
        .keep_login_of(REFRESH, &found, "service", Device::default())
        .await
        .unwrap();
    let life = LoginLife { idle: DAY, lifetime: DAY };
    let now = accounts(Clock::SYSTEM);
    assert_eq!(now.purge_logins(REFRESH, life, &RetentionClock::new(Clock::SYSTEM, None)).await.unwrap(), 0);
    assert!(now.find_login(REFRESH, &token, "service", life).await.unwrap().is_ok());
    let later = Clock::shifted(2 * 24 * 60 * 60 * 1000);
    assert!(accounts(later).find_login(REFRESH, &token, "service", life).await.unwrap().is_err());
    assert_eq!(
        accounts(later).purge_logins(REFRESH, life, &RetentionClock::new(later, None)).await.unwrap(),
        1
    );
}

#[tokio::test]
async fn a_login_is_ended_by_what_it_is_listed_by() {
    let fixture = fixture();
    let found = Found { identity: Identity::new(name("alice"), Vec::new()), proof: "proof".to_owned() };
    let tokens =
        [(); 2].map(|()| fixture.accounts.keep_login_of(REFRESH, &found, "service", Device::default()));
    let tokens = futures_util::future::join_all(tokens).await.into_iter().map(Result::unwrap);
    let tokens: Vec<_> = tokens.collect();
    let AccountAnswer::Tokens { logins, .. } =
        fixture.accounts.carry_out(AccountCommand::ListTokens { after: None }, None).await.unwrap()
    else {
        panic!()
    };
    let shown = serde_json::to_string(&logins).unwrap();
    assert!(logins.len() == 2 && tokens.iter().all(|token| !shown.contains(token.expose_secret())));
    let end = AccountCommand::RevokeToken { id: logins[0].id.clone() };
    fixture.accounts.carry_out(end.clone(), None).await.unwrap();
    assert!(matches!(fixture.accounts.carry_out(end, None).await, Err(AccountError::NoToken(_))));
    let life = LoginLife { idle: DAY, lifetime: DAY };
    let mut left = 0;
    for token in &tokens {
        left +=
            usize::from(fixture.accounts.find_login(REFRESH, token, "service", life).await.unwrap().is_ok());
    }
    assert_eq!(left, 1);
}

#[tokio::test]
async fn a_user_has_a_hundred_logins_however_many_are_made() {
    let fixture = fixture();
    let found = |user| Found { identity: Identity::new(name(user), Vec::new()), proof: String::new() };
    let (alice, bob) = (found("alice"), found("bob"));
    let bobs = fixture.accounts.keep_login_of(REFRESH, &bob, "service", Device::default()).await.unwrap();
    let first = fixture.accounts.keep_login_of(REFRESH, &alice, "service", Device::default()).await.unwrap();
    let made =
        (0..250).map(|_| fixture.accounts.keep_login_of(REFRESH, &alice, "service", Device::default()));
    let made = futures_util::future::join_all(made).await;
    assert_eq!(fixture.accounts.logins().await.unwrap().len(), 101);
    let life = LoginLife { idle: DAY, lifetime: DAY };
    let goes_on =
        async |token| fixture.accounts.find_login(REFRESH, token, "service", life).await.unwrap().is_ok();
    assert!(goes_on(&bobs).await && !goes_on(&first).await);
    assert!(made.iter().all(Result::is_ok));
    let last = fixture.accounts.keep_login_of(REFRESH, &alice, "service", Device::default()).await.unwrap();
    assert!(goes_on(&last).await);
    assert_eq!(fixture.accounts.logins().await.unwrap().len(), 101);
}

#[tokio::test]
async fn logins_that_were_made_before_a_restart_count_too() {
    let fixture = fixture();
    let found = Found { identity: Identity::new(name("alice"), Vec::new()), proof: String::new() };
    for _ in 0..90 {
        fixture.accounts.keep_login_of(REFRESH, &found, "service", Device::default()).await.unwrap();
    }
    let Fixture { accounts, .. } = &fixture;
    let again = Accounts::new(Arc::clone(&accounts.store), Arc::clone(&accounts.journal), accounts.clock);
    for _ in 0..20 {
        again.keep_login_of(REFRESH, &found, "service", Device::default()).await.unwrap();
    }
    assert_eq!(again.logins().await.unwrap().len(), 100);
}

#[tokio::test]
async fn logins_that_have_ended_make_room() {
    let fixture = fixture();
    let found = Found { identity: Identity::new(name("alice"), Vec::new()), proof: String::new() };
    let accounts = &fixture.accounts;
    let kept = accounts.keep_login_of(REFRESH, &found, "service", Device::default()).await.unwrap();
    for _ in 0..150 {
        let token = accounts.keep_login_of(REFRESH, &found, "service", Device::default()).await.unwrap();
        let listed = accounts.logins().await.unwrap();
        let id = hash_of(token.expose_secret());
        let id = listed.into_iter().map(|login| login.id).find(|shown| id.starts_with(shown)).unwrap();
        accounts.carry_out(AccountCommand::RevokeToken { id }, None).await.unwrap();
    }
    let life = LoginLife { idle: DAY, lifetime: DAY };
    assert!(accounts.find_login(REFRESH, &kept, "service", life).await.unwrap().is_ok());
}

#[tokio::test]
async fn logins_that_are_over_or_too_many_are_removed() {
    let fixture = fixture();
    let found = |user| Found { identity: Identity::new(name(user), Vec::new()), proof: String::new() };
    for number in 0..103 {
        // As another version has made them, or another door.
        let login = accounts_login("alice", fixture.accounts.clock.now());
        let key = hash_of(&number.to_string());
        fixture.accounts.write(AccountKind::RefreshToken, &key, &login, Expect::Absent).await.unwrap();
    }
    let bobs =
        fixture.accounts.keep_login_of(REFRESH, &found("bob"), "service", Device::default()).await.unwrap();
    let life = |idle| LoginLife { idle, lifetime: DAY };
    let clock = RetentionClock::new(Clock::SYSTEM, None);
    assert_eq!(fixture.accounts.purge_logins(REFRESH, life(DAY), &clock).await.unwrap(), 3);
    assert_eq!(fixture.accounts.purge_logins(REFRESH, life(DAY), &clock).await.unwrap(), 0);
    assert!(fixture.accounts.find_login(REFRESH, &bobs, "service", life(DAY)).await.unwrap().is_ok());
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(fixture.accounts.purge_logins(REFRESH, life(Duration::ZERO), &clock).await.unwrap(), 101);
}

fn accounts_login(user: &str, now: Timestamp) -> serde_json::Value {
    serde_json::json!({"user": user, "service": "service", "proof": "", "created": now, "last_use": now})
}

#[tokio::test]
async fn a_list_changes_nothing_that_is_remembered() {
    let fixture = fixture();
    let version = || fixture.accounts.version.load(Ordering::Acquire);
    for list in [AccountCommand::ListUsers { after: None }, AccountCommand::ListTokens { after: None }] {
        fixture.accounts.carry_out(list, None).await.unwrap();
    }
    assert_eq!(version(), 0);
    fixture.token("ci", None, None).await;
    assert_eq!(version(), 1);
}

#[tokio::test]
async fn a_token_that_is_revoked_while_it_is_used_stays_revoked() {
    let fixture = fixture();
    let (id, _) = fixture.token("ci", None, None).await;
    let kept =
        fixture.accounts.read_with_content::<StoredToken>(AccountKind::AccessToken, &id).await.unwrap();
    let (kept, content) = kept.unwrap();
    fixture.accounts.carry_out(AccountCommand::RevokeToken { id: id.clone() }, None).await.unwrap();
    let used = StoredToken { last_use: Some(Timestamp::now()), ..kept.clone() };
    fixture.accounts.note_use(AccountKind::AccessToken, &id, content, &used).await;
    assert!(fixture.accounts.read::<StoredToken>(AccountKind::AccessToken, &id).await.unwrap().is_none());
}

#[tokio::test]
async fn the_last_use_is_noted_also_of_what_another_version_has_written() {
    let fixture = fixture();
    let (id, token) = fixture.token("ci", None, None).await;
    let content = fixture.accounts.store.account(AccountKind::AccessToken, &id).await.unwrap().unwrap();
    // With its fields in another order, and one that this version does not know.
    let text = String::from_utf8(content).unwrap().replacen('{', r#"{ "later": 1, "#, 1);
    let content = Some(text.into_bytes());
    let change = AccountChange {
        kind: AccountKind::AccessToken,
        key: id.clone(),
        content,
        expected: Expect::Anything,
    };
    fixture.accounts.store.change_accounts(vec![change]).await.unwrap();
    fixture.login("ci", &token).await.unwrap();
    let kept: StoredToken = fixture.accounts.read(AccountKind::AccessToken, &id).await.unwrap().unwrap();
    assert!(kept.last_use.is_some());
}

/// Why a login fails, and what its client reads.
async fn refusal(fixture: &Fixture, user: &str, password: &str) -> (LoginFailure, String) {
    match fixture.login(user, password).await {
        Err(error @ LoginError::Wrong(failure)) => (failure, error.to_string()),
        other => panic!("{user}: {other:?}"),
    }
}

#[tokio::test]
async fn it_is_known_why_a_login_fails_and_its_client_always_reads_the_same() {
    let fixture = fixture();
    fixture.add("alice", "password").await.unwrap();
    let (_, good) = fixture.token("ci", None, None).await;
    let (_, expired) = fixture.token("nightly", None, Some(0)).await;
    let (id, revoked) = fixture.token("old", None, None).await;
    fixture.accounts.carry_out(AccountCommand::RevokeToken { id }, None).await.unwrap();
    let (_, ownerless) = fixture.token("laptop", Some("gone"), None).await;
    let mut read = std::collections::BTreeSet::new();
    for (user, password, why) in [
        ("nobody", "password", LoginFailure::UnknownUser),
        ("alice", "wrong", LoginFailure::WrongPassword),
        // Once more, from memory.
        ("alice", "wrong", LoginFailure::WrongPassword),
        ("nobody", "password", LoginFailure::UnknownUser),
        ("alice", "with a \0", LoginFailure::WrongSecret),
        ("somebody", &good, LoginFailure::WrongSecret),
        ("ci", &good[..good.len() - 1], LoginFailure::WrongSecret),
        ("nightly", &expired, LoginFailure::Expired),
        ("nightly", &expired, LoginFailure::Expired),
        ("other", &expired, LoginFailure::WrongSecret),
        ("old", &revoked, LoginFailure::Revoked),
        ("gone", &ownerless, LoginFailure::UnknownUser),
    ] {
        let (failure, words) = refusal(&fixture, user, password).await;
        assert_eq!(failure, why, "{user} {password}");
        read.insert(words);
    }
    assert_eq!(read.len(), 1, "{read:?}");
}

#[tokio::test]
async fn tokens_that_have_ended_are_marked_and_those_of_robots_that_soon_will_are_told() {
    let fixture = fixture();
    for (label, user, days) in [
        ("ended", None, Some(0)),
        ("soon", None, Some(13)),
        ("later", None, Some(15)),
        ("never", None, None),
        ("hers", Some("alice"), Some(1)),
    ] {
        fixture.token(label, user, days.map(|days| days * 24 * 60 * 60)).await;
    }
    let ending = fixture.accounts.robot_tokens_ending_within(14 * DAY).await.unwrap();
    assert_eq!(ending.iter().map(|token| token.label.as_str()).collect::<Vec<_>>(), ["soon"]);
    let listed = fixture.accounts.carry_out(AccountCommand::ListTokens { after: None }, None).await.unwrap();
    let AccountAnswer::Tokens { access, .. } = listed else { panic!("{listed:?}") };
    let marked: Vec<_> = access.iter().filter(|token| token.is_expired).map(|token| &token.label).collect();
    assert_eq!(marked, ["ended"]);
}

#[tokio::test]
async fn lists_of_users_and_tokens_are_told_in_parts() {
    let fixture = fixture();
    let keys: Vec<String> = (0..=ROWS).map(|number| format!("{number:016x}")).collect();
    let user = serde_json::to_vec(&serde_json::json!({"hash": "", "created": fixture.accounts.clock.now()}));
    let login = serde_json::to_vec(&accounts_login("alice", fixture.accounts.clock.now()));
    let (user, login) = (user.unwrap(), login.unwrap());
    let change = |kind, key: &String, content: &Vec<u8>| AccountChange {
        kind,
        key: key.clone(),
        content: Some(content.clone()),
        expected: Expect::Absent,
    };
    let users = keys.iter().map(|key| change(AccountKind::User, key, &user));
    let logins = keys.iter().map(|key| change(AccountKind::RefreshToken, key, &login));
    fixture.accounts.change(users.chain(logins).collect()).await.unwrap();
    let (id, _) = fixture.token("ci", None, None).await;
    let (mut names, mut ids) = (Vec::new(), Vec::new());
    for first in [AccountCommand::ListUsers { after: None }, AccountCommand::ListTokens { after: None }] {
        let mut following = Some(first);
        while let Some(command) = following {
            let answer = fixture.accounts.carry_out(command, None).await.unwrap();
            following = answer.following();
            let before = names.len() + ids.len();
            match answer {
                AccountAnswer::Users { users, .. } => {
                    names.extend(users.into_iter().map(|user| user.name.to_string()));
                }
                AccountAnswer::Tokens { access, logins, .. } => {
                    ids.extend(access.into_iter().map(|token| token.id));
                    ids.extend(logins.into_iter().map(|login| login.id));
                }
                other => panic!("{other:?}"),
            }
            assert!(names.len() + ids.len() - before <= ROWS);
        }
    }
    assert_eq!(names, keys);
    assert_eq!((&ids[0], &ids[1..]), (&id, &keys[..]));
}
