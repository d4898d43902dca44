//! What a store must do that several doors share, as functions over two of them.

use std::sync::Arc;
use std::time::Duration;

use super::{AnyStore, deleting, history, putting};
use crate::oci::Reference;
use crate::store::sample::{alice, at, image, put, repository, tag, tag_deleted};
use crate::store::{
    Beat, Guard, Hint, HintedReference, Intent, IntentState, LeaseName, Outcome, PageRequest, Queued, Retry,
    Sequence, Settled, Source, StoreError, SweepKind, SweepStart, SweepUpdate,
};

/// Runs the contract of several doors. `$open` makes two over one empty record.
macro_rules! several_doors_tests {
    ($open:path; $($promise:ident)+) => {
        $(#[tokio::test]
        async fn $promise() {
            let ([first, second], _keep) = $open();
            $crate::store::contract::several_doors::$promise(first, second).await;
        })+
    };
    ($open:path) => {
        $crate::store::contract::several_doors_tests! { $open;
            a_write_waits_for_that_of_another_door
            what_a_dead_door_carried_is_unknown_and_what_it_was_to_carry_goes
            a_door_that_was_taken_for_dead_writes_nothing_until_it_has_joined_again
            what_was_announced_in_an_earlier_life_is_lost
            a_door_that_was_heard_again_is_not_taken_for_dead
            a_lease_belongs_to_one_door_until_it_is_given_back_or_that_door_is_dead
            a_sweep_that_has_lost_its_lease_records_nothing_and_keeps_nothing
            what_one_door_has_put_off_another_goes_on_with_and_none_without_the_lease
            a_sweep_is_asked_for_at_any_door_and_outlives_the_one_that_began_it
        }
    };
}

pub(in crate::store) use several_doors_tests;

/// Two doors of one record.
pub(in crate::store) type TwoDoors = [AnyStore; 2];

/// How the first door was last heard, as the second one sees it.
async fn last_heard(first: &AnyStore, second: &AnyStore) -> Beat {
    first.beat().await.unwrap();
    let beats = second.beat().await.unwrap();
    assert_eq!(beats.len(), 2);
    beats[0]
}

async fn begin(store: &AnyStore, tags: &[&str]) -> Intent {
    store.begin(repository("r"), putting(&image("one", &[]), tags), alice(), at(1)).await.unwrap()
}

fn applied(tags: &[&str]) -> Outcome {
    Outcome::Applied(vec![put("r", &image("one", &[]), tags)])
}

pub(in crate::store) async fn a_write_waits_for_that_of_another_door(first: AnyStore, second: AnyStore) {
    let carried = begin(&first, &["t"]).await;
    let waiting = begin(&second, &["t"]).await;
    assert_eq!(waiting.state, IntentState::Waiting);
    let turn = {
        let (second, waiting) = (Arc::clone(&second), waiting.clone());
        tokio::spawn(async move { second.until_carried(&waiting).await.unwrap().unwrap() })
    };
    assert_eq!(second.settle(&carried, Outcome::Closed, at(2)).await.unwrap(), Settled::IN_ORDER);
    let waiting = turn.await.unwrap();
    assert_eq!(first.settle(&waiting, applied(&["t"]), at(3)).await.unwrap(), Settled::IN_ORDER);
}

pub(in crate::store) async fn what_a_dead_door_carried_is_unknown_and_what_it_was_to_carry_goes(
    first: AnyStore,
    second: AnyStore,
) {
    let carried = begin(&first, &["t"]).await;
    let goes = begin(&first, &["t", "u"]).await;
    let waiting = begin(&second, &["u"]).await;
    let behind = begin(&second, &["t"]).await;
    assert!(second.adopt(last_heard(&first, &second).await).await.unwrap());
    let open = second.open_intents().await.unwrap();
    let sequences: Vec<Sequence> = open.iter().map(|intent| intent.sequence).collect();
    assert_eq!(sequences, [carried.sequence, waiting.sequence, behind.sequence]);
    assert!(!sequences.contains(&goes.sequence) && open[0].state.is_unknown());
    assert!(open[1].state.is_carried() && open[2].state.is_carried(), "nothing waits for a dead door");
}

