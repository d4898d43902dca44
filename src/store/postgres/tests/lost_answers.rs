//! What becomes of a transaction of whose commit the door hears nothing: something stands between it and the database, and
//! loses the request or the answer.

use std::io::{Read, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use tempfile::TempDir;

use super::postgres::{Database, PASSWORD, USER};
use super::{PostgresAddress, PostgresStore, TlsFiles, numbers_of_events, wait_until_writable};
use crate::store::contract::push;
use crate::store::sample::{alice, at, image, repository, tag};
use crate::store::{Store, StoreError, Write};

const SOCKET: &str = ".s.PGSQL.5432";

/// What becomes of the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passed,
    /// The database does not hear of it, and the connection is cut.
    RequestLost,
    /// It is committed, and the connection is cut before the answer.
    AnswerLost,
}

/// What stands between a door and the database.
struct Between {
    directory: TempDir,
    fate: Arc<Mutex<Fate>>,
    /// Whether new connections are cut at once.
    is_shut: Arc<AtomicBool>,
    url: String,
}

impl Between {
    fn of(database: &Database) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(SOCKET)).unwrap();
        let url = format!("postgres://{USER}@/{}?host={}", database.name(), directory.path().display());
        let (fate, is_shut) = (Arc::new(Mutex::new(Fate::Passed)), Arc::new(AtomicBool::new(false)));
        let (server, fates, shut) = (database.socket(), Arc::clone(&fate), Arc::clone(&is_shut));
        // It ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if !shut.load(Ordering::Acquire) {
                    relay(client, UnixStream::connect(&server).unwrap(), Arc::clone(&fates));
                }
            }
        });
        Self { directory, fate, is_shut, url }
    }

    fn open(&self) -> Arc<dyn Store> {
        let address =
            PostgresAddress::parse(&self.url, Some(&SecretString::from(PASSWORD)), TlsFiles::default())
                .unwrap();
        Arc::new(PostgresStore::open(&address).unwrap())
    }

    fn set(&self, fate: Fate) {
        assert!(self.directory.path().exists());
        *self.fate.lock().unwrap() = fate;
    }

    /// Whether the fate that was set has come.
    fn has_come(&self) -> bool {
        *self.fate.lock().unwrap() == Fate::Passed
    }
}

fn relay(client: UnixStream, server: UnixStream, fate: Arc<Mutex<Fate>>) {
    let is_swallowed = Arc::new(AtomicBool::new(false));
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut to_client, mut from_server) = (client, server);
    let swallowed = Arc::clone(&is_swallowed);
    std::thread::spawn(move || {
        let mut part = vec![0; 1024 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut part) {
            if has_commit(&part[..length]) {
                match std::mem::replace(&mut *fate.lock().unwrap(), Fate::Passed) {
                    Fate::Passed => {}
                    Fate::RequestLost => break,
                    Fate::AnswerLost => swallowed.store(true, Ordering::Release),
                }
            }
            if to_server.write_all(&part[..length]).is_err() {
                break;
            }
        }
        let _ = (from_client.shutdown(Shutdown::Both), to_server.shutdown(Shutdown::Both));
    });
    std::thread::spawn(move || {
        let (mut part, mut kept) = (vec![0; 1024 * 1024], Vec::new());
        while let Ok(length @ 1..) = from_server.read(&mut part) {
            if is_swallowed.load(Ordering::Acquire) {
                kept.extend_from_slice(&part[..length]);
                if has_commit(&kept) {
                    break;
                }
            } else if to_client.write_all(&part[..length]).is_err() {
                break;
            }
        }
        let _ = (to_client.shutdown(Shutdown::Both), from_server.shutdown(Shutdown::Both));
    });
}

/// The statement, and the tag of its answer.
fn has_commit(bytes: &[u8]) -> bool {
    bytes.windows(7).any(|window| window == b"COMMIT\0")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_not_answered_is_looked_up_and_what_was_lost_is_done_again() {
    let database = Database::create();
    let between = Between::of(&database);
    let store = between.open();
    for number in 0..24_u64 {
        let fate = if number.is_multiple_of(2) { Fate::AnswerLost } else { Fate::RequestLost };
        between.set(fate);
        let image = image(&format!("i{number}"), &[]);
        push(&store, "r", &image, &["t"], number).await;
        // The second commit of a push as well: the first one is that of its beginning.
        assert!(between.has_come(), "{fate:?} in round {number}");
        let now = store.tag(&repository("r"), &tag("t")).await.unwrap().unwrap();
        assert_eq!(now.digest, image.digest, "{fate:?} in round {number}");
        assert_eq!(numbers_of_events(&store).await.len() as u64, number + 1, "{fate:?} in round {number}");
    }
    assert!(store.open_intents().await.unwrap().is_empty());
    assert_eq!(store.statistics().await.unwrap().events, 24);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_of_which_nobody_heard_is_removed_once_the_database_is_there_again() {
    let database = Database::create();
    let between = Between::of(&database);
    let store = between.open();
    push(&store, "r", &image("one", &[]), &["t"], 1).await;
    between.set(Fate::AnswerLost);
    between.is_shut.store(true, Ordering::Release);
    let write = Write::Put { digest: image("two", &[]).digest, tags: vec![tag("t")] };
    let begun = store.begin(repository("r"), write.clone(), alice(), at(2)).await;
    assert!(matches!(begun, Err(StoreError::Unavailable { .. })), "{begun:?}");
    assert!(!store.is_writable());
    assert_eq!(database.run("SELECT count(*) FROM intents"), "1\n", "it has begun all the same");
    between.is_shut.store(false, Ordering::Release);
    wait_until_writable(&store).await;
    let begun = store.begin(repository("r"), write, alice(), at(3)).await.unwrap();
    assert!(begun.state.is_carried(), "nothing is in its way: {begun:?}");
    assert_eq!(store.open_intents().await.unwrap(), [begun]);
}
