//! What becomes of reads that the database does not answer.

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_is_given_up_is_soon_and_leaves_nothing_in_the_database_while_it_takes_no_writes() {
    let (store, database) = empty();
    push(&store, "r", &image("one", &[]), &["t"], 1).await;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // psql runs all of this as one transaction.
            database.run("LOCK TABLE ledger, tags IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(25)");
        });
        tokio::task::block_in_place(|| {
            let begun = Instant::now();
            while database.run(LOCKED) != "1\n" || store.is_writable() {
                assert!(begun.elapsed() < SOON, "still writable");
                std::thread::sleep(Duration::from_millis(50));
            }
            let begun = Instant::now();
            let runtime = tokio::runtime::Handle::current();
            for _ in 0..3 {
                let read = runtime.block_on(store.tag(&repository("r"), &tag("t")));
                assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{read:?}");
            }
            assert!(begun.elapsed() < SOON / 2, "given up after {:?}", begun.elapsed());
            // The writer itself may be waiting.
            let begun = Instant::now();
            while database.run(WAITING).trim().parse::<u32>().unwrap() > 1 {
                assert!(begun.elapsed() < SOON / 4, "{} queries wait", database.run(WAITING));
                std::thread::sleep(Duration::from_millis(50));
            }
        });
    });
    wait_until_writable(&store).await;
    assert!(store.tag(&repository("r"), &tag("t")).await.unwrap().is_some());
}
