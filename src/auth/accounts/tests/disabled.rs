//! Users who are disabled, by whatever they come with.

use futures_util::FutureExt as _;

use super::*;
use crate::auth::accounts::disabled::DisabledUsers;
use crate::auth::htpasswd::Htpasswd;

const LIFE: LoginLife = LoginLife { idle: DAY, lifetime: DAY };

/// With who is disabled before all other sources, and a user of a file.
fn guarded() -> Fixture {
    let Fixture { _directory, accounts, .. } = fixture();
    let path = _directory.path().join("htpasswd");
    std::fs::write(&path, format!("filed:{}\n", bcrypt::hash("of-file", 4).unwrap())).unwrap();
    let hashing = Hashing::start(1).unwrap();
    let sources: Vec<Arc<dyn crate::auth::IdentitySource>> = vec![
        Arc::new(DisabledUsers(Arc::clone(&accounts))),
        Arc::new(AccessTokens(Arc::clone(&accounts))),
        Arc::new(Htpasswd::load(path, hashing.clone()).unwrap()),
        Arc::new(StoredUsers::new(Arc::clone(&accounts), hashing.clone())),
    ];
    let authenticator = Authenticator::new(sources, hashing, Duration::ZERO).unwrap();
    Fixture { _directory, accounts, authenticator }
}

async fn set(fixture: &Fixture, user: &str, is_disabled: bool) {
    let command = match is_disabled {
        true => AccountCommand::DisableUser { name: name(user) },
        false => AccountCommand::EnableUser { name: name(user) },
    };
    fixture.accounts.carry_out(command, None).await.unwrap();
}

fn is_disabled<T: std::fmt::Debug>(result: &Result<T, LoginError>) -> bool {
    matches!(result, Err(LoginError::Wrong(LoginFailure::Disabled)))
}

#[tokio::test]
async fn nothing_lets_a_disabled_user_in_until_they_are_enabled_wherever_they_are_known_from() {
    let fixture = guarded();
    fixture.add("alice", "of-store").await.unwrap();
    for (user, password) in [("alice", "of-store"), ("filed", "of-file")] {
        let (_, token) = fixture.token("laptop", Some(user), None).await;
        // What was right a moment ago is remembered.
        fixture.login(user, password).await.unwrap();
        fixture.login(user, &token).await.unwrap();
        let found = fixture.authenticator.find(&name(user)).await.unwrap().unwrap();
        let mut secrets = Vec::new();
        for kind in LoginKind::ALL {
            let login = fixture.accounts.keep_login_of(kind, &found, "s", Device::default());
            secrets.push((kind, login.await.unwrap()));
        }
        set(&fixture, user, true).await;
        for secret in [password, &token] {
            let refused = fixture.login(user, secret).await;
            assert!(is_disabled(&refused), "{user}: {refused:?}");
            assert_eq!(refused.unwrap_err().to_string(), "the user name or the password is wrong");
        }
        assert!(fixture.authenticator.find(&name(user)).await.unwrap().is_none());
        assert!(fixture.authenticator.has_user(&name(user)).await.unwrap(), "they are still there");
        for (kind, secret) in secrets {
            let login = fixture.accounts.find_login(kind, &secret, "s", LIFE).await.unwrap();
            assert_eq!(login.err(), Some(LoginFailure::Revoked), "{kind:?} of {user} goes on");
        }
        set(&fixture, user, false).await;
        fixture.login(user, password).await.unwrap();
        fixture.login(user, &token).await.unwrap();
    }
}

#[tokio::test]
async fn who_is_disabled_is_told_with_since_when_and_stays_so_through_another_password() {
    let fixture = guarded();
    for user in ["a", "b", "c"] {
        fixture.add(user, "password").await.unwrap();
    }
    set(&fixture, "a", true).await;
    set(&fixture, "b", true).await;
    let all = fixture.accounts.disabled_users(PageRequest { after: None, limit: 9 }).await.unwrap().items;
    let names = |shown: &[DisabledShown]| shown.iter().map(|user| user.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&all), ["a", "b"]);
    set(&fixture, "a", true).await;
    let (a, b, c) = (name("a"), name("b"), name("c"));
    assert_eq!(fixture.accounts.disabled_among(&[&a, &c]).await.unwrap(), all[..1], "since then");
    assert_eq!(names(&fixture.accounts.disabled_among(&[&b, &c]).await.unwrap()), ["b"]);
    assert_eq!(fixture.accounts.disabled_among(&[]).await.unwrap(), []);
    let command = AccountCommand::SetPassword { name: a.clone(), hash: quick_hash("second"), present: None };
    fixture.accounts.carry_out(command, None).await.unwrap();
    assert!(is_disabled(&fixture.login("a", "second").await));
    // Another user of the name is another user.
    fixture.accounts.carry_out(AccountCommand::RemoveUser { name: a }, None).await.unwrap();
    fixture.add("a", "third").await.unwrap();
    fixture.login("a", "third").await.unwrap();
}

#[tokio::test]
async fn a_token_of_the_doors_is_known_for_a_disabled_users_from_the_first_moment_and_after_a_restart() {
    let fixture = guarded();
    let is_known = async |accounts: &Accounts, user: &str| accounts.is_token_of_disabled(user).await.unwrap();
    set(&fixture, "before", true).await;
    assert!(is_known(&fixture.accounts, "before").await && !is_known(&fixture.accounts, "after").await);
    set(&fixture, "after", true).await;
    set(&fixture, "before", false).await;
    assert!(!is_known(&fixture.accounts, "before").await && is_known(&fixture.accounts, "after").await);
    let Fixture { accounts, .. } = &fixture;
    let again = Accounts::new(Arc::clone(&accounts.store), Arc::clone(&accounts.journal), Clock::SYSTEM);
    assert!(!is_known(&again, "before").await && is_known(&again, "after").await);
}

#[tokio::test]
async fn a_command_whose_caller_goes_away_is_carried_out_to_its_end() {
    let fixture = fixture();
    let accounts = &fixture.accounts;
    assert!(!accounts.is_token_of_disabled("a").await.unwrap());
    let before = accounts.commands.lock().await;
    let command = AccountCommand::DisableUser { name: name("a") };
    assert!(accounts.carry_out(command, None).now_or_never().is_none(), "another command runs");
    drop(before);
    accounts.finish().await;
    assert!(accounts.is_token_of_disabled("a").await.unwrap(), "the store has it and memory has not");
}

#[tokio::test]
async fn groups_are_set_as_a_whole_and_their_members_are_told() {
    let fixture = fixture();
    for user in ["a", "b"] {
        fixture.add(user, "password").await.unwrap();
    }
    let set = async |user: &str, groups: &[&str]| {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        fixture.accounts.carry_out(AccountCommand::SetGroups { name: name(user), groups }, None).await
    };
    set("a", &["ops", "dev", "ops"]).await.unwrap();
    assert_eq!(fixture.login("a", "password").await.unwrap().groups, ["ops", "dev"], "at once");
    let groups = fixture.accounts.groups().await.unwrap();
    assert_eq!(groups["dev"], [name("a"), name("b")]);
    assert_eq!(groups["ops"], [name("a")]);
    set("a", &[]).await.unwrap();
    assert_eq!(fixture.login("a", "password").await.unwrap().groups, [""; 0]);
    assert!(matches!(set("c", &["ops"]).await, Err(AccountError::NoUser(_))));
    for wrong in ["", "a b", "a,b", "a\n"] {
        assert!(matches!(set("a", &[wrong]).await, Err(AccountError::Invalid(_))), "{wrong:?}");
    }
}
