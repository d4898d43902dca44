//! Hints, and pulls.

use std::time::Duration;

use super::{AnyStore, push};
use crate::oci::Reference;
use crate::store::sample::{at, image, repository, tag, tag_deleted};
use crate::store::{Hint, HintedReference, LeaseName, PageRequest, Pull, Queued, Retry, Source};

fn about(name: &str, tagged: &str) -> HintedReference {
    HintedReference { repository: repository(name), reference: Reference::Tag(tag(tagged)) }
}

async fn all(store: &AnyStore) -> Vec<Hint> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store.hints(PageRequest { after, limit: 2 }).await.unwrap();
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

pub(in crate::store) async fn a_hint_is_kept_once_until_it_is_removed(store: AnyStore) {
    let digest = Reference::Digest(image("one", &[]).digest);
    let by_digest = HintedReference { repository: repository("a"), reference: digest };
    let hints = vec![about("b", "t"), about("a", "t"), by_digest.clone(), about("a", "t")];
    let Queued::Kept(numbered) = store.add_hints(hints.clone()).await.unwrap() else {
        panic!("there is room")
    };
    let given: Vec<_> = numbered.iter().map(|hint| hint.about.clone()).collect();
    assert_eq!(given, hints, "each is answered with its number");
    let kept = all(&store).await;
    assert!(kept.iter().all(|hint| numbered.contains(hint)), "{kept:?} {numbered:?}");
    let names: Vec<_> = kept.iter().map(|hint| hint.about.clone()).collect();
    assert_eq!(names, [by_digest, about("a", "t"), about("b", "t")]);
    assert_eq!(store.statistics().await.unwrap().hints, 3);
    store.remove_hints(kept).await.unwrap();
    assert!(all(&store).await.is_empty());
    assert_eq!(store.sequence().await.unwrap().get(), 0, "a hint is no event");
}

pub(in crate::store) async fn a_hint_that_was_given_again_is_not_removed(store: AnyStore) {
    store.add_hints(vec![about("a", "t")]).await.unwrap();
    let first = all(&store).await;
    store.add_hints(vec![about("a", "t")]).await.unwrap();
    store.remove_hints(first.clone()).await.unwrap();
    let second = all(&store).await;
    assert_eq!(second.len(), 1);
    store.remove_hints(second).await.unwrap();
    // Nor one that is new under the same name.
    store.add_hints(vec![about("a", "t")]).await.unwrap();
    store.remove_hints(first).await.unwrap();
    assert_eq!(all(&store).await.len(), 1);
}

pub(in crate::store) async fn a_hint_is_put_off_until_a_time_and_given_again_it_is_due_at_once(
    store: AnyStore,
) {
    store.add_hints(vec![about("a", "t"), about("a", "u"), about("a", "v")]).await.unwrap();
    let fresh = all(&store).await;
    assert!(fresh.iter().all(|hint| hint.retry == Retry::FIRST && !hint.is_second_look), "{fresh:?}");
    let lease = store.acquire(LeaseName::Hints).await.unwrap().unwrap();
    let put_off = |hint: &Hint, attempts| Hint {
        is_second_look: attempts == 2,
        retry: Retry::after(attempts, Duration::from_millis(1_500), at(7)),
        ..hint.clone()
    };
    let [first, second, third] = fresh.as_slice() else { panic!("{fresh:?}") };
    for attempts in 1..3 {
        let all_but_one = vec![put_off(first, attempts), put_off(second, attempts)];
        store.postpone_hints(lease, all_but_one.clone()).await.unwrap();
        assert_eq!(all(&store).await, [&all_but_one[..], std::slice::from_ref(third)].concat());
    }
    store.add_hints(vec![about("a", "t")]).await.unwrap();
    let again = all(&store).await;
    assert_eq!(again[0], Hint::new(about("a", "t"), 4));
    // Of the one before.
    store.postpone_hints(lease, vec![put_off(first, 3)]).await.unwrap();
    assert_eq!(all(&store).await, again);
    // However it was put off: the number says which it is.
    store.remove_hints(vec![second.clone()]).await.unwrap();
    store.postpone_hints(lease, vec![put_off(second, 3)]).await.unwrap();
    assert_eq!(all(&store).await, [again[0].clone(), third.clone()]);
}

