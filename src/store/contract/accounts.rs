//! Accounts, what happened at the gate, and the registry's clock.

use super::AnyStore;
use crate::clock::Estimate;
use crate::store::sample::at;
use crate::store::{
    Account, AccountChange, AccountKind, AuthEvent, AuthEventKind, Expect, PageRequest, Quotas, Retention,
    Sequence, StoreError,
};

async fn change(store: &AnyStore, kind: AccountKind, key: &str, content: Option<&str>) {
    let content = content.map(|content| content.as_bytes().to_vec());
    let change = AccountChange { kind, key: key.to_owned(), content, expected: Expect::Anything };
    store.change_accounts(vec![change]).await.unwrap();
}

/// Whether a change was made; nothing but an expectation that failed may keep it from that.
fn is_made(answer: Result<(), StoreError>) -> bool {
    match answer {
        Ok(()) => true,
        Err(StoreError::Conflict) => false,
        Err(error) => panic!("{error}"),
    }
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
        let (content, expected) = (Some(to.as_bytes().to_vec()), Expect::Exactly(from.as_bytes().to_vec()));
        let change = AccountChange { kind, key: "ci".to_owned(), content, expected };
        (is_made(store.change_accounts(vec![change]).await), store.account(kind, "ci").await.unwrap())
    };
    assert_eq!(replace("old", "new").await, (false, None), "revoked meanwhile");
    change(&store, kind, "ci", Some("other")).await;
    assert_eq!(replace("old", "new").await, (false, Some(b"other".to_vec())));
    assert_eq!(replace("other", "new").await, (true, Some(b"new".to_vec())));
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
        vec![made("a", Expect::Anything), made("there", Expect::Absent)],
        vec![made("there", Expect::Exactly(b"other".to_vec())), made("a", Expect::Anything)],
        vec![made("a", Expect::Absent), AccountChange::absent(kind, "there".to_owned())],
        vec![AccountChange::removed(kind, "there".to_owned()), made("a", Expect::Exactly(Vec::new()))],
    ];
    for changes in overtaken {
        assert!(!is_made(store.change_accounts(changes.clone()).await), "{changes:?}");
        assert_eq!(store.account(kind, "a").await.unwrap(), None, "{changes:?}");
        assert_eq!(store.account(kind, "there").await.unwrap().as_deref(), Some(&b"content"[..]));
    }
    let changes = vec![
        made("a", Expect::Absent),
        AccountChange::absent(kind, "b".to_owned()),
        made("there", Expect::Exactly(b"content".to_vec())),
    ];
    store.change_accounts(changes).await.unwrap();
    assert_eq!(names(&store, kind).await, ["a", "there"]);
}

pub(in crate::store) async fn accounts_are_listed_by_their_kind_in_bytewise_order(store: AnyStore) {
    for name in ["b", "a", "ä", "B", "c"] {
        change(&store, AccountKind::User, name, Some(name)).await;
    }
    change(&store, AccountKind::RefreshToken, "x", Some("")).await;
    change(&store, AccountKind::DisabledUser, "b", Some("")).await;
    assert_eq!(names(&store, AccountKind::User).await, ["B", "a", "b", "c", "ä"]);
    assert_eq!(names(&store, AccountKind::DisabledUser).await, ["b"]);
    assert_eq!(names(&store, AccountKind::RefreshToken).await, ["x"]);
    assert!(names(&store, AccountKind::AccessToken).await.is_empty());
}

fn happened(kind: AuthEventKind, time: u64, about: &str) -> AuthEvent {
    let about = about.to_owned();
    AuthEvent { time: at(time), first: None, kind, user: None, address: None, about, count: 1 }
}

/// At most so many of each kind.
fn most(each: u64) -> Retention {
    let most =
        Quotas { tokens: each, logins: each, failures: each, refusals: each, accounts: each, policies: each };
    Retention { most, since: at(0) }
}

async fn add(store: &AnyStore, events: Vec<AuthEvent>, keep: Retention) -> Vec<Sequence> {
    store.add_auth_events(events.into_iter().map(|event| (None, event)).collect(), keep).await.unwrap()
}

/// Number and words of all events, read in pages of so many.
async fn told(store: &AnyStore, limit: usize) -> Vec<(u64, String)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.auth_events(PageRequest { after, limit }).await.unwrap();
        assert!(page.items.len() <= limit);
        all.extend(page.items.into_iter().map(|(number, event)| (number.get(), event.about)));
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

async fn words(store: &AnyStore) -> Vec<String> {
    told(store, 100).await.into_iter().map(|(_, about)| about).collect()
}

