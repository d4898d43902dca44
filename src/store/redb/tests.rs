//! What holds for the redb file in particular; `contract` is run here too.

mod crash;
mod damaged;
mod derived;
mod displaced;
mod event_times;
mod faults;
mod full_disk;
mod history;
mod older_layouts;
mod opening;
mod recent_events;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use futures_util::future::join_all;
use redb::ReadableDatabase as _;

use super::tables::{META, META_SEQUENCE, TAGS, number};
use super::*;
use crate::clock::Timestamp;
use crate::oci::{Manifest, Reference};
use crate::store::contract::{contract_tests, find, push};
use crate::store::sample::{alice, at, image, index, put, referrer, repository, tag};
use crate::store::{
    AccountChange, AccountKind, AuthEvent, AuthEventKind, Change, Epoch, Expect, Flaw, Guard, Hint,
    HintedReference, History, Intent, IntentState, LeaseName, Outcome, PageRequest, Queued, Quotas, Recorded,
    Retention, Retry, Sequence, Settled, Source, Store, Write,
};
use crate::store::{
    Accounts as _, AuthLog as _, Doors as _, Events as _, Health as _, Hints as _, Ledger as _, Records as _,
    SweepState as _,
};

/// An empty store in a directory of its own.
fn empty() -> (Arc<dyn Store>, tempfile::TempDir) {
    let (store, directory) = empty_file();
    (store, directory)
}

fn empty_file() -> (Arc<RedbStore>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path().join("store.redb")).unwrap();
    (Arc::new(store), directory)
}

contract_tests!(empty);

