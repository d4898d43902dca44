//! Accounts, what happened at the gate, and the registry's clock.

use super::AnyStore;
use crate::clock::Estimate;
use crate::store::sample::at;
use crate::store::{
    Account, AccountChange, AccountKind, AuthEvent, AuthEventKind, Changed, Expected, PageRequest, Retention,
    Sequence,
};

async fn change(store: &AnyStore, kind: AccountKind, key: &str, content: Option<&str>) {
    let content = content.map(|content| content.as_bytes().to_vec());
    let change = AccountChange { kind, key: key.to_owned(), content, expected: Expected::Anything };
    assert_eq!(store.change_accounts(vec![change]).await.unwrap(), Changed::Made);
}

async fn names(store: &AnyStore, kind: AccountKind) -> Vec<String> {
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = store.accounts(kind, PageRequest { after, limit: 2 }).await.unwrap();
        names.extend(page.items.into_iter().map(|account: Account| account.key));
        after = page.next;
        if after.is_none() {
            return names;
        }
    }
}

pub(in crate::store) async fn an_account_is_kept_until_it_is_changed_or_removed(store: AnyStore) {
    let kind = AccountKind::User;
    assert_eq!(store.account(kind, "alice").await.unwrap(), None);
    change(&store, kind, "alice", Some("first")).await;
    change(&store, kind, "alice", Some("second")).await;
    assert_eq!(store.account(kind, "alice").await.unwrap().as_deref(), Some(&b"second"[..]));
    assert_eq!(store.account(AccountKind::AccessToken, "alice").await.unwrap(), None);
    change(&store, kind, "alice", None).await;
    change(&store, kind, "alice", None).await;
    assert_eq!(store.account(kind, "alice").await.unwrap(), None);
    assert_eq!(store.sequence().await.unwrap().get(), 0, "an account is no event of the registry's");
}

pub(in crate::store) async fn an_account_that_is_not_as_expected_is_left_alone(store: AnyStore) {
    let kind = AccountKind::AccessToken;
    let replace = async |from: &str, to: &str| {
        let (content, expected) = (Some(to.as_bytes().to_vec()), Expected::Content(from.as_bytes().to_vec()));
        let change = AccountChange { kind, key: "ci".to_owned(), content, expected };
        (store.change_accounts(vec![change]).await.unwrap(), store.account(kind, "ci").await.unwrap())
    };
    assert_eq!(replace("old", "new").await, (Changed::Overtaken, None), "revoked meanwhile");
    change(&store, kind, "ci", Some("other")).await;
    assert_eq!(replace("old", "new").await, (Changed::Overtaken, Some(b"other".to_vec())));
    assert_eq!(replace("other", "new").await, (Changed::Made, Some(b"new".to_vec())));
}

pub(in crate::store) async fn changes_of_accounts_are_made_all_or_none(store: AnyStore) {
    let kind = AccountKind::User;
    change(&store, kind, "there", Some("content")).await;
    let made = |key: &str, expected| AccountChange {
        kind,
        key: key.to_owned(),
        content: Some(b"new".to_vec()),
        expected,
    };
    let overtaken = [
        vec![made("a", Expected::Anything), made("there", Expected::Nothing)],
        vec![made("there", Expected::Content(b"other".to_vec())), made("a", Expected::Anything)],
        vec![made("a", Expected::Nothing), AccountChange::absent(kind, "there".to_owned())],
        vec![AccountChange::removed(kind, "there".to_owned()), made("a", Expected::Content(Vec::new()))],
    ];
    for changes in overtaken {
        assert_eq!(store.change_accounts(changes.clone()).await.unwrap(), Changed::Overtaken, "{changes:?}");
        assert_eq!(store.account(kind, "a").await.unwrap(), None, "{changes:?}");
        assert_eq!(store.account(kind, "there").await.unwrap().as_deref(), Some(&b"content"[..]));
    }
    let changes = vec![
        made("a", Expected::Nothing),
        AccountChange::absent(kind, "b".to_owned()),
        made("there", Expected::Content(b"content".to_vec())),
    ];
    assert_eq!(store.change_accounts(changes).await.unwrap(), Changed::Made);
    assert_eq!(names(&store, kind).await, ["a", "there"]);
}