pub(in crate::store) async fn events_of_the_gate_are_pushed_out_by_their_own_kind_alone(store: AnyStore) {
    let few = most(2);
    for (time, kind) in AuthEventKind::ALL.into_iter().enumerate() {
        add(&store, vec![happened(kind, time as u64, &format!("{kind:?}"))], few).await;
    }
    for flooding in AuthEventKind::ALL {
        add(&store, (10..30).map(|time| happened(flooding, time, "flood")).collect(), few).await;
        let kept = words(&store).await;
        for kind in AuthEventKind::ALL.into_iter().filter(|kind| *kind > flooding) {
            assert!(kept.contains(&format!("{kind:?}")), "{kind:?} after many of {flooding:?}: {kept:?}");
        }
    }
    assert_eq!(words(&store).await, ["flood"; 2 * AuthEventKind::ALL.len()], "two of each kind");
    let kind = AuthEventKind::LoginFailed;
    let numbers = add(&store, vec![happened(kind, 40, "the last")], few).await;
    let first = store.latest_auth_events(kind, PageRequest { after: None, limit: 1 }).await.unwrap();
    assert_eq!((first.items[0].0, &*first.items[0].1.about), (numbers[0], "the last"));
    let rest = store.latest_auth_events(kind, PageRequest { after: first.next, limit: 9 }).await.unwrap();
    assert_eq!(rest.items.iter().map(|(_, event)| &*event.about).collect::<Vec<_>>(), ["flood"]);
    assert!(first.next.is_some() && rest.next.is_none());
    // What is too old goes whatever it is.
    add(&store, vec![happened(AuthEventKind::Login, 99, "last")], Retention { since: at(50), ..few }).await;
    assert_eq!(words(&store).await, ["last"]);
}

pub(in crate::store) async fn events_of_the_gate_are_kept_in_order_and_purged_by_number_and_age(
    store: AnyStore,
) {
    use AuthEventKind::{Account, Login, LoginFailed, Refused};
    let numbers = add(
        &store,
        vec![happened(LoginFailed, 1, "a"), happened(Account, 2, "b"), happened(LoginFailed, 3, "c")],
        most(3),
    )
    .await;
    assert_eq!(numbers.iter().map(|number| number.get()).collect::<Vec<_>>(), [1, 2, 3]);
    let more = vec![happened(Refused, 4, "d"), happened(LoginFailed, 5, "e"), happened(Login, 6, "f")];
    add(&store, more, most(3)).await;
    for limit in 1..8 {
        let told = told(&store, limit).await;
        let words: Vec<&str> = told.iter().map(|(_, about)| about.as_str()).collect();
        assert_eq!(words, ["a", "b", "c", "d", "e", "f"], "in pages of {limit}");
        assert!(told.is_sorted_by(|(one, _), (other, _)| one < other));
    }
    // One of a kind too many, and then what is too old.
    add(&store, vec![happened(LoginFailed, 7, "g")], most(3)).await;
    assert_eq!(words(&store).await, ["b", "c", "d", "e", "f", "g"]);
    add(&store, vec![happened(LoginFailed, 8, "h")], Retention { since: at(5), ..most(9) }).await;
    assert_eq!(words(&store).await, ["e", "f", "g", "h"]);
    // Numbers go on, also behind what is gone.
    add(&store, Vec::new(), Retention { since: at(99), ..most(9) }).await;
    assert!(words(&store).await.is_empty());
    assert_eq!(add(&store, vec![happened(Login, 100, "i")], most(9)).await, [Sequence::new(9)]);
    assert_eq!(store.sequence().await.unwrap().get(), 0, "they are no events of the registry's");
}

pub(in crate::store) async fn much_that_is_too_much_at_the_gate_goes_part_by_part_the_oldest_first(
    store: AnyStore,
) {
    let kind = AuthEventKind::Refused;
    add(&store, (0..7_000).map(|time| happened(kind, time, "old")).collect(), most(10_000)).await;
    let mut left = 7_000;
    while left > 3 {
        let number = add(&store, vec![happened(kind, 8_000, "new")], most(3)).await[0];
        let kept = told(&store, 1_000).await;
        assert!(kept.len() < left && kept.last().is_some_and(|(last, _)| *last == number.get()));
        assert!(kept.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0), "the oldest go first");
        left = kept.len();
    }
    assert_eq!(left, 3);
}

pub(in crate::store) async fn what_happens_again_at_the_gate_takes_the_place_of_what_was_kept(
    store: AnyStore,
) {
    use AuthEventKind::{Login, Refused};
    let first = vec![happened(Refused, 1, "a"), happened(Login, 2, "b"), happened(Refused, 3, "c")];
    let numbers = add(&store, first, most(3)).await;
    let again = |place: usize, count| {
        let event = AuthEvent { count, first: Some(at(1)), ..happened(Refused, 50, "again") };
        vec![(Some(numbers[place]), event)]
    };
    assert_eq!(store.add_auth_events(again(0, 7), most(3)).await.unwrap(), [numbers[0]]);
    let page = store.auth_events(PageRequest { after: None, limit: 9 }).await.unwrap();
    assert_eq!(page.items.len(), 3);
    assert_eq!(
        (page.items[0].1.count, page.items[0].1.first, page.items[0].1.time),
        (7, Some(at(1)), at(50))
    );
    // Not in the place of another kind's, and not of what is gone: that would be in no order.
    let other = store.add_auth_events(again(1, 8), most(9)).await.unwrap();
    assert_eq!(other, [Sequence::new(4)]);
    add(&store, (0..3).map(|_| happened(Refused, 60, "new")).collect(), most(3)).await;
    let gone = store.add_auth_events(again(0, 9), most(3)).await.unwrap();
    assert_eq!(gone, [Sequence::new(8)]);
    assert_eq!(words(&store).await, ["b", "new", "new", "again"]);
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