pub(in crate::store) async fn there_is_room_for_so_many_hints_and_no_more(store: AnyStore) {
    let many = |from: usize, count: usize| (from..from + count).map(|n| about("a", &n.to_string())).collect();
    assert!(matches!(store.add_hints(many(0, 100_000)).await.unwrap(), Queued::Kept(_)));
    assert_eq!(store.add_hints(many(100_000, 1)).await.unwrap(), Queued::Full);
    let first = store.hints(PageRequest { after: None, limit: 10 }).await.unwrap().items;
    store.remove_hints(first).await.unwrap();
    assert!(matches!(store.add_hints(many(100_000, 1)).await.unwrap(), Queued::Kept(_)));
}

fn pull(name: &str, tagged: Option<&str>, count: u64, last: u64) -> Pull {
    let (repository, tag, last_seen) = (repository(name), tagged.map(tag), at(last));
    Pull { repository, tag, count, last_pull: Some(last_seen), last_seen }
}

pub(in crate::store) async fn a_look_at_a_tag_moves_when_it_was_last_seen_and_nothing_else(store: AnyStore) {
    push(&store, "r", &image("one", &[]), &["t", "u"], 1).await;
    let look = |tagged, last| Pull { last_pull: None, ..pull("r", Some(tagged), 0, last) };
    store
        .record_pulls(vec![look("t", 9), pull("r", Some("t"), 2, 5), look("t", 7), look("none", 9)])
        .await
        .unwrap();
    let seen = store.tag(&repository("r"), &tag("t")).await.unwrap().unwrap();
    assert_eq!((seen.pulls, seen.last_pull, seen.last_seen), (2, Some(at(5)), Some(at(9))));
    let other = store.tag(&repository("r"), &tag("u")).await.unwrap().unwrap();
    assert_eq!((other.last_pull, other.last_seen), (None, None));
    let known = store.repository(&repository("r")).await.unwrap().unwrap();
    assert_eq!((known.pulls, known.last_pull), (2, Some(at(5))));
    // A pull is also a look, and the name keeps it, whatever it points to.
    store.record_pulls(vec![pull("r", Some("t"), 1, 11)]).await.unwrap();
    push(&store, "r", &image("two", &[]), &["t"], 12).await;
    let moved = store.tag(&repository("r"), &tag("t")).await.unwrap().unwrap();
    assert_eq!((moved.last_pull, moved.last_seen), (Some(at(11)), Some(at(11))));
}

pub(in crate::store) async fn pulls_add_up_and_the_last_one_never_moves_back(store: AnyStore) {
    push(&store, "r", &image("one", &[]), &["t", "u"], 1).await;
    let pulls = vec![pull("r", Some("t"), 2, 9), pull("r", None, 3, 7), pull("r", Some("t"), 0, 8)];
    store.record_pulls(pulls).await.unwrap();
    let known = store.repository(&repository("r")).await.unwrap().unwrap();
    assert_eq!((known.pulls, known.last_pull), (5, Some(at(9))));
    let pulled = store.tag(&repository("r"), &tag("t")).await.unwrap().unwrap();
    assert_eq!((pulled.pulls, pulled.last_pull), (2, Some(at(9))));
    let other = store.tag(&repository("r"), &tag("u")).await.unwrap().unwrap();
    assert_eq!((other.pulls, other.last_pull), (0, None));
    assert_eq!(store.statistics().await.unwrap().events, 2, "a pull is no event");
    // The name counts, whatever it points to.
    push(&store, "r", &image("two", &[]), &["t"], 2).await;
    let moved = store.tag(&repository("r"), &tag("t")).await.unwrap().unwrap();
    assert_eq!((moved.pulls, moved.last_pull), (2, Some(at(9))));
    super::find(&store, tag_deleted("r", "t"), Source::Swept, 3).await;
    push(&store, "r", &image("two", &[]), &["t"], 4).await;
    assert_eq!(store.tag(&repository("r"), &tag("t")).await.unwrap().unwrap().pulls, 0);
}

pub(in crate::store) async fn a_pull_of_what_is_not_recorded_records_nothing(store: AnyStore) {
    push(&store, "r", &image("one", &[]), &["t"], 1).await;
    store.record_pulls(vec![pull("none", Some("t"), 1, 2), pull("r", Some("none"), 1, 3)]).await.unwrap();
    assert!(store.repository(&repository("none")).await.unwrap().is_none());
    assert!(store.tag(&repository("r"), &tag("none")).await.unwrap().is_none());
    assert_eq!(store.repository(&repository("r")).await.unwrap().unwrap().pulls, 1);
}
