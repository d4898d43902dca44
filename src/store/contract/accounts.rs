//! Accounts.

use super::AnyStore;
use crate::store::{Account, AccountChange, AccountKind, PageRequest};

async fn change(store: &AnyStore, kind: AccountKind, key: &str, content: Option<&str>) {
    let content = content.map(|content| content.as_bytes().to_vec());
    store.change_accounts(vec![AccountChange { kind, key: key.to_owned(), content }]).await.unwrap();
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

pub(in crate::store) async fn accounts_are_listed_by_their_kind_in_bytewise_order(store: AnyStore) {
    for name in ["b", "a", "ä", "B", "c"] {
        change(&store, AccountKind::User, name, Some(name)).await;
    }
    change(&store, AccountKind::RefreshToken, "x", Some("")).await;
    assert_eq!(names(&store, AccountKind::User).await, ["B", "a", "b", "c", "ä"]);
    assert_eq!(names(&store, AccountKind::RefreshToken).await, ["x"]);
    assert!(names(&store, AccountKind::AccessToken).await.is_empty());
}
