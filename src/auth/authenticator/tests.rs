//! Logins with sources of the tests.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;

/// Knows users whose password is their name, and counts how often it is asked.
#[derive(Default)]
struct Counting {
    users: Vec<&'static str>,
    /// Who may not log in.
    shut_out: Vec<&'static str>,
    /// What their passwords are known by.
    proof: std::sync::Mutex<String>,
    asked: AtomicUsize,
    version: AtomicU64,
    is_down: bool,
    /// Whether the user gets another password while one is checked.
    changes: bool,
    /// Whether a wrong password costs it a hash.
    hashes: bool,
    /// What is checked in its name for others.
    decoy: Option<&'static str>,
}

#[async_trait]
impl IdentitySource for Counting {
    async fn verify(&self, credentials: &Credentials, _: &Ticket) -> Result<Verdict, SourceError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.is_down {
            return Err(SourceError::Unavailable(Arc::new(std::io::Error::other("down"))));
        }
        if self.changes {
            self.proof.lock().unwrap().push('x');
        }
        let Credentials { name, password } = credentials;
        if !self.users.contains(&name.as_str()) {
            return Ok(Verdict::Unknown);
        }
        if password.expose_secret() != name.as_str() {
            return Ok(Verdict::Wrong { is_hashed: self.hashes });
        }
        Ok(Verdict::Right(Identity::new(name.clone(), Vec::new())))
    }

    async fn find(&self, name: &UserName) -> Result<Option<Found>, SourceError> {
        let proof = self.proof.lock().unwrap().clone();
        let found = || Found { identity: Identity::new(name.clone(), Vec::new()), proof };
        Ok(self.users.contains(&name.as_str()).then(found))
    }

    async fn shuts_out(&self, name: &UserName) -> Result<bool, SourceError> {
        Ok(self.shut_out.contains(&name.as_str()))
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    async fn decoy(&self) -> Result<Option<StoredHash>, SourceError> {
        Ok(self.decoy.map(|hash| StoredHash::Bcrypt(hash.to_owned())))
    }
}

