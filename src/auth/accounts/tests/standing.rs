//! Logins that are kept after their user was changed.

use super::*;

const SESSION: LoginKind = LoginKind::Session;

fn found(user: &str) -> Found {
    Found { identity: Identity::new(name(user), Vec::new()), proof: "proof".to_owned() }
}

impl Fixture {
    /// A password that was looked at now.
    async fn shown(&self, user: &str) -> ShownPassword {
        let standing = self.accounts.standing_of(&name(user)).await.unwrap();
        ShownPassword { proof: "proof".to_owned(), standing }
    }

    async fn keep(
        &self,
        shown: &ShownPassword,
        before: Option<&SecretString>,
    ) -> Result<SecretString, AccountError> {
        self.accounts.keep_login(SESSION, shown, "service", Device::default(), before).await
    }

    async fn count(&self, user: &str) -> usize {
        self.accounts.logins_of(&found(user)).await.unwrap().len()
    }
}

#[tokio::test]
async fn a_login_that_began_before_its_user_was_changed_is_not_kept() {
    let fixture = fixture();
    let user = || name("alice");
    for change in [
        AccountCommand::SetPassword { name: user(), hash: quick_hash("second"), present: None },
        AccountCommand::EndLogins { user: user() },
        AccountCommand::EndLogins { user: user() },
        AccountCommand::RemoveUser { name: user() },
        AccountCommand::AddUser { name: user(), hash: quick_hash("third"), groups: Vec::new() },
    ] {
        if !matches!(change, AccountCommand::AddUser { .. }) {
            let _ = fixture.add("alice", "first").await;
        }
        let shown = fixture.shown("alice").await;
        let told = format!("{change:?}");
        fixture.accounts.carry_out(change, None).await.unwrap();
        let kept = fixture.keep(&shown, None).await;
        assert!(matches!(kept, Err(AccountError::Overtaken)), "{told}");
        assert_eq!(fixture.count("alice").await, 0, "{told}");
        let shown = fixture.shown("alice").await;
        fixture.keep(&shown, None).await.unwrap();
        assert_eq!(fixture.count("alice").await, 1, "{told}");
        fixture.accounts.carry_out(AccountCommand::EndLogins { user: user() }, None).await.unwrap();
    }
}

#[tokio::test]
async fn the_logins_of_a_user_whom_a_file_has_end_for_good_as_well() {
    let fixture = fixture();
    let (alice, bob) = (fixture.shown("alice").await, fixture.shown("bob").await);
    fixture.accounts.carry_out(AccountCommand::EndLogins { user: name("alice") }, None).await.unwrap();
    assert!(matches!(fixture.keep(&alice, None).await, Err(AccountError::Overtaken)));
    fixture.keep(&bob, None).await.unwrap();
}

#[tokio::test]
async fn what_is_not_kept_takes_no_place_of_another() {
    let fixture = fixture();
    for _ in 0..SESSION.kept() {
        fixture.keep(&fixture.shown("alice").await, None).await.unwrap();
    }
    let shown = fixture.shown("alice").await;
    fixture.add("alice", "first").await.unwrap();
    for _ in 0..3 {
        fixture.keep(&shown, None).await.unwrap_err();
    }
    assert_eq!(fixture.count("alice").await, SESSION.kept());
    fixture.keep(&fixture.shown("alice").await, None).await.unwrap();
    assert_eq!(fixture.count("alice").await, SESSION.kept());
}

#[tokio::test]
async fn the_session_before_ends_as_the_new_one_begins_and_not_without_it() {
    let fixture = fixture();
    let goes_on = async |secret: &SecretString| {
        fixture.accounts.has_login(SESSION, &Accounts::login_key(secret)).await.unwrap()
    };
    for owner in ["alice", "bob"] {
        let before = fixture.keep(&fixture.shown(owner).await, None).await.unwrap();
        let shown = fixture.shown("alice").await;
        let stale = ShownPassword { standing: fixture.shown("dave").await.standing, ..shown.clone() };
        fixture.add("dave", "first").await.ok();
        let refused = fixture.keep(&stale, Some(&before)).await;
        assert!(matches!(refused, Err(AccountError::Overtaken)) && goes_on(&before).await, "{owner}");
        let version = fixture.accounts.version();
        let after = fixture.keep(&shown, Some(&before)).await.unwrap();
        assert!(goes_on(&after).await && !goes_on(&before).await, "{owner}");
        assert!(fixture.accounts.version() > version, "streams of the one before are looked at again");
        fixture.accounts.carry_out(AccountCommand::RemoveUser { name: name("dave") }, None).await.unwrap();
    }
    assert_eq!((fixture.count("alice").await, fixture.count("bob").await), (2, 0));
}

#[tokio::test]
async fn who_signs_in_again_and_again_with_an_old_cookie_ends_no_other_session() {
    let fixture = fixture();
    let other = fixture.keep(&fixture.shown("alice").await, None).await.unwrap();
    let mut before = fixture.keep(&fixture.shown("alice").await, None).await.unwrap();
    for _ in 0..2 * SESSION.kept() {
        before = fixture.keep(&fixture.shown("alice").await, Some(&before)).await.unwrap();
    }
    assert!(fixture.accounts.has_login(SESSION, &Accounts::login_key(&other)).await.unwrap());
    assert_eq!(fixture.count("alice").await, 2);
}

#[tokio::test]
async fn a_user_has_no_login_of_another_who_had_the_name() {
    let fixture = fixture();
    fixture.keep(&fixture.shown("alice").await, None).await.unwrap();
    let another = Found { proof: "another".to_owned(), ..found("alice") };
    assert!(fixture.accounts.logins_of(&another).await.unwrap().is_empty());
    let standing = fixture.accounts.standing_of(&name("alice")).await.unwrap();
    fixture.keep(&ShownPassword { proof: "another".to_owned(), standing }, None).await.unwrap();
    assert_eq!(fixture.accounts.logins_of(&another).await.unwrap().len(), 1);
    assert_eq!(fixture.count("alice").await, 1);
    let filter = |proof: &str| TokenFilter {
        kinds: vec![TokenKind::Login],
        name: Some(name("alice")),
        proof: Some(proof.to_owned()),
    };
    fixture.accounts.keep_login_of(REFRESH, &another, "service", Device::default()).await.unwrap();
    for (proof, count) in [("another", 1), ("proof", 0)] {
        let page = PageRequest { after: None, limit: 10 };
        let listed = fixture.accounts.tokens(&filter(proof), page).await.unwrap();
        assert_eq!(listed.items.len(), count, "{proof}");
    }
}

#[tokio::test]
async fn a_password_that_counts_no_more_sets_no_other_one() {
    let fixture = fixture();
    fixture.add("alice", "first").await.unwrap();
    let proof_of = async || fixture.authenticator.find(&name("alice")).await.unwrap().unwrap().proof;
    let set = async |password: &str, present: String| {
        let (name, hash) = (name("alice"), quick_hash(password));
        let command = AccountCommand::SetPassword { name, hash, present: Some(present) };
        fixture.accounts.carry_out(command, None).await
    };
    let first = proof_of().await;
    set("second", first.clone()).await.unwrap();
    assert!(matches!(set("third", first).await, Err(AccountError::Overtaken)));
    fixture.login("alice", "second").await.unwrap();
    set("third", proof_of().await).await.unwrap();
    fixture.login("alice", "third").await.unwrap();
}
