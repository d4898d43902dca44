//! What the ledger is shown of the last events is what the file has, whatever has failed before.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicI64;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::super::requests::doors::ALONE;
use super::super::transaction::Transaction;
use super::faults::{Countdown, faulty};
use super::*;
use crate::oci::RepositoryName;
use crate::store::Event;
use crate::store::ledger::{self, Answered, View as _};
use crate::store::recent_events::{Appended, RecentEvents};
use crate::store::sample::{any_change, deletion_of_tag};

/// What happens to a store.
#[derive(Clone, Debug)]
enum Step {
    Recorded(Vec<(Change, Source)>),
    /// As recorded, but the request fails in the end.
    Refused(Vec<(Change, Source)>),
    /// As recorded, while this operation on the file fails.
    Faulted(Vec<(Change, Source)>, i64),
    Opened,
}

fn any_step() -> impl Strategy<Value = Step> {
    let changes = || prop::collection::vec(any_change(), 1..4);
    prop_oneof![
        8 => changes().prop_map(Step::Recorded),
        2 => changes().prop_map(Step::Refused),
        2 => (changes(), 0_i64..40).prop_map(|(changes, place)| Step::Faulted(changes, place)),
        1 => Just(Step::Opened),
    ]
}

/// Records these, and compares what the ledger is shown with what the file has: before, in between and behind. Answers what differs.
struct Compared {
    changes: Vec<(Change, Source)>,
    is_refused: bool,
}

impl Work<Shared> for Compared {
    type Answer = Vec<String>;
    const ATTEMPTED: &'static str = "compare";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Vec<String>, Failure> {
        let mut different = differences(transaction)?;
        for (change, source) in &self.changes {
            let guard = Guard { reference: None, since: transaction.last(), lease: None };
            let (changes, source) = (vec![change.clone()], *source);
            let answered = Answered { changes, source, guard, now: at(1), by: ALONE };
            ledger::record(transaction, &answered)?.map_err(|_| Failure::Interrupted)?;
            different.append(&mut differences(transaction)?);
        }
        if self.is_refused { Err(Failure::Refused(StoreError::Conflict)) } else { Ok(different) }
    }
}

/// Where the last events that the ledger is shown are not those of the file: all of them, and only the first two.
fn differences(transaction: &Transaction<'_>) -> Result<Vec<String>, Failure> {
    let mut different = Vec::new();
    for repository in ["a", "a/b", "a-b", "none"].map(repository) {
        let last = transaction.last().get();
        // From the file alone, around the oldest that are kept in memory, and from memory alone.
        for since in [0].into_iter().chain(last.saturating_sub(40)..=last).map(Sequence::new) {
            for most in [2, usize::MAX] {
                let (mut shown, mut stored) = (Vec::new(), Vec::new());
                transaction.events_since(&repository, since, keeping(&mut shown, most))?;
                transaction.events_in_file(&repository, since, keeping(&mut stored, most))?;
                if shown != stored {
                    different.push(format!("{repository} since {since:?}: {shown:#?} and not {stored:#?}"));
                }
            }
        }
    }
    Ok(different)
}