fn counting(users: &[&'static str]) -> Arc<Counting> {
    Arc::new(Counting { users: users.to_vec(), ..Counting::default() })
}

fn authenticator(sources: &[&Arc<Counting>]) -> Authenticator {
    let sources = sources.iter().map(|source| Arc::clone(source) as Arc<dyn IdentitySource>).collect();
    Authenticator::new(sources, Hashing::start(1).unwrap(), Duration::from_mins(1)).unwrap()
}

async fn login(authenticator: &Authenticator, name: &str, password: &str) -> Result<String, LoginError> {
    let credentials = Credentials::new(UserName::parse(name).unwrap(), password);
    let address = IpAddr::from([192, 0, 2, 1]);
    Ok(authenticator.login(&credentials, address).await?.identity.name.to_string())
}

#[tokio::test]
async fn the_first_source_that_knows_a_name_decides() {
    let (first, second) = (counting(&["alice"]), counting(&["alice", "bob"]));
    let both = authenticator(&[&first, &second]);
    assert_eq!(login(&both, "bob", "bob").await.unwrap(), "bob");
    assert_eq!(login(&both, "alice", "alice").await.unwrap(), "alice");
    assert!(matches!(login(&both, "alice", "wrong").await, Err(LoginError::Wrong(_))));
    assert_eq!(second.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn k1_a_wrong_password_and_an_unknown_user_are_answered_alike() {
    let source = counting(&["alice"]);
    let authenticator = authenticator(&[&source]);
    let wrong = login(&authenticator, "alice", "wrong").await.unwrap_err().to_string();
    let unknown = login(&authenticator, "mallory", "wrong").await.unwrap_err().to_string();
    assert_eq!(wrong, unknown);
}

#[tokio::test]
async fn k1_whoever_is_refused_costs_a_hash_of_each_source_whatever_is_wrong() {
    // A hash that cannot be checked shows that it was tried.
    const NOTICED: Option<&str> = Some("no hash");
    let source = |users: &[&'static str], decoy| {
        Arc::new(Counting { users: users.to_vec(), hashes: true, decoy, ..Counting::default() })
    };
    let is_noticed = async |first, second, name: &str| {
        let (first, second) = (source(&["alice"], first), source(&["bob"], second));
        matches!(
            login(&authenticator(&[&first, &second]), name, "wrong").await,
            Err(LoginError::Unavailable(_))
        )
    };
    for (name, hashed_by_first, hashed_by_second) in
        [("alice", true, false), ("bob", false, true), ("nobody", false, false)]
    {
        // Its own users' passwords are checked by the source itself.
        assert_eq!(is_noticed(NOTICED, None, name).await, !hashed_by_first, "{name}");
        assert_eq!(is_noticed(None, NOTICED, name).await, !hashed_by_second, "{name}");
    }
}

#[tokio::test]
async fn what_came_of_a_password_is_remembered_until_the_user_has_another_one() {
    let source = counting(&["alice"]);
    let authenticator = authenticator(&[&source]);
    let asked = || source.asked.load(Ordering::Relaxed);
    for _ in 0..3 {
        login(&authenticator, "alice", "alice").await.unwrap();
    }
    assert_eq!(asked(), 1);
    // A script with an old password is no guesser, however often it tries.
    for _ in 0..10 {
        assert!(matches!(login(&authenticator, "alice", "wrong").await, Err(LoginError::Wrong(_))));
    }
    assert_eq!(asked(), 2);
    // Something else was changed.
    source.version.store(1, Ordering::Relaxed);
    login(&authenticator, "alice", "alice").await.unwrap();
    login(&authenticator, "alice", "wrong").await.unwrap_err();
    assert_eq!(asked(), 2);
    "another".clone_into(&mut source.proof.lock().unwrap());
    source.version.store(2, Ordering::Relaxed);
    login(&authenticator, "alice", "alice").await.unwrap();
    login(&authenticator, "alice", "wrong").await.unwrap_err();
    assert_eq!(asked(), 4);
}

#[tokio::test]
async fn a_name_that_nobody_had_is_looked_at_again_when_something_changes() {
    let source = counting(&["alice"]);
    let authenticator = authenticator(&[&source]);
    for version in 0..20 {
        source.version.store(version, Ordering::Relaxed);
        for _ in 0..3 {
            assert!(matches!(login(&authenticator, "bob", "bob").await, Err(LoginError::Wrong(_))));
        }
    }
    assert_eq!(source.asked.load(Ordering::Relaxed), 20);
}

#[tokio::test]
async fn who_is_removed_or_shut_out_passes_no_longer() {
    let mut source = Counting { users: vec!["alice"], ..Counting::default() };
    let (first, second) = (Arc::new(Counting::default()), counting(&["alice"]));
    let authenticator = authenticator(&[&first, &second]);
    login(&authenticator, "alice", "alice").await.unwrap();
    assert!(authenticator.find(&UserName::parse("alice").unwrap()).await.unwrap().is_some());
    source.shut_out = std::mem::take(&mut source.users);
    let shutting_out = Arc::new(source);
    let authenticator = self::authenticator(&[&shutting_out, &second]);
    assert!(authenticator.find(&UserName::parse("alice").unwrap()).await.unwrap().is_none());
    let refused = login(&authenticator, "alice", "alice").await;
    assert!(matches!(refused, Err(LoginError::Wrong(LoginFailure::Disabled))), "{refused:?}");
}

#[tokio::test]
async fn k1_the_right_password_of_who_is_shut_out_costs_a_hash_of_each_source_as_a_wrong_one_does() {
    // A hash that cannot be checked shows that it was tried.
    let shutting_out = Arc::new(Counting { shut_out: vec!["alice"], ..Counting::default() });
    let (theirs, other) =
        (counting(&["alice"]), Arc::new(Counting { decoy: Some("no hash"), ..Counting::default() }));
    let authenticator = authenticator(&[&shutting_out, &theirs, &other]);
    assert!(matches!(login(&authenticator, "alice", "alice").await, Err(LoginError::Unavailable(_))));
}

#[tokio::test]
async fn the_same_password_from_many_places_costs_one_look() {
    let source = counting(&["alice"]);
    let authenticator = authenticator(&[&source]);
    let credentials = Credentials::new(UserName::parse("alice").unwrap(), "alice");
    let logins = (0..200).map(|last| authenticator.login(&credentials, IpAddr::from([192, 0, 2, last])));
    for login in futures_util::future::join_all(logins).await {
        login.unwrap();
    }
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_remembered_of_one_hash_says_nothing_of_another() {
    let source = counting(&["alice"]);
    let authenticator = authenticator(&[&source]);
    login_from(&authenticator, 1, "alice", "alice").await.unwrap();
    // As when it is changed by another door, or is just being changed: no version tells.
    "another".clone_into(&mut source.proof.lock().unwrap());
    login_from(&authenticator, 2, "alice", "alice").await.unwrap();
    assert_eq!(source.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_is_checked_while_the_user_gets_another_password_is_remembered_for_neither() {
    let source = Arc::new(Counting { users: vec!["alice"], changes: true, ..Counting::default() });
    let authenticator = authenticator(&[&source]);
    for attempt in 1..=3 {
        let unsure = login(&authenticator, "alice", "alice").await;
        assert!(matches!(unsure, Err(LoginError::Unavailable(_))));
        assert_eq!(source.asked.load(Ordering::Relaxed), attempt);
    }
}

#[tokio::test]
async fn a_password_that_nobody_can_have_is_refused_without_a_look() {
    let source = counting(&["alice"]);
    let authenticator = authenticator(&[&source]);
    // To bcrypt the first two are the same as the password itself.
    for password in ["alice\0alice", "alice\0", "\0", &"a".repeat(4_097)] {
        assert!(matches!(login(&authenticator, "alice", password).await, Err(LoginError::Wrong(_))));
    }
    assert_eq!(source.asked.load(Ordering::Relaxed), 0);
    login(&authenticator, "alice", "alice").await.unwrap();
}

#[tokio::test]
async fn the_same_credentials_at_once_are_one_attempt_and_only_the_first_is_fresh() {
    let source = counting(&["alice"]);
    let authenticator = authenticator(&[&source]);
    let credentials = Credentials::new(UserName::parse("alice").unwrap(), "alice");
    let address = IpAddr::from([192, 0, 2, 1]);
    let logins = (0..20).map(|_| authenticator.login(&credentials, address));
    let logins = futures_util::future::join_all(logins).await;
    assert_eq!(logins.into_iter().filter(|login| login.as_ref().unwrap().is_fresh).count(), 1);
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
}

async fn login_from(
    authenticator: &Authenticator,
    last: u8,
    name: &str,
    password: &str,
) -> Result<Login, LoginError> {
    let credentials = Credentials::new(UserName::parse(name).unwrap(), password);
    authenticator.login(&credentials, IpAddr::from([192, 0, 2, last])).await
}

#[tokio::test]
async fn a_stale_password_counts_once_and_the_right_one_beside_it_passes() {
    let source = counting(&["alice"]);
    let authenticator = authenticator(&[&source]);
    for version in 0..200 {
        // As when accounts of others are changed all the time.
        source.version.store(version, Ordering::Relaxed);
        assert!(matches!(login(&authenticator, "alice", "stale").await, Err(LoginError::Wrong(_))));
        login(&authenticator, "alice", "alice").await.unwrap();
    }
    assert_eq!(source.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_was_proven_passes_every_lock_where_it_was_proven_and_no_lock_elsewhere() {
    let source = counting(&["alice"]);
    let authenticator = authenticator(&[&source]);
    login_from(&authenticator, 1, "alice", "alice").await.unwrap();
    for last in 1..=2 {
        for number in 0..4 {
            let wrong = format!("wrong {last} {number}");
            login_from(&authenticator, last, "alice", &wrong).await.unwrap_err();
        }
        let locked = login_from(&authenticator, last, "alice", "another").await;
        assert!(matches!(locked, Err(LoginError::TooMany(_))));
    }
    login_from(&authenticator, 1, "alice", "alice").await.unwrap();
    // Nor when it is not remembered without a look any more.
    source.version.store(1, Ordering::Relaxed);
    login_from(&authenticator, 1, "alice", "alice").await.unwrap();
    // Where it was not, the answer would tell a guesser which guess is right.
    let elsewhere = login_from(&authenticator, 2, "alice", "alice").await;
    assert!(matches!(elsewhere, Err(LoginError::TooMany(_))));
    // And it is proven for the hash that it was checked against.
    "another".clone_into(&mut source.proof.lock().unwrap());
    source.version.store(2, Ordering::Relaxed);
    assert!(matches!(login_from(&authenticator, 1, "alice", "alice").await, Err(LoginError::TooMany(_))));
}

#[tokio::test]
async fn what_was_refused_is_refused_again_at_once_during_a_lock_and_makes_it_no_longer() {
    let source = counting(&["alice"]);
    let authenticator = authenticator(&[&source]);
    for number in 0..4 {
        login(&authenticator, "alice", &format!("wrong {number}")).await.unwrap_err();
    }
    let wait = async || match login(&authenticator, "alice", "another").await {
        Err(LoginError::TooMany(wait)) => wait,
        other => panic!("{other:?}"),
    };
    let before = wait().await;
    for _ in 0..100 {
        assert!(matches!(login(&authenticator, "alice", "wrong 0").await, Err(LoginError::Wrong(_))));
    }
    assert!(wait().await <= before);
}

#[tokio::test]
async fn who_fails_too_often_is_not_even_asked_about_and_others_are() {
    let source = counting(&["alice", "bob"]);
    let authenticator = authenticator(&[&source]);
    for number in 0..4 {
        login(&authenticator, "alice", &format!("wrong {number}")).await.unwrap_err();
    }
    let asked = source.asked.load(Ordering::Relaxed);
    assert!(matches!(login(&authenticator, "alice", "alice").await, Err(LoginError::TooMany(_))));
    assert_eq!(source.asked.load(Ordering::Relaxed), asked);
    login(&authenticator, "bob", "bob").await.unwrap();
}

#[tokio::test]
async fn a_source_that_is_down_lets_nobody_in_and_counts_as_no_failure() {
    let down = Arc::new(Counting { is_down: true, ..Counting::default() });
    let authenticator = authenticator(&[&down]);
    for _ in 0..10 {
        let refused = login(&authenticator, "alice", "alice").await;
        assert!(matches!(refused, Err(LoginError::Unavailable(_))));
    }
}
