//! Sessions beside refresh tokens.

use super::*;

const SESSION: LoginKind = LoginKind::Session;
const LIFE: LoginLife = LoginLife { idle: DAY, lifetime: Duration::from_hours(7 * 24) };

fn found(user: &str) -> Found {
    Found { identity: Identity::new(name(user), Vec::new()), proof: "proof".to_owned() }
}

fn laptop() -> Device {
    Device { address: Some([192, 0, 2, 7].into()), agent: Some("Browser/1".to_owned()) }
}

async fn begin(accounts: &Accounts, user: &str) -> SecretString {
    accounts.keep_login_of(SESSION, &found(user), "service", laptop()).await.unwrap()
}

async fn goes_on(accounts: &Accounts, kind: LoginKind, secret: &SecretString) -> bool {
    accounts.find_login(kind, secret, "service", LIFE).await.unwrap().is_ok()
}

#[tokio::test]
async fn a_session_is_no_refresh_token_and_is_kept_by_its_hash_alone() {
    let fixture = fixture();
    let accounts = &fixture.accounts;
    let session = begin(accounts, "alice").await;
    let token = accounts.keep_login_of(REFRESH, &found("alice"), "service", Device::default()).await.unwrap();
    for (kind, secret, expected) in [
        (SESSION, &session, true),
        (REFRESH, &session, false),
        (REFRESH, &token, true),
        (SESSION, &token, false),
    ] {
        assert_eq!(goes_on(accounts, kind, secret).await, expected, "{kind:?}");
    }
    let page = PageRequest { after: None, limit: 10 };
    let kept = accounts.store.accounts(AccountKind::Session, page).await.unwrap().items;
    let text = format!("{}{}", kept[0].key, String::from_utf8_lossy(&kept[0].content));
    assert!(kept.len() == 1 && !text.contains(session.expose_secret()), "{text}");
    assert_eq!(kept[0].key, hash_of(session.expose_secret()));
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_after_its_life_in_any_case() {
    let fixture = fixture();
    let after = |time: Duration| {
        let Fixture { accounts, .. } = &fixture;
        let clock = Clock::shifted(time.as_millis().try_into().unwrap());
        Accounts::new(Arc::clone(&accounts.store), Arc::clone(&accounts.journal), clock)
    };
    let (idle, used) = (begin(&fixture.accounts, "alice").await, begin(&fixture.accounts, "alice").await);
    let (hour, minute) = (Duration::from_hours(1), Duration::from_mins(1));
    for days in 0..7 {
        let accounts = after(days * DAY - days * hour);
        let login = accounts.find_login(SESSION, &used, "service", LIFE).await.unwrap();
        accounts.note_login_use(login.unwrap_or_else(|why| panic!("{days}: {why:?}"))).await;
    }
    assert!(goes_on(&after(DAY - minute), SESSION, &idle).await);
    assert!(!goes_on(&after(DAY + minute), SESSION, &idle).await);
    assert!(goes_on(&after(7 * DAY - 7 * hour), SESSION, &used).await);
    assert!(!goes_on(&after(7 * DAY + minute), SESSION, &used).await);
    let end = after(7 * DAY + minute);
    assert_eq!(end.purge_logins(SESSION, LIFE, &RetentionClock::new(end.clock, None)).await.unwrap(), 2);
}

#[tokio::test]
async fn the_use_of_a_session_is_noted_every_five_minutes_or_as_often_as_its_idle_time_asks() {
    let fixture = fixture();
    let session = begin(&fixture.accounts, "alice").await;
    let short = LoginLife { idle: Duration::from_mins(8), ..LIFE };
    let last_use = async || fixture.accounts.logins_of(&found("alice")).await.unwrap()[0].1.last_use;
    for (minutes, life, is_noted) in
        [(4, LIFE, false), (1, short, false), (3, short, true), (7, LIFE, false), (9, LIFE, true)]
    {
        let clock = Clock::shifted(minutes * 60 * 1000);
        let Fixture { accounts, .. } = &fixture;
        let accounts = Accounts::new(Arc::clone(&accounts.store), Arc::clone(&accounts.journal), clock);
        let before = last_use().await;
        let login = accounts.find_login(SESSION, &session, "service", life).await.unwrap();
        accounts.note_login_use(login.unwrap_or_else(|why| panic!("{minutes}: {why:?}"))).await;
        assert_eq!(last_use().await > before, is_noted, "{minutes}");
    }
}

#[tokio::test]
async fn a_user_has_twenty_sessions_and_the_one_used_longest_ago_makes_way() {
    let fixture = fixture();
    let accounts = &fixture.accounts;
    let (bobs, first) = (begin(accounts, "bob").await, begin(accounts, "alice").await);
    let token = accounts.keep_login_of(REFRESH, &found("alice"), "service", Device::default()).await.unwrap();
    let mut sessions = Vec::new();
    for seconds in 1..31 {
        let clock = Clock::shifted(seconds * 1000);
        let later = Accounts::new(Arc::clone(&accounts.store), Arc::clone(&accounts.journal), clock);
        sessions.push(begin(&later, "alice").await);
    }
    // Each of those knows its own; what is in the store, one that begins now knows.
    let now = Accounts::new(Arc::clone(&accounts.store), Arc::clone(&accounts.journal), Clock::SYSTEM);
    let of = async |user| now.logins_of(&found(user)).await.unwrap().len();
    assert_eq!((of("alice").await, of("bob").await), (21, 1));
    assert!(!goes_on(accounts, SESSION, &first).await && !goes_on(accounts, SESSION, &sessions[9]).await);
    assert!(goes_on(accounts, SESSION, &sessions[10]).await && goes_on(accounts, SESSION, &bobs).await);
    assert!(goes_on(accounts, REFRESH, &token).await);
}

#[tokio::test]
async fn logins_are_ended_one_by_one_and_all_at_once_and_those_of_others_stay() {
    let fixture = fixture();
    let accounts = &fixture.accounts;
    let (bobs, first, second) =
        (begin(accounts, "bob").await, begin(accounts, "alice").await, begin(accounts, "alice").await);
    let token = accounts.keep_login_of(REFRESH, &found("alice"), "service", Device::default()).await.unwrap();
    let shown = accounts.logins_of(&found("alice")).await.unwrap();
    assert!(
        shown.iter().any(|(kind, login)| *kind == SESSION && login.agent.as_deref() == Some("Browser/1"))
    );
    let end = |user: &str, secret: &SecretString| {
        let id = Accounts::login_id(&Accounts::login_key(secret)).to_owned();
        accounts.carry_out(AccountCommand::EndLogin { user: name(user), id }, None)
    };
    assert!(matches!(end("alice", &bobs).await, Err(AccountError::NoToken(_))));
    end("alice", &first).await.unwrap();
    assert!(!goes_on(accounts, SESSION, &first).await && goes_on(accounts, SESSION, &second).await);
    accounts.carry_out(AccountCommand::EndLogins { user: name("alice") }, None).await.unwrap();
    assert!(!goes_on(accounts, SESSION, &second).await && !goes_on(accounts, REFRESH, &token).await);
    assert!(goes_on(accounts, SESSION, &bobs).await);
    assert_eq!(accounts.end_own_login(SESSION, &bobs).await.unwrap(), Some(name("bob")));
    assert_eq!(accounts.end_own_login(SESSION, &bobs).await.unwrap(), None);
    assert!(!goes_on(accounts, SESSION, &bobs).await);
}

#[tokio::test]
async fn another_password_and_the_removal_of_a_user_end_their_sessions() {
    let fixture = fixture();
    let accounts = &fixture.accounts;
    for end in [
        AccountCommand::SetPassword { name: name("alice"), hash: quick_hash("second"), present: None },
        AccountCommand::RemoveUser { name: name("alice") },
    ] {
        if accounts.user(&name("alice")).await.unwrap().is_none() {
            fixture.add("alice", "first").await.unwrap();
        }
        let (hers, bobs) = (begin(accounts, "alice").await, begin(accounts, "bob").await);
        accounts.carry_out(end, None).await.unwrap();
        assert!(!goes_on(accounts, SESSION, &hers).await && goes_on(accounts, SESSION, &bobs).await);
    }
}
