//! The contract over a real PostgreSQL, and what is this backend's own.

#[path = "../../../tests/support/pooler.rs"]
mod pooler;
#[path = "../../../tests/support/postgres.rs"]
mod postgres;

mod copies;
mod lost_answers;
mod poolers;
mod reads;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use self::postgres::{Database, PASSWORD};
use super::{PostgresAddress, PostgresOpenError, PostgresStore, TlsFiles};
use crate::store::contract::several_doors::TwoDoors;
use crate::store::contract::{self, contract_tests, push, several_doors_tests};
use crate::store::copy::tests::assert_agrees;
use crate::store::sample::{alice, at, image, put, repository, tag};
use crate::store::{Outcome, PageRequest, Sequence, Store, StoreError, Write};

fn address(database: &Database) -> PostgresAddress {
    PostgresAddress::parse(&database.url(), Some(&SecretString::from(PASSWORD)), TlsFiles::default()).unwrap()
}

fn open(database: &Database) -> Arc<dyn Store> {
    Arc::new(PostgresStore::open(&address(database)).unwrap())
}

fn empty() -> (Arc<dyn Store>, Database) {
    let database = Database::create();
    (open(&database), database)
}

fn shared() -> (TwoDoors, Database) {
    let database = Database::create();
    ([open(&database), open(&database)], database)
}

mod over_the_database {
    use super::*;

    contract_tests!(empty);
}

mod several_doors {
    use super::*;