pub(in crate::store) async fn a_door_that_was_taken_for_dead_writes_nothing_until_it_has_joined_again(
    first: AnyStore,
    second: AnyStore,
) {
    let carried = begin(&first, &["t"]).await;
    assert!(second.adopt(last_heard(&first, &second).await).await.unwrap());
    let write = deleting(&image("one", &[]));
    let begun = first.begin(repository("r"), write, alice(), at(2)).await;
    assert!(matches!(begun, Err(StoreError::Fenced)), "{begun:?}");
    let settled = first.settle(&carried, applied(&["t"]), at(2)).await;
    assert!(matches!(settled, Err(StoreError::Fenced)), "{settled:?}");
    let guard = Guard { reference: None, since: first.sequence().await.unwrap(), lease: None };
    let recorded = first.record(vec![tag_deleted("r", "t")], Source::Verified, guard, at(2)).await;
    assert!(matches!(recorded, Err(StoreError::Fenced)), "{recorded:?}");
    assert!(matches!(first.beat().await, Err(StoreError::Fenced)));
    assert!(matches!(first.acquire(LeaseName::Hints).await, Err(StoreError::Fenced)));
    assert!(history(&second).await.is_empty());
    first.rejoin().await.unwrap();
    first.beat().await.unwrap();
    assert!(begin(&first, &["v"]).await.state.is_carried());
}

pub(in crate::store) async fn what_was_announced_in_an_earlier_life_is_lost(
    first: AnyStore,
    second: AnyStore,
) {
    let carried = begin(&first, &["t"]).await;
    assert!(second.adopt(last_heard(&first, &second).await).await.unwrap());
    first.rejoin().await.unwrap();
    assert_eq!(first.settle(&carried, applied(&["t"]), at(2)).await.unwrap(), Settled::Lost);
    assert!(!first.mark_unknown(&carried).await.unwrap(), "it is asked about already");
    assert_eq!(second.settle(&carried, Outcome::Closed, at(3)).await.unwrap(), Settled::IN_ORDER);
    assert!(!first.mark_unknown(&carried).await.unwrap(), "others are done with it");
    assert!(history(&second).await.is_empty());
}

pub(in crate::store) async fn a_door_that_was_heard_again_is_not_taken_for_dead(
    first: AnyStore,
    second: AnyStore,
) {
    let before = last_heard(&first, &second).await;
    first.beat().await.unwrap();
    assert!(!second.adopt(before).await.unwrap());
    assert!(begin(&first, &["t"]).await.state.is_carried());
    let dead = last_heard(&first, &second).await;
    assert!(second.adopt(dead).await.unwrap());
    assert!(!second.adopt(dead).await.unwrap(), "it has died once");
}

pub(in crate::store) async fn a_lease_belongs_to_one_door_until_it_is_given_back_or_that_door_is_dead(
    first: AnyStore,
    second: AnyStore,
) {
    let held = first.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    assert_eq!(second.acquire(LeaseName::Sweep).await.unwrap(), None);
    assert!(second.acquire(LeaseName::Verify).await.unwrap().is_some(), "each lease is one of its own");
    assert_eq!(first.acquire(LeaseName::Sweep).await.unwrap(), Some(held), "it is this door's already");
    first.release(held).await.unwrap();
    let next = second.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    assert!(next.epoch > held.epoch);
    first.release(held).await.unwrap();
    assert_eq!(first.acquire(LeaseName::Sweep).await.unwrap(), None, "what was another's is not given back");
    second.release(next).await.unwrap();
    assert!(first.acquire(LeaseName::Sweep).await.unwrap().is_some());
    assert!(second.adopt(last_heard(&first, &second).await).await.unwrap());
    assert!(second.acquire(LeaseName::Sweep).await.unwrap().is_some(), "a dead door holds nothing");
}

pub(in crate::store) async fn a_sweep_that_has_lost_its_lease_records_nothing_and_keeps_nothing(
    first: AnyStore,
    second: AnyStore,
) {
    let held = first.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    let found = || vec![put("r", &image("one", &[]), &["t"])];
    let record = async |lease| {
        let guard = Guard { reference: None, since: first.sequence().await.unwrap(), lease: Some(lease) };
        first.record(found(), Source::Swept, guard, at(2)).await
    };
    let update = |checkpoint: &[u8]| SweepUpdate { checkpoint: checkpoint.to_vec(), ..Default::default() };
    first.request_sweep(SweepKind::Deep, at(1)).await.unwrap();
    first.begin_sweep(held, None, at(1)).await.unwrap();
    first.keep_sweep(held, update(b"before")).await.unwrap();
    first.release(held).await.unwrap();
    let next = second.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    let recorded = record(held).await;
    assert!(matches!(recorded, Err(StoreError::Fenced)), "{recorded:?}");
    let begun = first.begin_sweep(held, Some(SweepKind::Deep), at(1)).await;
    assert!(matches!(begun, Err(StoreError::Fenced)), "{begun:?}");
    for refused in [
        first.keep_sweep(held, update(b"late")).await,
        first.show_sweep(held, b"late".to_vec()).await,
        first.end_sweep(held, 1, update(b"late"), b"late".to_vec()).await,
    ] {
        assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    }
    let report = second.sweep_report().await.unwrap();
    assert_eq!((report.activity, report.finished), (None, None));
    assert_eq!(report.queue.unfinished, Some(SweepKind::Deep), "it has not ended");
    assert!(history(&second).await.is_empty());
    assert_eq!(second.kept_sweep().await.unwrap().unwrap().checkpoint, b"before");
    second.release(next).await.unwrap();
    let again = first.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    assert!(record(again).await.is_ok());
}

