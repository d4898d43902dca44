//! An I/O error at any one operation of a push: what was acknowledged is there, what was refused is not, and the store
//! goes on.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{BackendError, Builder, StorageBackend};

use super::*;
use crate::store::IntentState;

/// Counts down to the operation that fails; negative when none will.
#[derive(Clone, Debug)]
struct Countdown {
    left: Arc<AtomicI64>,
    /// Whether the operation takes place all the same: an fsync or a write that worked, but said that it had not.
    takes_place: bool,
}

impl Countdown {
    fn fails(&self) -> bool {
        self.left.fetch_sub(1, Ordering::SeqCst) == 0
    }

    fn run<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if !self.fails() {
            return operation();
        }
        if self.takes_place {
            operation()?;
        }
        Err(io::Error::other("a fault that the test made"))
    }
}

#[derive(Debug)]
struct Faulty {
    file: FileBackend,
    countdown: Countdown,
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.countdown.run(|| self.file.read(offset, out))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.countdown.run(|| self.file.set_len(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.countdown.run(|| self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.countdown.run(|| self.file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

/// A new store whose file fails when the countdown ends.
fn faulty(path: &Path, countdown: &Countdown) -> RedbStore {
    RedbStore::open(path).unwrap().close();
    let countdown = countdown.clone();
    let reopen = Box::new(move |path: &Path| {
        let file = File::options().read(true).write(true).open(path).map_err(redb::Error::from)?;
        let file = FileBackend::new(file)?;
        Ok(Builder::new().create_with_backend(Faulty { file, countdown: countdown.clone() })?)
    });
    RedbStore::with(path, reopen(path).unwrap(), reopen).unwrap()
}

/// One push with the operation `place` failing. Answers whether that operation was reached.
async fn push_with_fault(place: i64, takes_place: bool) -> bool {
    let countdown = Countdown { left: Arc::new(AtomicI64::new(-1)), takes_place };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store: Arc<RedbStore> = Arc::new(faulty(&path, &countdown));
    let any: Arc<dyn Store> = Arc::clone(&store) as _;
    let (first, second) = (image("one", &["base"]), image("two", &["base"]));
    push(&any, "r", &first, &["t"], 1).await;

    countdown.left.store(place, Ordering::SeqCst);
    let write = Write::Put { digest: second.digest.clone(), tags: vec![tag("t")] };
    let begun = store.begin(repository("r"), write, alice(), at(2)).await;
    let settled = match &begun {
        Ok(intent) => {
            let outcome = Outcome::Applied(vec![put("r", &second, &["t"])]);
            Some(store.settle(intent.sequence, outcome, at(2)).await)
        }
        Err(_) => None,
    };
    let faulted = countdown.left.load(Ordering::SeqCst) < 0;
    countdown.left.store(-1, Ordering::SeqCst);

    let deadline = Instant::now() + Duration::from_secs(10);
    while !store.is_writable() {
        assert!(Instant::now() < deadline, "the store did not recover");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let context = format!("operation {place}, takes place {takes_place}: {begun:?}, {settled:?}");
    let open = store.open_intents().await.unwrap();
    let now = store.tag(&repository("r"), &tag("t")).await.unwrap().unwrap().digest;
    match (&begun, &settled) {
        (Err(_), _) => assert!(open.is_empty() && now == first.digest, "{context}"),
        (Ok(_), Some(Ok(_))) => assert!(open.is_empty() && now == second.digest, "{context}"),
        // The outcome is recorded and the intent gone, or neither.
        (Ok(intent), _) => {
            let open: Vec<Sequence> = open.iter().map(|intent| intent.sequence).collect();
            let kept = open == [intent.sequence] && now == first.digest;
            assert!(kept || (open.is_empty() && now == second.digest), "{context}");
        }
    }
    push(&any, "r", &first, &["u"], 3).await;
    let before = (open.len(), store.statistics().await.unwrap(), store.sequence().await.unwrap());
    store.close();
    let store = RedbStore::open(&path).unwrap();
    let open = store.open_intents().await.unwrap();
    assert!(open.iter().all(|intent| intent.state == IntentState::Unknown));
    let after = (open.len(), store.statistics().await.unwrap(), store.sequence().await.unwrap());
    assert_eq!(before, after, "{context}");
    faulted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_io_error_at_any_operation_loses_nothing_and_heals() {
    for takes_place in [false, true] {
        let mut reached = 0;
        loop {
            let places = reached..reached + 16;
            let pushes = places.map(|place| tokio::spawn(push_with_fault(place, takes_place)));
            let faulted = join_all(pushes).await.into_iter().filter(|faulted| *faulted.as_ref().unwrap());
            let faulted = faulted.count() as i64;
            reached += faulted;
            if faulted < 16 {
                break;
            }
        }
        assert!(reached > 10, "a push takes more operations than {reached}");
    }
}
