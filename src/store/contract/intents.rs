//! Intents: noting them, settling them, and what overlapped.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{AnyStore, carry, deleting, digest_of, history, push, putting, tag_of};
use crate::oci::Reference;
use crate::store::sample::{alice, at, image, manifest_deleted, put, repository, tag};
use crate::store::{
    Actor, EventKind, Guard, Incarnation, Intent, IntentState, LeaseName, Outcome, PageRequest, Recorded,
    Retry, Sequence, Settled, Source, Write,
};

pub(in crate::store) async fn an_intent_is_open_until_it_is_settled(store: AnyStore) {
    let image = image("one", &[]);
    let first = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    let second = store.begin(repository("s"), deleting(&image), Actor::default(), at(2)).await.unwrap();
    assert!(first.sequence < second.sequence);
    assert_eq!(
        (first.state, first.begun, &first.actor),
        (IntentState::Carried { since: first.sequence }, at(1), &alice())
    );
    assert_eq!(store.open_intents().await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.statistics().await.unwrap().open_intents, 2);
    assert!(history(&store).await.is_empty(), "nothing is recorded before the registry answered");

    store.settle(&first, Outcome::Applied(vec![put("r", &image, &["t"])]), at(3)).await.unwrap();
    assert_eq!(store.open_intents().await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(history(&store).await[0].time, at(3));
    store.settle(&second, Outcome::Closed, at(4)).await.unwrap();
    assert!(store.open_intents().await.unwrap().is_empty());
    assert_eq!(history(&store).await.len(), 1);
}

pub(in crate::store) async fn an_intent_that_nobody_carries_stays_open_and_unknown(store: AnyStore) {
    let image = image("one", &[]);
    let intent = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    store.mark_unknown(&intent).await.unwrap();
    let open = store.open_intents().await.unwrap();
    let unknown = IntentState::unknown_since(intent.sequence);
    assert_eq!((open.len(), open[0].sequence, open[0].state), (1, intent.sequence, unknown));
    assert!(!store.mark_unknown(&intent).await.unwrap(), "it is already");
    store.settle(&intent, Outcome::Closed, at(2)).await.unwrap();
    assert!(store.open_intents().await.unwrap().is_empty());
}

pub(in crate::store) async fn an_unknown_intent_is_put_off_until_a_time_and_no_other(store: AnyStore) {
    let image = image("one", &[]);
    let begin =
        async |tags| store.begin(repository("r"), putting(&image, tags), alice(), at(1)).await.unwrap();
    let (unknown, gone) = (begin(&["a"]).await, begin(&["b"]).await);
    let (carried, waiting) = (begin(&["c"]).await, begin(&["c"]).await);
    for intent in [&unknown, &gone] {
        store.mark_unknown(intent).await.unwrap();
    }
    store.settle(&gone, Outcome::Closed, at(2)).await.unwrap();
    let lease = store.acquire(LeaseName::Verify).await.unwrap().unwrap();
    for attempts in 1..3 {
        let retry = Retry::after(attempts, Duration::from_millis(200), at(2));
        let retries = [&unknown, &gone, &carried, &waiting].map(|intent| (intent.sequence, retry));
        store.postpone_intents(lease, retries.to_vec()).await.unwrap();
        let open: Vec<_> = store.open_intents().await.unwrap().iter().map(|intent| intent.state).collect();
        let since = unknown.sequence;
        assert_eq!(open, [IntentState::Unknown { since, retry }, carried.state, waiting.state]);
    }
    store.settle(&unknown, Outcome::Closed, at(3)).await.unwrap();
    let settled =
        store.settle(&carried, Outcome::Applied(vec![put("r", &image, &["c"])]), at(3)).await.unwrap();
    assert_eq!(settled, Settled::IN_ORDER);
    assert_eq!(states(&store).await, "c", "what waited is carried");
    assert_eq!(history(&store).await.len(), 1, "it is no event");
}

pub(in crate::store) async fn what_is_settled_twice_is_lost_and_changes_nothing(store: AnyStore) {
    let image = image("one", &[]);
    let intent = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    let applied = || Outcome::Applied(vec![put("r", &image, &["t"])]);
    store.settle(&intent, applied(), at(2)).await.unwrap();
    push(&store, "r", &image, &["t"], 3).await;
    assert_eq!(store.settle(&intent, applied(), at(4)).await.unwrap(), Settled::Lost);
    assert_eq!(store.settle(&intent, Outcome::Closed, at(4)).await.unwrap(), Settled::IN_ORDER);
    assert_eq!(history(&store).await.len(), 2);
}

pub(in crate::store) async fn only_who_carries_an_intent_settles_it(store: AnyStore) {
    let image = image("one", &[]);
    let applied = || Outcome::Applied(vec![put("r", &image, &["t"])]);
    let intent = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    let waiting = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    assert_eq!(store.settle(&waiting, applied(), at(2)).await.unwrap(), Settled::Lost, "it waits");
    let earlier = Incarnation { epoch: 4_711, ..intent.holder };
    let other = Intent { holder: earlier, ..intent.clone() };
    assert_eq!(store.settle(&other, applied(), at(2)).await.unwrap(), Settled::Lost, "another's");
    store.mark_unknown(&intent).await.unwrap();
    assert_eq!(store.settle(&intent, applied(), at(2)).await.unwrap(), Settled::Lost, "it was given up");
    assert!(history(&store).await.is_empty());
    assert_eq!(store.open_intents().await.unwrap().len(), 2);
}

/// The states of all open intents, oldest first: waiting, carried or unknown.
async fn states(store: &AnyStore) -> String {
    let letter = |intent: &Intent| match intent.state {
        IntentState::Waiting => 'w',
        IntentState::Carried { .. } => 'c',
        IntentState::Unknown { .. } => 'u',
    };
    store.open_intents().await.unwrap().iter().map(letter).collect()
}

pub(in crate::store) async fn writes_to_one_tag_are_carried_one_after_the_other_in_their_order(
    store: AnyStore,
) {
    let image = image("one", &[]);
    let mut intents = Vec::new();
    for tags in [&["t", "u"][..], &["u"], &["v"], &["v", "u"], &["w"], &["t"]] {
        intents.push(store.begin(repository("r"), putting(&image, tags), alice(), at(1)).await.unwrap());
    }
    assert_eq!(states(&store).await, "cwcwcw");
    store.begin(repository("s"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    assert_eq!(states(&store).await, "cwcwcwc", "another repository waits for none of them");
    store.settle(&intents[2], Outcome::Closed, at(2)).await.unwrap();
    assert_eq!(states(&store).await, "cwwcwc", "v is free, u is not");
    store.settle(&intents[0], Outcome::Applied(vec![put("r", &image, &["t", "u"])]), at(2)).await.unwrap();
    assert_eq!(states(&store).await, "cwccc");
    store.mark_unknown(&intents[1]).await.unwrap();
    assert_eq!(states(&store).await, "ucccc", "when an unknown one is done is not known");
}

pub(in crate::store) async fn one_that_waits_is_overtaken_by_none_and_may_be_given_up(store: AnyStore) {
    let image = image("one", &[]);
    let begin = async |write| store.begin(repository("r"), write, alice(), at(1)).await.unwrap();
    let first = begin(putting(&image, &["t"])).await;
    let second = begin(putting(&image, &["t", "u"])).await;
    let third = begin(putting(&image, &["u"])).await;
    assert_eq!(states(&store).await, "cww", "the third waits for the second");
    store.settle(&second, Outcome::Closed, at(2)).await.unwrap();
    assert_eq!(states(&store).await, "cc");
    let fourth = begin(putting(&image, &["t"])).await;
    store.mark_unknown(&fourth).await.unwrap();
    assert_eq!(states(&store).await, "cc", "the registry has heard nothing of it");
    for intent in [first, third] {
        store.settle(&intent, Outcome::Closed, at(2)).await.unwrap();
    }
    assert_eq!(states(&store).await, "");
}

pub(in crate::store) async fn a_deletion_by_digest_is_carried_alone_in_its_repository(store: AnyStore) {
    let (image, other) = (image("one", &[]), image("two", &[]));
    let begin = async |write| store.begin(repository("r"), write, alice(), at(1)).await.unwrap();
    let push = begin(putting(&other, &["t"])).await;
    let delete = begin(deleting(&image)).await;
    begin(putting(&other, &["u"])).await;
    begin(putting(&other, &[])).await;
    begin(Write::Delete { reference: tag_of("v") }).await;
    assert_eq!(states(&store).await, "cwwww");
    store.settle(&push, Outcome::Closed, at(2)).await.unwrap();
    assert_eq!(states(&store).await, "cwww");
    store.settle(&delete, Outcome::Closed, at(2)).await.unwrap();
    assert_eq!(states(&store).await, "ccc", "what does not name the same tag is carried at once");
}

pub(in crate::store) async fn who_waits_hears_when_it_is_their_turn_or_their_intent_is_gone(store: AnyStore) {
    let image = image("one", &[]);
    let first = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    let wait = async || {
        let waiting = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
        let (store, intent) = (Arc::clone(&store), waiting.clone());
        let task = tokio::spawn(async move { store.until_carried(&intent).await.unwrap() });
        (waiting, task)
    };
    let (second, heard) = wait().await;
    let (third, gone) = wait().await;
    store.settle(&third, Outcome::Closed, at(2)).await.unwrap();
    assert_eq!(gone.await.unwrap(), None);
    store.settle(&first, Outcome::Applied(vec![put("r", &image, &["t"])]), at(2)).await.unwrap();
    let carried = heard.await.unwrap().unwrap();
    assert_eq!(carried.sequence, second.sequence);
    let last = store.sequence().await.unwrap();
    assert_eq!(carried.state, IntentState::Carried { since: last }, "behind what it waited for");
    let outcome = Outcome::Applied(vec![put("r", &image, &["t"])]);
    assert_eq!(store.settle(&carried, outcome, at(3)).await.unwrap(), Settled::IN_ORDER);
}

pub(in crate::store) async fn a_write_that_waits_blocks_no_guard_and_overlaps_nothing(store: AnyStore) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    push(&store, "r", &first, &["t"], 1).await;
    let carried = store.begin(repository("r"), putting(&second, &["u"]), alice(), at(2)).await.unwrap();
    store.begin(repository("r"), putting(&second, &["u", "t"]), alice(), at(2)).await.unwrap();
    assert_eq!(states(&store).await, "cw");
    let guard = Guard { reference: Some(tag_of("t")), since: store.sequence().await.unwrap(), lease: None };
    let gone = crate::store::sample::tag_deleted("r", "t");
    let recorded = store.record(vec![gone], Source::Swept, guard, at(3)).await.unwrap();
    assert_eq!(recorded, Recorded::Changed(1));
    let outcome = Outcome::Applied(vec![put("r", &second, &["u"])]);
    assert_eq!(store.settle(&carried, outcome, at(3)).await.unwrap(), Settled::IN_ORDER);
}

pub(in crate::store) async fn writes_to_one_tag_overlap_with_those_of_unknown_outcome(store: AnyStore) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    let left = store.begin(repository("r"), putting(&first, &["t", "u"]), alice(), at(1)).await.unwrap();
    store.mark_unknown(&left).await.unwrap();
    let unknown = overlapped(push(&store, "r", &second, &["t", "v"], 2).await);
    assert_eq!(unknown, [tag_of("t")], "when the unknown one is done is not known");
    let carried = store.begin(repository("r"), putting(&second, &["u"]), alice(), at(3)).await.unwrap();
    // What verification finds is recorded although the tag is not its own any more to look at: by an amended outcome.
    let delete = Write::Delete { reference: tag_of("w") };
    let other = store.begin(repository("r"), delete, alice(), at(3)).await.unwrap();
    let found = vec![put("r", &first, &["u"])];
    let outcome = Outcome::Amended { found, applied: Vec::new() };
    store.settle(&other, outcome, at(4)).await.unwrap();
    let outcome = Outcome::Applied(vec![put("r", &second, &["u"])]);
    assert_eq!(overlapped(store.settle(&carried, outcome, at(5)).await.unwrap()), [tag_of("u")]);
    assert_eq!(states(&store).await, "uu", "the one that was overtaken stays to be asked about");
    let elsewhere = push(&store, "s", &first, &["t"], 6).await;
    assert_eq!(elsewhere, Settled::IN_ORDER);
}

/// What a settled intent met.
fn overlapped(settled: Settled) -> Vec<Reference> {
    match settled {
        Settled::Recorded { overlapped } => overlapped,
        Settled::Lost => panic!("the intent is there"),
    }
}

pub(in crate::store) async fn a_deletion_by_digest_of_unknown_outcome_overlaps_what_moves_its_tags(
    store: AnyStore,
) {
    let (old, new) = (image("old", &[]), image("new", &[]));
    push(&store, "r", &old, &["t", "u"], 1).await;
    let delete = store.begin(repository("r"), deleting(&old), alice(), at(2)).await.unwrap();
    store.mark_unknown(&delete).await.unwrap();
    // A tag is moved away while its old manifest is being deleted: the registry may take it along.
    assert_eq!(overlapped(push(&store, "r", &new, &["t"], 3).await), [tag_of("t")]);
    // Pushed again while it is being deleted: the tag may be left without its manifest.
    assert_eq!(overlapped(push(&store, "r", &old, &["v"], 3).await), [tag_of("v"), digest_of(&old)]);
    assert!(overlapped(push(&store, "r", &new, &["w"], 3).await).is_empty());

    let put_again = store.begin(repository("r"), putting(&old, &["x"]), alice(), at(5)).await.unwrap();
    store.mark_unknown(&put_again).await.unwrap();
    let deleted = carry(&store, "r", deleting(&old), vec![manifest_deleted("r", &old)], 6).await;
    assert_eq!(overlapped(deleted), [tag_of("x"), digest_of(&old)]);
}

pub(in crate::store) async fn what_was_found_with_an_outcome_is_recorded_with_it_by_nobody(store: AnyStore) {
    let (old, new) = (image("old", &[]), image("new", &[]));
    push(&store, "r", &old, &["t", "u"], 1).await;
    let delete = store.begin(repository("r"), deleting(&old), alice(), at(2)).await.unwrap();
    let found = vec![put("r", &new, &["t"])];
    let outcome = Outcome::Amended { found, applied: vec![manifest_deleted("r", &old)] };
    assert_eq!(store.settle(&delete, outcome, at(3)).await.unwrap(), Settled::IN_ORDER);
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
    assert_eq!(push(&store, "r", &image, &["u"], 2).await, Settled::IN_ORDER);
    let outcome = Outcome::Applied(vec![put("r", &image, &["t"])]);
    assert_eq!(store.settle(&first, outcome, at(3)).await.unwrap(), Settled::IN_ORDER);
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
            let intent = store.until_carried(&intent).await.unwrap().unwrap();
            let outcome = Outcome::Applied(vec![put(&name, &image, &["t", "u"])]);
            assert_eq!(store.settle(&intent, outcome, at(number)).await.unwrap(), Settled::IN_ORDER);
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
        let guard = Guard { reference: Some(tag_of("t")), since: Sequence::ZERO, lease: None };
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

pub(in crate::store) async fn an_intent_whose_caller_left_is_removed(store: AnyStore) {
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
        push(&store, "behind", &image, &["t"], number).await;
        assert!(store.open_intents().await.unwrap().is_empty(), "the registry has heard nothing of it");
    }
}