    several_doors_tests!(shared);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_for_the_next_door_in_a_new_epoch_and_intents_are_unknown() {
    let (store, database) = empty();
    push(&store, "r", &image("one", &["base"]), &["t"], 1).await;
    let write = Write::Put { digest: image("two", &[]).digest, tags: vec![tag("u")] };
    let intent = store.begin(repository("r"), write, alice(), at(2)).await.unwrap();
    let before = store.history().await.unwrap();
    store.close();
    assert!(matches!(store.sequence().await, Err(StoreError::Closed)));

    let again = open(&database);
    let one = again.tag(&repository("r"), &tag("t")).await.unwrap().unwrap();
    assert_eq!(one.digest, image("one", &["base"]).digest);
    let left = again.open_intents().await.unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0].sequence == intent.sequence && left[0].state.is_unknown(), "{left:?}");
    again.accept_removals().await.unwrap();
    let after = again.history().await.unwrap();
    assert_eq!(before.identity, after.identity);
    assert_ne!(before.epoch, after.epoch);
    assert!(again.continues(before.epoch, intent.sequence).await.unwrap());
    assert!(
        !again.continues(before.epoch, intent.sequence.next()).await.unwrap(),
        "that was in another life"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_hears_of_what_another_has_recorded() {
    let ([first, second], _database) = shared();
    let mut told = second.last_event();
    push(&first, "r", &image("one", &[]), &["t"], 1).await;
    let last = *first.last_event().borrow();
    let heard = tokio::time::timeout(Duration::from_secs(10), told.wait_for(|heard| *heard >= last)).await;
    heard.expect("the second door looks again and again").unwrap();
    assert!(second.last_write(&repository("r"), None).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_a_later_version_are_refused_by_name_and_left_alone() {
    let (store, database) = empty();
    store.close();
    database.run("UPDATE ledger SET version = 7");
    let refused = PostgresStore::open(&address(&database)).map(|_| ());
    assert!(matches!(refused, Err(PostgresOpenError::Newer { found: 7, known: 1 })), "{refused:?}");
    assert_eq!(database.run("SELECT version FROM ledger"), "7\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doors_that_start_at_once_make_the_tables_once() {
    let database = Database::create();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let opening: Vec<_> = (0..4).map(|_| scope.spawn(|| open(&database))).collect();
        opening.into_iter().map(|opening| opening.join().unwrap()).collect()
    });
    assert_eq!(opened[0].beat().await.unwrap().len(), 4);
}

#[test]
fn a_database_that_cannot_be_had_is_told_without_its_password() {
    let database = Database::create();
    let wrong =
        PostgresAddress::parse(&database.url(), Some(&SecretString::from("hunter2")), TlsFiles::default())
            .unwrap();
    let refused = PostgresStore::open(&wrong).map(|_| ()).unwrap_err();
    let told = format!("{refused} {refused:?} {wrong} {wrong:?}");
    assert!(told.contains("password authentication failed") && !told.contains("hunter2"), "{told}");
}

/// Every so often, and at each of these tables in turn, the database says that another transaction was in the way.
fn disturb(database: &Database) {
    let tables = [
        "ledger",
        "doors",
        "events",
        "intents",
        "repositories",
        "tags",
        "manifests",
        "blobs",
        "flaws",
        "days",
        "children",
        "deleted_manifests",
        "tombstones",
    ];
    database.run(
        "CREATE SEQUENCE times; GRANT ALL ON SEQUENCE times TO portreeve;
         CREATE FUNCTION disturb() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('times') % 29 = 0 THEN RAISE EXCEPTION 'disturbed' USING ERRCODE = '40001'; END IF;
            RETURN NULL;
         END $$",
    );
    for table in tables {
        database.run(&format!(
            "CREATE TRIGGER disturb AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION disturb()"
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_undone_because_of_other_transactions_is_done_again() {
    let (store, database) = empty();
    disturb(&database);
    contract::lists::any_changes_come_to_what_a_naive_model_holds(Arc::clone(&store)).await;
    let times: u64 = database.run("SELECT last_value FROM times").trim().parse().unwrap();
    assert!(times > 300, "the triggers have fired {times} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_needed_that_distributed_engines_lack() {
    let database = Database::create();
    database.run(&format!(
        "ALTER DATABASE {} SET default_transaction_isolation = 'serializable';
         DO $$ DECLARE f text; BEGIN FOR f IN SELECT oid::regprocedure FROM pg_proc WHERE proname LIKE 'pg_%advisory%' LOOP
            EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || f || ' FROM PUBLIC';
         END LOOP; END $$",
        database.name()
    ));
    let store = open(&database);
    contract::lists::any_changes_come_to_what_a_naive_model_holds(Arc::clone(&store)).await;
    let another = Database::create();
    contract::health::any_changes_come_to_what_a_look_at_everything_finds(open(&another)).await;
    for database in [&database, &another] {
        let address = address(database);
        let look = move || assert_agrees(PostgresStore::whole(&address).unwrap());
        tokio::task::spawn_blocking(look).await.unwrap();
    }
    assert_eq!(database.run("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_connections_that_are_cut_again_and_again() {
    let (store, database) = empty();
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    for number in 0..200_u64 {
        if number % 20 == 10 {
            database.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
        }
        let name = format!("t{number}");
        let image = image(&name, &["base"]);
        let write = Write::Put { digest: image.digest.clone(), tags: vec![tag(&name)] };
        let change = put("r", &image, &[&name]);
        let begun = match store.begin(repository("r"), write, alice(), at(number)).await {
            Ok(intent) => intent,
            Err(StoreError::Unavailable { .. }) => {
                refused += 1;
                wait_until_writable(&store).await;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        match store.settle(&begun, Outcome::Applied(vec![change]), at(number)).await {
            Ok(_) => acknowledged.push(name),
            Err(StoreError::Unavailable { .. }) => {
                refused += 1;
                wait_until_writable(&store).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    for name in &acknowledged {
        assert!(store.tag(&repository("r"), &tag(name)).await.unwrap().is_some(), "{name} was acknowledged");
    }
    assert!(acknowledged.len() > 150, "{} were acknowledged, {refused} refused", acknowledged.len());
    let numbers = database.run("SELECT count(*), count(DISTINCT sequence) FROM events");
    let (all, distinct) = numbers.trim().split_once('|').unwrap();
    assert_eq!(all, distinct);
}

async fn wait_until_writable(store: &Arc<dyn Store>) {
    let begun = std::time::Instant::now();
    while !store.is_writable() {
        assert!(begun.elapsed() < Duration::from_secs(20), "still {:?}", store.trouble());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_in_the_order_of_commits_and_no_two_doors_have_the_same() {
    let ([first, second], _database) = shared();
    let pushes = |store: Arc<dyn Store>, name: &'static str| async move {
        for number in 0..40 {
            push(&store, name, &image(&format!("{name}{number}"), &[]), &["t"], number).await;
        }
    };
    tokio::join!(pushes(Arc::clone(&first), "a"), pushes(Arc::clone(&second), "b"));
    let events = numbers_of_events(&first).await;
    assert_eq!(events.len(), 80);
    assert!(events.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(numbers_of_events(&second).await, events);
    assert_eq!(second.statistics().await.unwrap(), first.statistics().await.unwrap());
}

async fn numbers_of_events(store: &Arc<dyn Store>) -> Vec<Sequence> {
    let page = PageRequest { after: None, limit: 1_000 };
    store.events(None, page).await.unwrap().items.iter().map(|event| event.sequence).collect()
}
