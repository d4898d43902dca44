//! An I/O error at any one operation of a push: what was acknowledged is there, what was refused is not, and the store
//! goes on.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{BackendError, Builder, StorageBackend};

use super::super::place::Watched;
use super::*;

/// Counts down to the operation that fails; negative when none will.
#[derive(Clone, Debug)]
pub(super) struct Countdown {
    pub(super) left: Arc<AtomicI64>,
    /// Whether the operation takes place all the same: an fsync or a write that worked, but said that it had not.
    pub(super) takes_place: bool,
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
    full: Arc<AtomicBool>,
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
        // The first block is there since the file was made, so there is always room for it.
        if self.full.load(Ordering::SeqCst) && offset >= 4096 {
            return Err(io::ErrorKind::StorageFull.into());
        }
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

/// A new store whose file fails when the countdown ends, and as long as it is full.
pub(super) fn faulty(path: &Path, countdown: &Countdown, full: &Arc<AtomicBool>) -> RedbStore {
    RedbStore::open(path).unwrap().close();
    let (countdown, full) = (countdown.clone(), Arc::clone(full));
    let place = Place::new(path, &File::open(path).unwrap()).unwrap();
    let again = Arc::clone(&place);
    let reopen = Box::new(move || {
        let file = FileBackend::new(again.open_again()?)?;
        let faulty = Faulty { file, countdown: countdown.clone(), full: Arc::clone(&full) };
        Ok(Builder::new().create_with_backend(Watched::new(faulty, Arc::clone(&again)))?)
    });
    RedbStore::with(path, reopen().unwrap(), place, reopen).unwrap()
}

/// One push with the operation `place` failing. Answers whether that operation was reached.
async fn push_with_fault(place: i64, takes_place: bool) -> bool {
    let countdown = Countdown { left: Arc::new(AtomicI64::new(-1)), takes_place };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store: Arc<RedbStore> = Arc::new(faulty(&path, &countdown, &Arc::default()));
    let any: Arc<dyn Store> = Arc::clone(&store) as _;
    let (first, second) = (image("one", &["base"]), image("two", &["base"]));
    push(&any, "r", &first, &["t"], 1).await;

    countdown.left.store(place, Ordering::SeqCst);
    let write = Write::Put { digest: second.digest.clone(), tags: vec![tag("t")] };
    let begun = store.begin(repository("r"), write, alice(), at(2)).await;
    let settled = match &begun {
        Ok(intent) => {
            let outcome = Outcome::Applied(vec![put("r", &second, &["t"])]);
            Some(store.settle(intent, outcome, at(2)).await)
        }
        Err(_) => None,
    };
    let faulted = countdown.left.load(Ordering::SeqCst) < 0;
    countdown.left.store(-1, Ordering::SeqCst);

    writable_again(&store).await;
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
    assert!(open.iter().all(|intent| intent.state.is_unknown()));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_long_as_there_is_no_room_nothing_is_begun_and_everything_is_read() {
    let (countdown, full) =
        (Countdown { left: Arc::new(AtomicI64::new(-1)), takes_place: false }, Arc::default());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = Arc::new(faulty(&path, &countdown, &full));
    let any: Arc<dyn Store> = Arc::clone(&store) as _;
    let image = image("one", &["base"]);
    push(&any, "r", &image, &["t"], 1).await;
    let open = store.begin(repository("r"), put_write("u"), alice(), at(2)).await.unwrap();
    let opened = store.shared.opened.subscribe();
    full.store(true, Ordering::SeqCst);

    let settled = store.settle(&open, Outcome::Applied(vec![put("r", &image, &["u"])]), at(3)).await;
    assert!(matches!(settled, Err(StoreError::Unavailable { .. })), "{settled:?}");
    // For several tries of the writer.
    let deadline = Instant::now() + Duration::from_secs(10);
    while *opened.borrow() < 4 {
        assert!(Instant::now() < deadline, "the writer does not try again");
        assert!(!store.is_writable());
        let begun = store.begin(repository("r"), put_write("v"), alice(), at(4)).await;
        assert!(matches!(begun, Err(StoreError::Unavailable { .. })), "{begun:?}");
        assert!(store.tag(&repository("r"), &tag("t")).await.unwrap().is_some());
        let page = PageRequest { after: None, limit: 10 };
        assert_eq!(store.tags(&repository("r"), page).await.unwrap().items.len(), 1);
        assert_eq!(store.open_intents().await.unwrap(), std::slice::from_ref(&open));
        let marked = store.mark_unknown(&open).await;
        assert!(matches!(marked, Err(StoreError::Unavailable { .. })), "{marked:?}");
        tokio::task::yield_now().await;
    }

    full.store(false, Ordering::SeqCst);
    writable_again(&store).await;
    store.settle(&open, Outcome::Applied(vec![put("r", &image, &["u"])]), at(5)).await.unwrap();
    assert_eq!(store.repository(&repository("r")).await.unwrap().unwrap().tags, 2);
}