pub(in crate::store) async fn what_one_door_has_put_off_another_goes_on_with_and_none_without_the_lease(
    first: AnyStore,
    second: AnyStore,
) {
    let intent = begin(&first, &["t"]).await;
    first.mark_unknown(&intent).await.unwrap();
    let about = HintedReference { repository: repository("r"), reference: Reference::Tag(tag("t")) };
    let Queued::Kept(hints) = first.add_hints(vec![about]).await.unwrap() else { panic!("there is room") };
    let retry = |attempts| Retry::after(attempts, Duration::from_secs(1), at(2));
    let hint = |attempts| Hint { is_second_look: true, retry: retry(attempts), ..hints[0].clone() };
    let verify = first.acquire(LeaseName::Verify).await.unwrap().unwrap();
    let follow = first.acquire(LeaseName::Hints).await.unwrap().unwrap();
    first.postpone_intents(verify, vec![(intent.sequence, retry(3))]).await.unwrap();
    first.postpone_hints(follow, vec![hint(3)]).await.unwrap();
    let kept = async || {
        let state = second.open_intents().await.unwrap()[0].state;
        let hints = second.hints(PageRequest { after: None, limit: 9 }).await.unwrap().items;
        (state, hints)
    };
    let since = intent.sequence;
    let expected = (IntentState::Unknown { since, retry: retry(3) }, vec![hint(3)]);
    assert_eq!(kept().await, expected);

    first.release(verify).await.unwrap();
    first.release(follow).await.unwrap();
    for is_taken in [false, true] {
        if is_taken {
            second.acquire(LeaseName::Verify).await.unwrap().unwrap();
            second.acquire(LeaseName::Hints).await.unwrap().unwrap();
        }
        let late = first.postpone_intents(verify, vec![(intent.sequence, retry(4))]).await;
        assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
        let late = first.postpone_hints(follow, vec![hint(4)]).await;
        assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
        assert_eq!(kept().await, expected);
    }
}

pub(in crate::store) async fn a_sweep_is_asked_for_at_any_door_and_outlives_the_one_that_began_it(
    first: AnyStore,
    second: AnyStore,
) {
    let held = first.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    let asked = second.request_sweep(SweepKind::Deep, at(7)).await.unwrap();
    assert_eq!((asked.number, asked.numbered_since), (1, at(7)));
    let begun = first.begin_sweep(held, None, at(8)).await.unwrap().unwrap();
    assert_eq!((begun.number, begun.kind), (1, SweepKind::Deep));
    let next = second.request_sweep(SweepKind::Shallow, at(9)).await.unwrap();
    assert_eq!((next.number, next.numbered_since), (2, at(7)), "one that begins from now on");
    first.show_sweep(held, b"half".to_vec()).await.unwrap();
    assert_eq!(second.sweep_report().await.unwrap().activity.as_deref(), Some(&b"half"[..]));

    assert!(second.adopt(last_heard(&first, &second).await).await.unwrap());
    let held = second.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    let again = second.begin_sweep(held, None, at(10)).await.unwrap().unwrap();
    assert_eq!((again.number, again.kind, again.start), (1, SweepKind::Deep, SweepStart::Again));
    second.end_sweep(held, 1, SweepUpdate::default(), b"well".to_vec()).await.unwrap();
    let last = second.begin_sweep(held, None, at(10)).await.unwrap().unwrap();
    assert_eq!((last.number, last.kind), (2, SweepKind::Shallow));
    let report = first.sweep_report().await.unwrap();
    assert_eq!((report.queue.number, report.finished.as_deref()), (2, Some(&b"well"[..])));
}
