//! Intents: noting them, settling them, and what overlapped.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{AnyStore, carry, deleting, digest_of, history, push, putting, tag_of};
use crate::oci::Manifest;
use crate::store::sample::{alice, at, image, manifest_deleted, put, repository, tag};
use crate::store::{Actor, EventKind, Guard, IntentState, Outcome, PageRequest, Sequence, Settled, Source};

pub(in crate::store) async fn an_intent_is_open_until_it_is_settled(store: AnyStore) {
    let image = image("one", &[]);
    let first = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    let second = store.begin(repository("s"), deleting(&image), Actor::default(), at(2)).await.unwrap();
    assert!(first.sequence < second.sequence);
    assert_eq!((first.state, first.begun, &first.actor), (IntentState::Carried, at(1), &alice()));
    assert_eq!(store.open_intents().await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.statistics().await.unwrap().open_intents, 2);
    assert!(history(&store).await.is_empty(), "nothing is recorded before the registry answered");

    store.settle(first.sequence, Outcome::Applied(vec![put("r", &image, &["t"])]), at(3)).await.unwrap();
    assert_eq!(store.open_intents().await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(history(&store).await[0].time, at(3));
    store.settle(second.sequence, Outcome::Closed, at(4)).await.unwrap();
    assert!(store.open_intents().await.unwrap().is_empty());
    assert_eq!(history(&store).await.len(), 1);
}

pub(in crate::store) async fn a_doubted_intent_stays_open_and_unknown(store: AnyStore) {
    let image = image("one", &[]);
    let intent = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    store.doubt(intent.sequence).await.unwrap();
    let open = store.open_intents().await.unwrap();
    assert_eq!((open.len(), open[0].sequence, open[0].state), (1, intent.sequence, IntentState::Unknown));
    store.doubt(Sequence::new(4_711)).await.unwrap();
    store.settle(intent.sequence, Outcome::Closed, at(2)).await.unwrap();
    assert!(store.open_intents().await.unwrap().is_empty());
}

pub(in crate::store) async fn settling_twice_changes_nothing(store: AnyStore) {
    let image = image("one", &[]);
    let intent = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    let applied = || Outcome::Applied(vec![put("r", &image, &["t"])]);
    store.settle(intent.sequence, applied(), at(2)).await.unwrap();
    push(&store, "r", &image, &["t"], 3).await;
    assert_eq!(store.settle(intent.sequence, applied(), at(4)).await.unwrap(), Settled::default());
    assert_eq!(history(&store).await.len(), 2);
}

pub(in crate::store) async fn writes_to_one_tag_that_were_open_together_overlap(store: AnyStore) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    let open = async |manifest: &Manifest, tags: &[&str]| {
        store.begin(repository("r"), putting(manifest, tags), alice(), at(1)).await.unwrap().sequence
    };
    let settle = async |intent, manifest: &Manifest, tags: &[&str]| {
        let outcome = Outcome::Applied(vec![put("r", manifest, tags)]);
        store.settle(intent, outcome, at(2)).await.unwrap().overlapped
    };
    let (a, b) = (open(&first, &["t", "u"]).await, open(&second, &["t", "v"]).await);
    assert_eq!(settle(b, &second, &["t", "v"]).await, [tag_of("t")], "the other is still open");
    assert_eq!(settle(a, &first, &["t", "u"]).await, [tag_of("t")], "the other was settled meanwhile");
    let open_now = store.open_intents().await.unwrap();
    assert_eq!(open_now.len(), 1, "the one that was overtaken stays to be asked about, the other does not");
    assert_eq!(open_now[0].sequence, a);
    store.settle(a, Outcome::Closed, at(2)).await.unwrap();
    let alone = open(&first, &["t"]).await;
    assert!(
        settle(alone, &first, &["t"]).await.is_empty(),
        "what was settled before it began does not count"
    );

    let (left, late) = (open(&first, &["t"]).await, open(&second, &["t"]).await);
    store.doubt(left).await.unwrap();
    assert_eq!(
        settle(late, &second, &["t"]).await,
        [tag_of("t")],
        "nobody knows when the doubted one is done"
    );
    let elsewhere = store.begin(repository("s"), putting(&first, &["t"]), alice(), at(1)).await.unwrap();
    let outcome = Outcome::Applied(vec![put("s", &first, &["t"])]);
    assert_eq!(store.settle(elsewhere.sequence, outcome, at(2)).await.unwrap(), Settled::default());
}

pub(in crate::store) async fn a_deletion_by_digest_overlaps_what_moves_its_tags(store: AnyStore) {
    let (old, new) = (image("old", &[]), image("new", &[]));
    push(&store, "r", &old, &["t", "u"], 1).await;
    let delete = store.begin(repository("r"), deleting(&old), alice(), at(2)).await.unwrap();
    // A tag is moved away while its old manifest is being deleted: the registry may take it along.
    assert_eq!(push(&store, "r", &new, &["t"], 3).await.overlapped, [tag_of("t")]);
    // Pushed again while it is being deleted: the tag may be left without its manifest.
    assert_eq!(push(&store, "r", &old, &["v"], 3).await.overlapped, [tag_of("v"), digest_of(&old)]);
    assert!(push(&store, "r", &new, &["w"], 3).await.overlapped.is_empty());
    let outcome = Outcome::Applied(vec![manifest_deleted("r", &old)]);
    let settled = store.settle(delete.sequence, outcome, at(4)).await.unwrap();
    assert_eq!(settled.overlapped, [tag_of("t"), tag_of("v"), digest_of(&old)]);

    let put_again = store.begin(repository("r"), putting(&new, &["x"]), alice(), at(5)).await.unwrap();
    carry(&store, "r", deleting(&new), vec![manifest_deleted("r", &new)], 6).await;
    let outcome = Outcome::Applied(vec![put("r", &new, &["x"])]);
    let settled = store.settle(put_again.sequence, outcome, at(7)).await.unwrap();
    assert_eq!(settled.overlapped, [tag_of("x"), digest_of(&new)]);
}

