//! What is wrong with what is held.

use std::sync::Arc;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::{AnyStore, carry, deleting, find, push, tag_of};
use crate::oci::{Digest, Manifest};
use crate::store::copy::tests::assert_agrees;
use crate::store::sample::{
    any_change, at, image, index, manifest_deleted, put, referrer, repository, repository_gone, tag_deleted,
};
use crate::store::{Change, Flaw, Guard, MemoryStore, PageRequest, Source, Write};

/// All that has this flaw, with what it lacks.
async fn flawed(store: &AnyStore, flaw: Flaw) -> Vec<(String, Vec<Digest>)> {
    let page = store.flawed(flaw, PageRequest { after: None, limit: 100 }).await.unwrap();
    assert_eq!(page.next, None);
    assert_eq!(store.flaw_counts().await.unwrap().of(flaw), page.items.len() as u64, "{flaw:?}");
    page.items.into_iter().map(|record| (record.about.to_string(), record.lacks)).collect()
}

/// The names of all that has this flaw.
async fn names(store: &AnyStore, flaw: Flaw) -> Vec<String> {
    flawed(store, flaw).await.into_iter().map(|(name, _)| name).collect()
}

fn at_digest(name: &str, manifest: &Manifest) -> String {
    format!("{name}@{}", manifest.digest)
}

async fn delete(store: &AnyStore, name: &str, manifest: &Manifest) {
    carry(store, name, deleting(manifest), vec![manifest_deleted(name, manifest)], 5).await;
}

const NONE: [String; 0] = [];

pub(in crate::store) async fn an_index_lacks_its_children_until_they_are_there(store: AnyStore) {
    let (one, two) = (image("one", &[]), image("two", &[]));
    let both = index([&one, &two]);
    let lacking = async || flawed(&store, Flaw::MissingChildren).await;
    push(&store, "r", &both, &["t"], 1).await;
    push(&store, "s", &one, &["t"], 1).await;
    let in_r = |lacks: &[&Manifest]| {
        vec![(at_digest("r", &both), lacks.iter().map(|child| child.digest.clone()).collect::<Vec<_>>())]
    };
    assert_eq!(lacking().await, in_r(&[&one, &two]));
    push(&store, "r", &one, &[], 2).await;
    assert_eq!(lacking().await, in_r(&[&two]));
    push(&store, "r", &two, &["u"], 2).await;
    assert_eq!(lacking().await, []);
    carry(&store, "r", Write::Delete { reference: tag_of("u") }, vec![tag_deleted("r", "u")], 3).await;
    assert_eq!(lacking().await, [], "its manifest is still there");
    delete(&store, "r", &two).await;
    assert_eq!(lacking().await, in_r(&[&two]));
    delete(&store, "r", &both).await;
    assert_eq!(lacking().await, []);
    // All of it in one transaction, the index first.
    let all = vec![put("q", &both, &["t"]), put("q", &one, &[]), put("q", &two, &[])];
    let guard = Guard { reference: None, since: store.sequence().await.unwrap(), lease: None };
    store.record(all, Source::Swept, guard, at(9)).await.unwrap();
    assert_eq!(lacking().await, []);
}

pub(in crate::store) async fn a_referrer_whose_subject_is_gone_is_told(store: AnyStore) {
    let subject = image("one", &[]);
    let about = referrer("signature", &subject);
    push(&store, "r", &about, &[], 1).await;
    let lacks = [(at_digest("r", &about), vec![subject.digest.clone()])];
    assert_eq!(flawed(&store, Flaw::MissingSubject).await, lacks);
    push(&store, "r", &subject, &["t"], 2).await;
    assert_eq!(flawed(&store, Flaw::MissingSubject).await, []);
    find(&store, manifest_deleted("r", &subject), Source::Swept, 3).await;
    assert_eq!(flawed(&store, Flaw::MissingSubject).await, lacks);
    delete(&store, "r", &about).await;
    assert_eq!(flawed(&store, Flaw::MissingSubject).await, []);
}

