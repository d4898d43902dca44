//! Whether a position in the history is one of this store's, over restarts and restored backups.

use std::fs;
use std::path::{Path, PathBuf};

use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::super::tables::{EPOCHS, MAXIMUM_EPOCHS};
use super::*;

/// What a reader of events keeps.
#[derive(Clone, Copy, Debug)]
struct Position {
    epoch: Epoch,
    sequence: Sequence,
}

struct House {
    directory: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("store.redb")
    }

    fn open(&self) -> Arc<RedbStore> {
        Arc::new(RedbStore::open(self.path()).unwrap())
    }

    fn copy_to(&self, name: &str) -> PathBuf {
        let copy = self.directory.path().join(name);
        fs::copy(self.path(), &copy).unwrap();
        copy
    }

    fn restore(&self, copy: &Path) {
        fs::copy(copy, self.path()).unwrap();
    }
}

async fn write(store: &Arc<RedbStore>, name: &str) {
    let any: Arc<dyn Store> = Arc::clone(store) as _;
    push(&any, "r", &image(name, &[]), &[name], 1).await;
}

async fn position(store: &RedbStore) -> Position {
    let (sequence, history) = (store.sequence().await.unwrap(), store.history().await.unwrap());
    Position { epoch: history.epoch, sequence }
}

async fn continues(store: &RedbStore, position: Position) -> bool {
    store.continues(position.epoch, position.sequence).await.unwrap()
}

#[tokio::test]
async fn positions_stay_good_over_restarts_and_crashes() {
    let house = House::new();
    let mut positions = Vec::new();
    let mut identities = Vec::new();
    for run in 0..6 {
        let store = house.open();
        positions.push(position(&store).await);
        for number in 0..run {
            write(&store, &format!("run-{run}-{number}")).await;
            positions.push(position(&store).await);
        }
        identities.push(store.history().await.unwrap().identity);
        if run % 2 == 0 {
            let left = house.copy_to("left by a crash");
            store.close();
            house.restore(&left);
        } else {
            store.close();
        }
        let again = house.open();
        for known in &positions {
            assert!(continues(&again, *known).await, "run {run}: {known:?}");
        }
        again.close();
    }
    assert!(identities.iter().all(|identity| *identity == identities[0]));
    let other = House::new().open();
    assert_ne!(other.history().await.unwrap().identity, identities[0]);
    for known in &positions {
        assert!(!continues(&other, *known).await, "{known:?} is another store's");
    }
}

#[tokio::test]
async fn a_restored_store_is_noticed_before_and_after_it_gives_out_numbers_again() {
    for is_cold in [true, false] {
        let house = House::new();
        let store = house.open();
        write(&store, "one").await;
        write(&store, "two").await;
        let early = position(&store).await;
        // A backup of the closed store, or a copy of one that goes on in the same epoch.
        let (backup, store) = if is_cold {
            store.close();
            (house.copy_to("backup"), house.open())
        } else {
            (house.copy_to("backup"), store)
        };
        write(&store, "three").await;
        write(&store, "four").await;
        let late = position(&store).await;
        store.close();

        house.restore(&backup);
        let restored = house.open();
        assert!(continues(&restored, early).await, "cold {is_cold}");
        assert!(!continues(&restored, late).await, "cold {is_cold}: nothing was written yet");
        for name in ["five", "six", "seven", "eight"] {
            write(&restored, name).await;
        }
        assert!(position(&restored).await.sequence > late.sequence);
        assert!(continues(&restored, early).await, "cold {is_cold}");
        assert!(!continues(&restored, late).await, "cold {is_cold}: its numbers were given out again");
        assert!(continues(&restored, position(&restored).await).await);
        let beyond = Position { sequence: position(&restored).await.sequence.next(), ..early };
        assert!(!continues(&restored, beyond).await);
    }
}

#[tokio::test]
async fn an_epoch_begins_with_the_first_number_and_the_oldest_are_forgotten() {
    let house = House::new();
    let store = house.open();
    let History { identity, epoch } = store.history().await.unwrap();
    assert_eq!(identity, epoch, "nothing was given out");
    store.add_hints(Vec::new()).await.unwrap();
    assert_eq!(store.history().await.unwrap().epoch, identity, "a hint has no number");
    write(&store, "one").await;
    let first = position(&store).await;
    assert_ne!(first.epoch, identity);
    write(&store, "two").await;
    assert_eq!(position(&store).await.epoch, first.epoch);
    store.close();

    let database = Database::open(house.path()).unwrap();
    let filled = database.begin_write().unwrap();
    {
        let mut epochs = filled.open_table(EPOCHS).unwrap();
        let mut meta = filled.open_table(META).unwrap();
        let last = meta.get(META_SEQUENCE).unwrap().unwrap().value();
        for number in 0..u128::from(MAXIMUM_EPOCHS) {
            epochs.insert(last + number as u64, number).unwrap();
        }
        meta.insert(META_SEQUENCE, last + MAXIMUM_EPOCHS).unwrap();
    }
    filled.commit().unwrap();
    drop(database);
    let store = house.open();
    write(&store, "three").await;
    assert!(!continues(&store, first).await);
    assert!(!continues(&store, Position { epoch: identity, sequence: Sequence::ZERO }).await);
    assert!(continues(&store, position(&store).await).await);
    store.close();
    let database = Database::open(house.path()).unwrap();
    let epochs = database.begin_read().unwrap().open_table(EPOCHS).unwrap();
    assert_eq!(epochs.len().unwrap(), MAXIMUM_EPOCHS);
}