/// Waits until the store has healed.
async fn writable_again(store: &RedbStore) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !store.is_writable() {
        assert!(Instant::now() < deadline, "the store did not recover");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn put_write(name: &str) -> Write {
    Write::Put { digest: image("one", &[]).digest, tags: vec![tag(name)] }
}

#[tokio::test]
async fn everything_is_there_after_reopening_and_no_intent_is_carried() {
    let (store, directory) = empty_file();
    let any: Arc<dyn Store> = Arc::clone(&store) as _;
    let image = image("one", &["base"]);
    push(&any, "r", &image, &["t"], 1).await;
    let intent = store.begin(repository("r"), put_write("u"), alice(), at(2)).await.unwrap();
    store.mark_unknown(&intent).await.unwrap();
    let lease = store.acquire(LeaseName::Verify).await.unwrap().unwrap();
    let retry = Retry::after(5, Duration::from_secs(1), at(2));
    store.postpone_intents(lease, vec![(intent.sequence, retry)]).await.unwrap();
    let before = (
        store.tag(&repository("r"), &tag("t")).await.unwrap(),
        store.repository(&repository("r")).await.unwrap(),
        store.manifest(&repository("r"), &image.digest).await.unwrap(),
        store.sequence().await.unwrap(),
        store.statistics().await.unwrap(),
    );
    store.close();

    let store = RedbStore::open(directory.path().join("store.redb")).unwrap();
    let after = (
        store.tag(&repository("r"), &tag("t")).await.unwrap(),
        store.repository(&repository("r")).await.unwrap(),
        store.manifest(&repository("r"), &image.digest).await.unwrap(),
        store.sequence().await.unwrap(),
        store.statistics().await.unwrap(),
    );
    assert_eq!(before, after);
    assert_eq!(*store.manifest_content(&repository("r"), &image.digest).await.unwrap().unwrap(), image);
    let expected = Intent { state: IntentState::unknown_since(intent.sequence), ..intent };
    assert_eq!(store.open_intents().await.unwrap(), std::slice::from_ref(&expected));
    let next = store.begin(repository("r"), put_write("v"), alice(), at(3)).await.unwrap();
    assert_eq!(next.sequence, expected.sequence.next());
    let settled = store.settle(&expected, Outcome::Closed, at(4)).await.unwrap();
    assert_eq!(settled, Settled::IN_ORDER);
}

#[tokio::test]
async fn hints_that_are_put_off_stay_so_over_a_restart_and_share_a_commit() {
    let (store, directory) = empty_file();
    let about = |number: u64| HintedReference {
        repository: repository("r"),
        reference: Reference::Tag(tag(&format!("t{number}"))),
    };
    store.add_hints((1..4).map(about).collect()).await.unwrap();
    let lease = store.acquire(LeaseName::Hints).await.unwrap().unwrap();
    let put_off = |number| Hint {
        is_second_look: number == 1,
        retry: Retry::after(7, Duration::from_secs(number), at(5)),
        ..Hint::new(about(number), number)
    };
    let before = store.commits();
    store.postpone_hints(lease, vec![put_off(1), put_off(2)]).await.unwrap();
    assert_eq!(store.commits(), before + 1);
    let gone = Hint::new(about(4), 4);
    store.postpone_hints(lease, vec![gone]).await.unwrap();
    assert_eq!(store.commits(), before + 1, "there is no such hint");
    store.close();

    let store = RedbStore::open(directory.path().join("store.redb")).unwrap();
    let kept = store.hints(PageRequest { after: None, limit: 9 }).await.unwrap().items;
    assert_eq!(kept, [put_off(1), put_off(2), Hint::new(about(3), 3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_wait_together_share_a_commit() {
    const WRITES: u64 = 256;
    let (store, _directory) = empty_file();
    let before = store.commits();
    let begins = (0..WRITES).map(|number| {
        let store = Arc::clone(&store);
        let name = format!("t{number}");
        tokio::spawn(
            async move { store.begin(repository("r"), put_write(&name), alice(), at(1)).await.unwrap() },
        )
    });
    let begun = join_all(begins).await;
    assert_eq!(begun.len() as u64, WRITES);
    let commits = store.commits() - before;
    assert!(commits <= WRITES / 4, "{WRITES} writes took {commits} commits");
}

#[tokio::test]
async fn recording_what_is_known_commits_nothing() {
    let (store, _directory) = empty_file();
    let any: Arc<dyn Store> = Arc::clone(&store) as _;
    let image = image("one", &[]);
    push(&any, "r", &image, &["t"], 1).await;
    let before = store.commits();
    let guard =
        || Guard { reference: Some(Reference::Tag(tag("t"))), since: Sequence::new(1_000), lease: None };
    for _ in 0..10 {
        let changes = vec![put("r", &image, &["t"])];
        let recorded = store.record(changes, Source::Swept, guard(), at(2)).await.unwrap();
        assert_eq!(recorded, Recorded::Unchanged);
    }
    store.record(Vec::new(), Source::Swept, guard(), at(2)).await.unwrap();
    assert_eq!(store.commits(), before);
    let intent = store.begin(repository("r"), put_write("t"), alice(), at(2)).await.unwrap();
    let before = store.commits();
    assert!(store.mark_unknown(&intent).await.unwrap(), "the file says no more than that it was announced");
    assert_eq!(store.commits(), before);
    let lease = store.acquire(LeaseName::Verify).await.unwrap().unwrap();
    let retry = Retry::after(1, Duration::from_secs(1), at(2));
    store.postpone_intents(lease, vec![(intent.sequence, retry)]).await.unwrap();
    let postponed = store.open_intents().await.unwrap();
    assert_eq!(postponed[0].state, IntentState::Unknown { since: intent.sequence, retry });
    assert_eq!(store.commits(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_meets_a_damaged_row_fails_alone() {
    let (store, directory) = empty_file();
    let any: Arc<dyn Store> = Arc::clone(&store) as _;
    let image = image("one", &["base"]);
    push(&any, "r", &image, &["damaged"], 1).await;
    store.close();
    let path = directory.path().join("store.redb");
    let database = Database::open(&path).unwrap();
    let mut write = database.begin_write().unwrap();
    write.set_quick_repair(true);
    write.open_table(TAGS).unwrap().insert(("r", "damaged"), b"{".as_slice()).unwrap();
    write.commit().unwrap();
    drop(database);

    let store = Arc::new(RedbStore::open(&path).unwrap());
    let records = (0..40).map(|number| {
        let (store, image) = (Arc::clone(&store), image.clone());
        tokio::spawn(async move {
            let (name, fresh) = if number % 8 == 0 { ("r", "damaged") } else { ("s", "fresh") };
            let name_of_tag = if number % 8 == 0 { fresh.to_owned() } else { format!("{fresh}{number}") };
            let changes = vec![put(name, &image, &["other"]), put(name, &image, &[&name_of_tag])];
            let guard = Guard {
                reference: Some(Reference::Tag(tag("none"))),
                since: Sequence::new(1_000),
                lease: None,
            };
            (number, store.record(changes, Source::Swept, guard, at(2)).await)
        })
    });
    for answer in join_all(records).await {
        match answer.unwrap() {
            (number, Err(StoreError::Corrupt { what, .. })) if number % 8 == 0 => {
                assert!(what.contains("damaged"), "{what}");
            }
            (number, Ok(Recorded::Changed(_))) if number % 8 != 0 => {}
            (number, answer) => panic!("request {number}: {answer:?}"),
        }
    }
    assert_eq!(store.tag(&repository("r"), &tag("other")).await.unwrap(), None, "nothing of it was kept");
    assert_eq!(store.repository(&repository("s")).await.unwrap().unwrap().tags, 36);
    assert!(store.is_writable());
    assert!(matches!(store.tag(&repository("r"), &tag("damaged")).await, Err(StoreError::Corrupt { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_finishes_what_was_asked_and_refuses_the_rest() {
    let (store, directory) = empty_file();
    let mut waiting = Vec::new();
    for number in 0..100 {
        let name = format!("t{number}");
        let mut begin = store.begin(repository("r"), put_write(&name), alice(), at(1));
        // Asked, but not answered.
        assert!(futures_util::poll!(&mut begin).is_pending());
        waiting.push(begin);
    }
    store.close();
    let mut kept: Vec<Sequence> =
        join_all(waiting).await.into_iter().map(|begun| begun.unwrap().sequence).collect();
    assert!(matches!(
        store.begin(repository("r"), put_write("t"), alice(), at(1)).await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(store.tag(&repository("r"), &tag("t")).await, Err(StoreError::Closed)));
    assert!(matches!(store.sequence().await, Err(StoreError::Closed)));
    assert!(!store.is_writable());
    let again = RedbStore::open(directory.path().join("store.redb")).unwrap();
    kept.sort_unstable();
    let found: Vec<Sequence> =
        again.open_intents().await.unwrap().iter().map(|intent| intent.sequence).collect();
    assert_eq!(found, kept);
}