pub(in crate::store) async fn what_nothing_leads_to_is_untagged(store: AnyStore) {
    let (one, two) = (image("one", &[]), image("two", &[]));
    let both = index([&one, &two]);
    let of = |manifests: &[&Manifest]| {
        let mut names: Vec<_> = manifests.iter().map(|manifest| at_digest("r", manifest)).collect();
        names.sort();
        names
    };
    let untagged = async || names(&store, Flaw::Untagged).await;
    push(&store, "r", &one, &["t"], 1).await;
    push(&store, "r", &two, &[], 1).await;
    push(&store, "r", &referrer("signature", &two), &[], 1).await;
    assert_eq!(untagged().await, of(&[&two]), "a referrer is found by its subject");
    push(&store, "r", &both, &["t"], 2).await;
    assert_eq!(untagged().await, NONE, "the tag has moved to an index that leads to both");
    delete(&store, "r", &both).await;
    assert_eq!(untagged().await, of(&[&one, &two]));
    push(&store, "r", &one, &["t"], 3).await;
    push(&store, "r", &two, &["t"], 4).await;
    assert_eq!(untagged().await, of(&[&one]));
    carry(&store, "r", Write::Delete { reference: tag_of("t") }, vec![tag_deleted("r", "t")], 5).await;
    assert_eq!(untagged().await, of(&[&one, &two]));
    delete(&store, "r", &one).await;
    assert_eq!(untagged().await, of(&[&two]));
}

pub(in crate::store) async fn a_tag_that_the_registry_denies_is_lost_until_it_is_there_or_gone(
    store: AnyStore,
) {
    let image = image("one", &[]);
    push(&store, "r", &image, &["t", "u", "v"], 1).await;
    let missing = |name| Change::ReferenceMissing { repository: repository("r"), reference: tag_of(name) };
    for name in ["t", "u", "v"] {
        find(&store, missing(name), Source::Swept, 2).await;
    }
    let lost = flawed(&store, Flaw::LostTag).await;
    let expected = ["r:t", "r:u", "r:v"].map(|name| (name.to_owned(), vec![image.digest.clone()]));
    assert_eq!(lost, expected);
    let present = Change::ReferencePresent { repository: repository("r"), reference: tag_of("t") };
    find(&store, present, Source::Swept, 3).await;
    find(&store, tag_deleted("r", "u"), Source::Swept, 4).await;
    assert_eq!(names(&store, Flaw::LostTag).await, ["r:v"]);
    push(&store, "r", &image, &["v"], 5).await;
    assert_eq!(names(&store, Flaw::LostTag).await, NONE);
}

pub(in crate::store) async fn a_repository_that_holds_nothing_is_empty(store: AnyStore) {
    let image = image("one", &[]);
    let empty = async || names(&store, Flaw::EmptyRepository).await;
    find(&store, Change::RepositoryFound { repository: repository("found") }, Source::Swept, 1).await;
    push(&store, "r", &image, &["t"], 1).await;
    assert_eq!(empty().await, ["found"]);
    delete(&store, "r", &image).await;
    assert_eq!(empty().await, ["found", "r"]);
    push(&store, "found", &image, &[], 6).await;
    assert_eq!(empty().await, ["r"]);
    find(&store, repository_gone("r"), Source::Swept, 7).await;
    assert_eq!(empty().await, NONE);
}

pub(in crate::store) async fn flaws_are_listed_in_pages_and_go_with_their_repository(store: AnyStore) {
    for name in ["a", "a/b", "b"] {
        for number in 0..3 {
            push(&store, name, &image(&format!("{name} {number}"), &[]), &[], 1).await;
        }
    }
    let whole = names(&store, Flaw::Untagged).await;
    assert_eq!(whole.len(), 9);
    for limit in 1..5 {
        let (mut after, mut listed) = (None, Vec::new());
        loop {
            let page = store.flawed(Flaw::Untagged, PageRequest { after, limit }).await.unwrap();
            assert!(page.items.len() <= limit);
            listed.extend(page.items.into_iter().map(|record| record.about.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, whole);
    }
    find(&store, repository_gone("a"), Source::Swept, 2).await;
    assert_eq!(names(&store, Flaw::Untagged).await, whole[3..]);
    let counts = store.flaw_counts().await.unwrap();
    assert_eq!((counts.untagged, counts.missing_children, counts.empty_repository), (6, 0, 0));
}

pub(in crate::store) async fn any_changes_come_to_what_a_look_at_everything_finds(store: AnyStore) {
    let looking: AnyStore = Arc::new(MemoryStore::default());
    let mut runner = TestRunner::deterministic();
    let changes = proptest::collection::vec(any_change(), 300).new_tree(&mut runner).unwrap().current();
    for (now, (change, source)) in changes.into_iter().enumerate() {
        for store in [&store, &looking] {
            find(store, change.clone(), source, now as u64 * 40_000_000).await;
        }
        for flaw in Flaw::ALL {
            assert_eq!(flawed(&store, flaw).await, flawed(&looking, flaw).await, "{flaw:?} after {change:?}");
        }
        assert_eq!(store.totals().await.unwrap(), looking.totals().await.unwrap());
    }
    assert_eq!(store.days(1_000).await.unwrap(), looking.days(1_000).await.unwrap());
    // Also what no question shows agrees with the rest.
    if let Some(record) = store.whole().unwrap() {
        assert_agrees(record);
    }
}