pub(in crate::store) async fn accounts_are_listed_by_their_kind_in_bytewise_order(store: AnyStore) {
    for name in ["b", "a", "ä", "B", "c"] {
        change(&store, AccountKind::User, name, Some(name)).await;
    }
    change(&store, AccountKind::RefreshToken, "x", Some("")).await;
    assert_eq!(names(&store, AccountKind::User).await, ["B", "a", "b", "c", "ä"]);
    assert_eq!(names(&store, AccountKind::RefreshToken).await, ["x"]);
    assert!(names(&store, AccountKind::AccessToken).await.is_empty());
}

fn auth_event(time: u64, about: &str) -> AuthEvent {
    auth_event_of(AuthEventKind::LoginFailed, time, about)
}

pub(in crate::store) async fn acts_of_whoever_runs_the_door_are_the_last_to_be_purged(store: AnyStore) {
    let told = async || {
        let page = store.auth_events(PageRequest { after: None, limit: 100 }).await.unwrap();
        page.items.into_iter().map(|(_, event)| event.about).collect::<Vec<_>>()
    };
    let few = Retention { most: 3, since: at(0) };
    let act = |time, about| auth_event_of(AuthEventKind::Account, time, about);
    store.add_auth_events(vec![auth_event(1, "a"), act(2, "act"), auth_event(3, "b")], few).await.unwrap();
    store.add_auth_events((4..9).map(|time| auth_event(time, "guess")).collect(), few).await.unwrap();
    assert_eq!(told().await, ["act", "guess", "guess"]);
    store.add_auth_events((9..14).map(|time| act(time, "more")).collect(), few).await.unwrap();
    assert_eq!(told().await, ["more", "more", "more"]);
    store.add_auth_events(vec![auth_event(99, "last")], Retention { most: 3, since: at(50) }).await.unwrap();
    assert_eq!(told().await, ["last"]);
}

fn auth_event_of(kind: AuthEventKind, time: u64, about: &str) -> AuthEvent {
    AuthEvent { time: at(time), kind, user: None, address: None, about: about.to_owned(), count: 1 }
}

pub(in crate::store) async fn events_of_the_gate_are_kept_in_order_and_purged_by_number_and_age(
    store: AnyStore,
) {
    let told = async |after| {
        let page = store.auth_events(PageRequest { after, limit: 100 }).await.unwrap();
        page.items.into_iter().map(|(number, event)| (number.get(), event.about)).collect::<Vec<_>>()
    };
    let all = Retention { most: 4, since: at(0) };
    store.add_auth_events(vec![auth_event(1, "a"), auth_event(2, "b")], all).await.unwrap();
    store.add_auth_events(vec![auth_event(3, "c")], all).await.unwrap();
    let names = |told: Vec<(u64, String)>| told.into_iter().map(|(_, about)| about).collect::<Vec<_>>();
    let first = told(None).await;
    assert_eq!(names(first.clone()), ["a", "b", "c"]);
    assert_eq!(names(told(Some(Sequence::new(first[0].0))).await), ["b", "c"]);
    // Two too many, and then what is too old.
    store
        .add_auth_events(vec![auth_event(4, "d"), auth_event(5, "e"), auth_event(6, "f")], all)
        .await
        .unwrap();
    assert_eq!(names(told(None).await), ["c", "d", "e", "f"]);
    store.add_auth_events(vec![auth_event(7, "g")], Retention { most: 9, since: at(5) }).await.unwrap();
    assert_eq!(names(told(None).await), ["e", "f", "g"]);
    assert_eq!(store.sequence().await.unwrap().get(), 0, "they are no events of the registry's");
}

pub(in crate::store) async fn what_is_known_of_the_registrys_clock_is_kept(store: AnyStore) {
    assert_eq!(store.kept_clock().await.unwrap(), None);
    for offset in [3_600_000, -5] {
        let estimate = Estimate { offset, bound: 7, at: at(9) };
        store.keep_clock(estimate).await.unwrap();
        assert_eq!(store.kept_clock().await.unwrap(), Some(estimate));
    }
}

pub(in crate::store) async fn the_last_time_that_has_held_is_kept(store: AnyStore) {
    assert_eq!(store.kept_time().await.unwrap(), None);
    for time in [at(9), at(7)] {
        store.keep_time(time).await.unwrap();
        assert_eq!(store.kept_time().await.unwrap(), Some(time));
    }
}
