//! Two doors over one store: what is done at one of them, and what the other makes of it.

use super::*;
use crate::store::{Accounts as _, MemoryStore};

const LIFE: LoginLife = LoginLife { idle: DAY, lifetime: DAY };

fn door(store: &Arc<MemoryStore>) -> Fixture {
    let journal = Arc::new(Journal::new(Clock::SYSTEM, DAY));
    let accounts = Accounts::new(Arc::clone(store) as _, journal, Clock::SYSTEM).shared(true);
    Fixture::of(tempfile::tempdir().unwrap(), accounts)
}

fn doors() -> (Fixture, Fixture, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::default());
    (door(&store), door(&store), store)
}

async fn carry(door: &Fixture, command: AccountCommand) {
    door.accounts.carry_out(command, None).await.unwrap();
}

async fn keep(door: &Fixture, kind: LoginKind, user: &str) -> SecretString {
    let found = door.authenticator.find(&name(user)).await.unwrap().unwrap();
    door.accounts.keep_login_of(kind, &found, "s", Device::default()).await.unwrap()
}

async fn goes_on(door: &Fixture, kind: LoginKind, login: &SecretString) -> bool {
    door.accounts.find_login(kind, login, "s", LIFE).await.unwrap().is_ok()
}

#[tokio::test]
async fn users_and_tokens_that_one_door_removes_are_gone_at_the_other_with_its_next_look() {
    let (here, there, _) = doors();
    here.add("alice", "of-alice").await.unwrap();
    let (id, robots) = here.token("robot", None, None).await;
    there.accounts.heed_other_doors().await.unwrap();
    there.login("alice", "of-alice").await.unwrap();
    there.login("robot", &robots).await.unwrap();
    carry(&here, AccountCommand::RemoveUser { name: name("alice") }).await;
    carry(&here, AccountCommand::RevokeToken { id }).await;
    there.accounts.heed_other_doors().await.unwrap();
    for (user, secret) in [("alice", "of-alice"), ("robot", robots.as_str())] {
        assert!(matches!(there.login(user, secret).await, Err(LoginError::Wrong(_))), "{user}");
    }
}

#[tokio::test]
async fn whom_one_door_disables_the_other_lets_do_nothing_by_tokens_either() {
    let (here, there, _) = doors();
    here.add("alice", "of-alice").await.unwrap();
    for is_disabled in [false, true, false] {
        let command = match is_disabled {
            true => AccountCommand::DisableUser { name: name("alice") },
            false => AccountCommand::EnableUser { name: name("alice") },
        };
        carry(&here, command).await;
        there.accounts.heed_other_doors().await.unwrap();
        assert_eq!(there.accounts.is_token_of_disabled("alice").await.unwrap(), is_disabled);
    }
}

#[tokio::test]
async fn all_logins_of_a_user_are_those_of_every_door() {
    let (here, there, _) = doors();
    here.add("alice", "of-alice").await.unwrap();
    here.add("bob", "of-bob").await.unwrap();
    for kind in LoginKind::ALL {
        // From here on it is known here which there are.
        let first = keep(&here, kind, "alice").await;
        let (second, of_another) = (keep(&there, kind, "alice").await, keep(&there, kind, "bob").await);
        let found = here.authenticator.find(&name("alice")).await.unwrap().unwrap();
        let listed = here.accounts.logins_of(&found).await.unwrap();
        assert_eq!(listed.iter().filter(|(of, _)| *of == kind).count(), 2, "{listed:?}");
        carry(&here, AccountCommand::EndLogins { user: name("alice") }).await;
        assert!(!goes_on(&there, kind, &first).await && !goes_on(&there, kind, &second).await);
        assert!(goes_on(&there, kind, &of_another).await);
    }
}

#[tokio::test]
async fn what_was_done_at_any_door_is_another_version_everywhere_and_mere_use_is_not() {
    let (here, there, store) = doors();
    let heeded = async |door: &Fixture| {
        let before = door.accounts.version();
        door.accounts.heed_other_doors().await.unwrap();
        door.accounts.version() != before
    };
    assert!(!heeded(&there).await);
    here.add("alice", "of-alice").await.unwrap();
    assert!(heeded(&there).await && !heeded(&there).await);
    let (_, token) = here.token("laptop", Some("alice"), None).await;
    assert!(heeded(&there).await);
    // Its first use is written down, and so is a login.
    here.login("alice", &token).await.unwrap();
    let login = keep(&here, REFRESH, "alice").await;
    assert!(!heeded(&there).await);
    here.accounts.end_own_login(REFRESH, &login).await.unwrap();
    assert!(heeded(&there).await);
    // Alone, nobody is told.
    let alone = Accounts::new(Arc::clone(&store) as _, Arc::clone(here.accounts.journal()), Clock::SYSTEM);
    let mark = store.account(AccountKind::LastChange, "accounts").await.unwrap();
    let command = AccountCommand::RemoveUser { name: name("alice") };
    Arc::new(alone).carry_out(command, None).await.unwrap();
    assert_eq!(store.account(AccountKind::LastChange, "accounts").await.unwrap(), mark);
}
