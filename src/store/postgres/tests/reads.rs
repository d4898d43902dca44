//! What becomes of reads that the database does not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{empty, wait_until_writable};
use crate::store::StoreError;
use crate::store::contract::push;
use crate::store::sample::{image, repository, tag};

const SOON: Duration = Duration::from_secs(20);
const LOCKED: &str = "SELECT count(*) FROM pg_locks JOIN pg_class c ON c.oid = relation
    WHERE c.relname = 'tags' AND mode = 'AccessExclusiveLock' AND granted";
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'portreeve' AND wait_event_type = 'Lock'";

async fn until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_is_given_up_is_soon_and_leaves_nothing_in_the_database_while_it_takes_no_writes() {
    let (store, database) = empty();
    let database = Arc::new(database);
    push(&store, "r", &image("one", &[]), &["t"], 1).await;
    let locking = Arc::clone(&database);
    // psql runs all of this as one transaction.
    let locked = tokio::task::spawn_blocking(move || {
        locking.run("LOCK TABLE ledger, tags IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(25)")
    });
    until("it takes no writes", SOON, || database.run(LOCKED) == "1\n" && !store.is_writable()).await;
    let begun = Instant::now();
    for _ in 0..3 {
        let read = store.tag(&repository("r"), &tag("t")).await;
        assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{read:?}");
    }
    assert!(begun.elapsed() < SOON / 2, "given up after {:?}", begun.elapsed());
    // The writer itself may be waiting.
    until("no query waits", SOON / 4, || database.run(WAITING).trim().parse::<u32>().unwrap() <= 1).await;
    locked.await.unwrap();
    wait_until_writable(&store).await;
    assert!(store.tag(&repository("r"), &tag("t")).await.unwrap().is_some());
}
