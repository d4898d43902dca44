//! The file is taken away, replaced or written over while the store is open.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::transaction::Transaction;
use super::*;
use crate::store::StoreTrouble;

/// A store in a directory that can be moved, and another one like it as it was before the last push.
struct House {
    store: Arc<RedbStore>,
    path: PathBuf,
    backup: PathBuf,
    root: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        let (path, backup) = (root.path().join("data/store.redb"), root.path().join("backup.redb"));
        let store = Arc::new(RedbStore::open(&path).unwrap());
        let house = Self { store, path, backup, root };
        // So much that the last push does not make the file longer.
        for name in ["first", "second", "before"] {
            house.push(name).await;
        }
        fs::copy(&house.path, &house.backup).unwrap();
        house.push("after").await;
        house
    }

    async fn push(&self, name: &str) {
        let any: Arc<dyn Store> = Arc::clone(&self.store) as _;
        push(&any, "r", &image("one", &["base"]), &[name], 1).await;
    }

    async fn has(&self, name: &str) -> bool {
        self.store.tag(&repository("r"), &tag(name)).await.unwrap().is_some()
    }

    /// Waits until this is what keeps the store from writing, or nothing.
    async fn comes_to(&self, trouble: Option<StoreTrouble>) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.store.trouble() != trouble {
            let last = self.store.trouble();
            assert!(Instant::now() < deadline, "{trouble:?} was expected, it is {last:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(self.store.is_writable(), trouble.is_none());
    }
}

/// What is done to the file, what it is then, and what brings it back, if anything does.
struct Displacement {
    name: &'static str,
    done: fn(&House),
    trouble: StoreTrouble,
    undone: Option<fn(&House)>,
}

fn aside(house: &House) -> PathBuf {
    house.root.path().join("aside")
}

fn data(house: &House) -> PathBuf {
    house.root.path().join("data")
}

/// Writes over a file as `cp` does: cut to nothing first, then filled.
fn copy_over(from: &Path, to: &Path) {
    let content = fs::read(from).unwrap();
    fs::write(to, content).unwrap();
}

fn length(house: &House) -> u64 {
    fs::metadata(&house.path).unwrap().len()
}

fn set_length(house: &House, length: u64) {
    fs::File::options().write(true).open(&house.path).unwrap().set_len(length).unwrap();
}