pub(in crate::store) async fn what_was_found_with_an_outcome_is_recorded_with_it_by_nobody(store: AnyStore) {
    let (old, new) = (image("old", &[]), image("new", &[]));
    push(&store, "r", &old, &["t", "u"], 1).await;
    let delete = store.begin(repository("r"), deleting(&old), alice(), at(2)).await.unwrap();
    let found = vec![put("r", &new, &["t"])];
    let outcome = Outcome::Amended { found, applied: vec![manifest_deleted("r", &old)] };
    assert_eq!(store.settle(delete.sequence, outcome, at(3)).await.unwrap(), Settled::default());
    assert!(store.open_intents().await.unwrap().is_empty());
    let kept = store.tag(&repository("r"), &tag("t")).await.unwrap().unwrap();
    assert_eq!((kept.digest, kept.source, kept.pushed_by), (new.digest.clone(), Source::Verified, None));
    let events: Vec<_> = history(&store).await.split_off(2);
    let short: Vec<_> = events.iter().map(|event| (event.kind, event.tag.clone(), event.source)).collect();
    let expected = [
        (EventKind::ManifestPut, Some(tag("t")), Source::Verified),
        (EventKind::TagDeleted, Some(tag("u")), Source::Observed),
        (EventKind::ManifestDeleted, None, Source::Observed),
    ];
    assert_eq!(short, expected);
    assert_eq!((&events[0].actor, &events[2].actor), (&Actor::default(), &alice()));
}

pub(in crate::store) async fn puts_of_one_manifest_under_different_tags_do_not_overlap(store: AnyStore) {
    let image = image("one", &[]);
    let first = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    assert_eq!(push(&store, "r", &image, &["u"], 2).await, Settled::default());
    let outcome = Outcome::Applied(vec![put("r", &image, &["t"])]);
    assert_eq!(store.settle(first.sequence, outcome, at(3)).await.unwrap(), Settled::default());
}

pub(in crate::store) async fn sequence_numbers_are_never_given_twice(store: AnyStore) {
    assert_eq!(store.sequence().await.unwrap(), Sequence::ZERO);
    let mut tasks = Vec::new();
    for number in 0..64_u64 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let image = image(&number.to_string(), &["base"]);
            let name = format!("r{}", number % 3);
            let write = putting(&image, &["t", "u"]);
            let intent = store.begin(repository(&name), write, alice(), at(number)).await.unwrap();
            let outcome = Outcome::Applied(vec![put(&name, &image, &["t", "u"])]);
            store.settle(intent.sequence, outcome, at(number)).await.unwrap();
            intent.sequence
        }));
    }
    let mut given = BTreeSet::new();
    for task in tasks {
        assert!(given.insert(task.await.unwrap()));
    }
    let events = history(&store).await;
    assert_eq!(events.len(), 128);
    assert!(events.iter().all(|event| given.insert(event.sequence)));
    assert_eq!(store.sequence().await.unwrap(), *given.last().unwrap());
    assert_eq!(given.first(), Some(&Sequence::new(1)));
}

pub(in crate::store) async fn a_write_whose_caller_left_is_done_whole_or_not_at_all(store: AnyStore) {
    let image = image("one", &[]);
    let mut whole = 0;
    for number in 0..20_u64 {
        let name = format!("r{number}");
        let change = put(&name, &image, &["t", "u"]);
        let guard = Guard { reference: Some(tag_of("t")), since: Sequence::ZERO };
        let mut recording = store.record(vec![change], Source::Swept, guard, at(number));
        let waker = std::task::Waker::noop();
        let started = recording.as_mut().poll(&mut std::task::Context::from_waker(waker));
        assert!(started.is_pending());
        drop(recording);
        // The writer takes requests in their order: when this one is done, so is what was left behind.
        push(&store, "behind", &image, &["t"], number).await;
        let known = store.repository(&repository(&name)).await.unwrap();
        let tags = store.tags(&repository(&name), PageRequest { after: None, limit: 9 }).await.unwrap();
        let events =
            store.events(Some(&repository(&name)), PageRequest { after: None, limit: 9 }).await.unwrap();
        let expected = known.map_or(0, |known| known.tags as usize);
        assert!(expected == 0 || expected == 2);
        assert_eq!((tags.items.len(), events.items.len()), (expected, expected));
        whole += expected / 2;
    }
    assert!(whole > 0, "once the writer has it, it is done");
}

pub(in crate::store) async fn an_intent_whose_caller_left_is_carried_by_nobody(store: AnyStore) {
    let image = image("one", &[]);
    for number in 0..20 {
        let mut begin = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(number));
        let waker = std::task::Waker::noop();
        assert!(begin.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
        // The caller leaves before the answer, or with the answer waiting unheard.
        if number % 2 == 0 {
            drop(begin);
            push(&store, "behind", &image, &["t"], number).await;
        } else {
            push(&store, "behind", &image, &["t"], number).await;
            drop(begin);
        }
        let open = store.open_intents().await.unwrap();
        assert!(number % 2 == 0 || !open.is_empty());
        assert!(open.iter().all(|intent| intent.state == IntentState::Unknown));
        for intent in open {
            store.settle(intent.sequence, Outcome::Closed, at(number)).await.unwrap();
        }
    }
}