fn keeping(kept: &mut Vec<Event>, most: usize) -> impl FnMut(&Event) -> ControlFlow<()> {
    move |event| {
        kept.push(event.clone());
        if kept.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

async fn compare(store: &RedbStore, changes: Vec<(Change, Source)>, is_refused: bool) {
    match store.write(Compared { changes, is_refused }).await {
        Ok(different) => assert!(different.is_empty(), "{}", different.join("\n")),
        Err(StoreError::Conflict) if is_refused => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_shown_the_events_of_the_file_whatever_failed_before() {
    let mut runner = TestRunner::deterministic();
    for takes_place in [false, true, false, true] {
        let steps = prop::collection::vec(any_step(), 40).new_tree(&mut runner).unwrap().current();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb");
        let countdown = Countdown { left: Arc::new(AtomicI64::new(-1)), takes_place };
        let mut store = faulty(&path, &countdown, &Arc::default());
        for step in steps {
            match step {
                Step::Recorded(changes) => compare(&store, changes, false).await,
                Step::Refused(changes) => compare(&store, changes, true).await,
                Step::Faulted(changes, place) => {
                    countdown.left.store(place, Ordering::SeqCst);
                    match store.write(Compared { changes, is_refused: false }).await {
                        Ok(different) => assert!(different.is_empty(), "{}", different.join("\n")),
                        Err(StoreError::Unavailable { .. }) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                    countdown.left.store(-1, Ordering::SeqCst);
                    writable_again(&store).await;
                }
                Step::Opened => {
                    store.close();
                    store = faulty(&path, &countdown, &Arc::default());
                }
            }
        }
        compare(&store, Vec::new(), false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_commit_was_said_to_have_failed_is_shown_if_the_file_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let countdown = Countdown { left: Arc::new(AtomicI64::new(-1)), takes_place: true };
    let store = faulty(&directory.path().join("store.redb"), &countdown, &Arc::default());
    let change = || vec![(put("a", &image("one", &["base"]), &["t1"]), Source::Observed)];
    let mut unheard = 0;
    for place in 0.. {
        compare(&store, change(), false).await;
        let before = store.sequence().await.unwrap();
        countdown.left.store(place, Ordering::SeqCst);
        let failed = store.write(Compared { changes: change(), is_refused: false }).await.is_err();
        let is_reached = countdown.left.swap(-1, Ordering::SeqCst) < 0;
        writable_again(&store).await;
        unheard += usize::from(failed && store.sequence().await.unwrap() > before);
        compare(&store, Vec::new(), false).await;
        if !is_reached {
            break;
        }
    }
    assert!(unheard > 0, "no commit was said to have failed and took place all the same");
}

/// Events with these numbers, each about a tag of its own in `r`.
fn appended(numbers: impl IntoIterator<Item = usize>, bytes: usize) -> Vec<Appended> {
    let event = |number| deletion_of_tag(number, Source::Observed, at(1));
    numbers.into_iter().map(|number| Appended { event: event(number), bytes }).collect()
}

/// The numbers of the events behind `since`; nothing if not all are known.
fn numbers(recent: &RecentEvents, name: &RepositoryName, since: u64) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    let looked = recent.look(name, Sequence::new(since), |event| {
        numbers.push(event.sequence.get());
        ControlFlow::Continue(())
    });
    looked.map(|_| numbers)
}

#[test]
fn of_too_many_events_or_bytes_the_oldest_are_read_from_the_file() {
    let here = repository("r");
    let mut recent = RecentEvents::behind(Sequence::new(4));
    recent.take_over(Sequence::new(4), Sequence::new(10), appended([6, 8, 10], 100));
    assert_eq!(numbers(&recent, &here, 3), None);
    assert_eq!(numbers(&recent, &here, 4), Some(vec![6, 8, 10]));
    assert_eq!(numbers(&recent, &here, 8), Some(vec![10]));
    assert_eq!(numbers(&recent, &repository("other"), 4), Some(vec![]));
    recent.take_over(Sequence::new(10), Sequence::new(40), appended(11..=40, 100));
    assert_eq!(numbers(&recent, &here, 15), None);
    assert_eq!(numbers(&recent, &here, 16), Some((17..=40).collect()));
    recent.take_over(Sequence::new(40), Sequence::new(42), appended(41..=42, 2 * 1024 * 1024));
    assert_eq!(numbers(&recent, &here, 39), None, "there is room for two of these and no more");
    assert_eq!(numbers(&recent, &here, 40), Some(vec![41, 42]));
}

#[test]
fn after_a_commit_that_nobody_heard_of_nothing_older_is_known() {
    let here = repository("r");
    let mut recent = RecentEvents::behind(Sequence::ZERO);
    recent.take_over(Sequence::ZERO, Sequence::new(2), appended([1, 2], 100));
    assert!(recent.is_of(Sequence::new(2)) && !recent.is_of(Sequence::new(3)));
    recent.take_over(Sequence::new(3), Sequence::new(4), appended([4], 100));
    assert_eq!(numbers(&recent, &here, 2), None);
    assert_eq!(numbers(&recent, &here, 3), Some(vec![4]));
}