const DISPLACEMENTS: [Displacement; 11] = [
    Displacement {
        name: "the file is removed",
        // A second name keeps it, as its open descriptor does.
        done: |house| {
            fs::hard_link(&house.path, aside(house)).unwrap();
            fs::remove_file(&house.path).unwrap();
        },
        trouble: StoreTrouble::Gone,
        undone: Some(|house| fs::hard_link(aside(house), &house.path).unwrap()),
    },
    Displacement {
        name: "the file is moved",
        done: |house| fs::rename(&house.path, aside(house)).unwrap(),
        trouble: StoreTrouble::Gone,
        undone: Some(|house| fs::rename(aside(house), &house.path).unwrap()),
    },
    Displacement {
        name: "its directory is moved",
        done: |house| fs::rename(data(house), aside(house)).unwrap(),
        trouble: StoreTrouble::Gone,
        undone: Some(|house| fs::rename(aside(house), data(house)).unwrap()),
    },
    Displacement {
        name: "its directory is moved and a file has its name",
        done: |house| {
            fs::rename(data(house), aside(house)).unwrap();
            fs::write(data(house), "a file").unwrap();
        },
        trouble: StoreTrouble::Gone,
        undone: Some(|house| {
            fs::remove_file(data(house)).unwrap();
            fs::rename(aside(house), data(house)).unwrap();
        }),
    },
    Displacement {
        name: "a backup is moved to its place",
        done: |house| {
            fs::rename(&house.path, aside(house)).unwrap();
            fs::rename(&house.backup, &house.path).unwrap();
        },
        trouble: StoreTrouble::Replaced,
        undone: Some(|house| fs::rename(aside(house), &house.path).unwrap()),
    },
    Displacement {
        name: "a copy of itself is at its place",
        done: |house| {
            fs::rename(&house.path, aside(house)).unwrap();
            fs::copy(aside(house), &house.path).unwrap();
        },
        trouble: StoreTrouble::Replaced,
        undone: Some(|house| fs::rename(aside(house), &house.path).unwrap()),
    },
    Displacement {
        name: "a link to another file is at its place",
        done: |house| {
            fs::rename(&house.path, aside(house)).unwrap();
            std::os::unix::fs::symlink(&house.backup, &house.path).unwrap();
        },
        trouble: StoreTrouble::Replaced,
        undone: Some(|house| fs::rename(aside(house), &house.path).unwrap()),
    },
    Displacement {
        name: "a directory is at its place",
        done: |house| {
            fs::rename(&house.path, aside(house)).unwrap();
            fs::create_dir(&house.path).unwrap();
        },
        trouble: StoreTrouble::Replaced,
        undone: None,
    },
    Displacement {
        name: "it is cut to nothing",
        done: |house| set_length(house, 0),
        trouble: StoreTrouble::Overwritten,
        undone: None,
    },
    Displacement {
        name: "it grows",
        done: |house| set_length(house, length(house) + 1),
        trouble: StoreTrouble::Overwritten,
        undone: Some(|house| set_length(house, length(house) - 1)),
    },
    Displacement {
        name: "a backup of the same length is copied over it",
        done: |house| {
            fs::copy(&house.path, aside(house)).unwrap();
            assert_eq!(fs::metadata(&house.backup).unwrap().len(), length(house));
            copy_over(&house.backup, &house.path);
        },
        trouble: StoreTrouble::Overwritten,
        undone: Some(|house| copy_over(&aside(house), &house.path)),
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_at_its_place_is_noticed_by_itself_and_good_again_when_it_is_back() {
    for Displacement { name, done, trouble, undone } in DISPLACEMENTS {
        let house = House::new().await;
        done(&house);
        house.comes_to(Some(trouble)).await;
        let Some(undone) = undone else { continue };
        if trouble == StoreTrouble::Overwritten {
            let read = house.store.tag(&repository("r"), &tag("after")).await;
            assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{name}: {read:?}");
        } else {
            assert!(house.has("after").await, "{name}: reads go on");
        }
        undone(&house);
        house.comes_to(None).await;
        house.push("later").await;
        house.store.close();
        let again = RedbStore::open(&house.path).unwrap();
        for kept in ["before", "after", "later"] {
            let found = again.tag(&repository("r"), &tag(kept)).await.unwrap();
            assert!(found.is_some(), "{name}: {kept} is lost");
        }
        assert!(again.open_intents().await.unwrap().is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_very_next_write_is_refused_in_words() {
    for Displacement { name, done, trouble, .. } in DISPLACEMENTS {
        let house = House::new().await;
        done(&house);
        let begun = house.store.begin(repository("r"), put_write("t"), alice(), at(2)).await;
        let Err(error @ StoreError::Unavailable { .. }) = begun else { panic!("{name}: {begun:?}") };
        assert!(error.to_string().contains(&trouble.to_string()), "{name}: {error}");
        assert_eq!(house.store.trouble(), Some(trouble), "{name}");
    }
}

/// Has the file taken away while its transaction is under way.
struct TakesAway(PathBuf, PathBuf);

impl Work<Shared> for TakesAway {
    type Answer = ();
    const ATTEMPTED: &'static str = "be taken away";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        fs::rename(&self.0, &self.1).unwrap();
        transaction.keep_sweep(&crate::store::SweepUpdate::default())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_to_a_file_that_was_taken_away_meanwhile_is_not_acknowledged() {
    let house = House::new().await;
    let before = house.store.sequence().await.unwrap();
    let written = house.store.write(TakesAway(house.path.clone(), aside(&house)));
    // Both share the transaction, or the second comes too late: either way nobody is told that it is durable.
    let begun = house.store.begin(repository("r"), put_write("t"), alice(), at(2));
    let (written, begun) = futures_util::join!(written, begun);
    assert!(matches!(written, Err(StoreError::Unavailable { .. })), "{written:?}");
    assert!(matches!(begun, Err(StoreError::Unavailable { .. })), "{begun:?}");
    house.comes_to(Some(StoreTrouble::Gone)).await;
    fs::rename(aside(&house), &house.path).unwrap();
    house.comes_to(None).await;
    assert!(house.store.open_intents().await.unwrap().is_empty(), "nobody carries what was refused");
    let next = house.store.begin(repository("r"), put_write("t"), alice(), at(3)).await.unwrap();
    assert!(next.sequence > before);
    assert_eq!(house.store.sequence().await.unwrap(), next.sequence);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_closed_while_its_file_is_away_leaves_what_is_there_alone() {
    let house = House::new().await;
    fs::rename(&house.path, aside(&house)).unwrap();
    fs::rename(&house.backup, &house.path).unwrap();
    let before = fs::read(&house.path).unwrap();
    house.comes_to(Some(StoreTrouble::Replaced)).await;
    house.store.close();
    assert!(before == fs::read(&house.path).unwrap(), "the file at its path was touched");
    let kept = RedbStore::open(aside(&house)).unwrap();
    assert!(kept.tag(&repository("r"), &tag("after")).await.unwrap().is_some());
}
