use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use redb::TableDefinition;

use super::super::layout::LAYOUT;
use super::super::tables::{META_LAYOUT, REPOSITORIES};
use super::*;
use crate::store::Clocks as _;

fn refusal(path: &Path) -> OpenError {
    match RedbStore::open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

/// Opens what must not be opened, and checks that the file and its directory are as before, byte by byte.
fn refused_untouched(path: &Path) -> OpenError {
    let before = std::fs::read(path).unwrap();
    let error = refusal(path);
    assert!(before == std::fs::read(path).unwrap(), "the file was touched");
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    error
}

#[test]
fn a_new_file_is_for_its_owner_alone_and_nothing_lies_beside_it() {
    let (_store, directory) = empty_file();
    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_second_opener_is_told_who_has_the_store() {
    let (store, directory) = empty_file();
    let path = directory.path().join("store.redb");
    let error = refusal(&path);
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().starts_with("another portreeve is using the store"), "{error}");
    assert!(store.is_writable());
    store.close();
    RedbStore::open(&path).unwrap();
}

#[test]
fn openers_of_a_new_file_that_race_end_with_one_store() {
    for _ in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb");
        let race: Vec<_> = (0..4)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || RedbStore::open(&path))
            })
            .collect();
        let opened: Vec<_> = race.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(opened.iter().filter(|opened| opened.is_ok()).count() <= 1);
        for error in opened.iter().filter_map(|opened| opened.as_ref().err()) {
            assert!(matches!(error, OpenError::InUse { .. }), "{error}");
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        drop(opened);
        RedbStore::open(&path).unwrap();
    }
}

#[test]
fn a_newer_layout_is_refused_by_name_and_not_touched() {
    let (store, directory) = empty_file();
    store.close();
    let path = directory.path().join("store.redb");
    let database = Database::open(&path).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(META).unwrap().insert(META_LAYOUT, LAYOUT + 1).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = refused_untouched(&path);
    assert!(matches!(error, OpenError::Layout { found, .. } if found == LAYOUT + 1), "{error:?}");
    assert!(error.to_string().contains(&format!("has layout {}", LAYOUT + 1)), "{error}");
}

#[test]
fn a_newer_layout_whose_program_was_killed_is_not_touched_either() {
    let (store, directory) = empty_file();
    let path = directory.path().join("store.redb");
    {
        let database = store.shared.database.read().unwrap();
        let mut write = database.as_ref().unwrap().begin_write().unwrap();
        write.set_quick_repair(true);
        write.open_table(META).unwrap().insert(META_LAYOUT, LAYOUT + 1).unwrap();
        write.commit().unwrap();
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy.redb");
    std::fs::copy(&path, &copy).unwrap();
    let error = refused_untouched(&copy);
    assert!(matches!(error, OpenError::Layout { found, .. } if found == LAYOUT + 1), "{error:?}");
}

#[test]
fn what_is_no_store_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let text = b"#!/bin/sh\necho this is not a store\n".repeat(400);
    for content in [b"".as_slice(), b"short", &text, &[0; 8192]] {
        std::fs::write(&path, content).unwrap();
        let error = refused_untouched(&path);
        assert!(matches!(error, OpenError::Foreign { .. }), "{} bytes: {error:?}", content.len());
    }

    std::fs::remove_file(&path).unwrap();
    let database = Database::create(&path).unwrap();
    let write = database.begin_write().unwrap();
    const OTHER: TableDefinition<'_, u64, u64> = TableDefinition::new("somebody else's");
    write.open_table(OTHER).unwrap().insert(1, 1).unwrap();
    write.open_table(REPOSITORIES).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = refused_untouched(&path);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");

    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
}

#[test]
fn a_store_that_was_cut_off_is_called_damaged() {
    let (store, directory) = empty_file();
    store.close();
    let path = directory.path().join("store.redb");
    let whole = std::fs::read(&path).unwrap();
    for length in [whole.len() / 2, 5_000, 400] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Damaged { .. }), "{length} bytes: {error:?}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_named_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let error = refusal(&directory.path().join("missing/store.redb"));
    assert!(matches!(error, OpenError::Unusable { .. }), "{error:?}");
    assert!(error.to_string().contains("its directory must exist"), "{error}");
}

#[test]
fn a_read_only_file_system_is_named_with_the_remedy() {
    let disk = full_disk::Disk::new("8m");
    let path = disk.path().join("store.redb");
    disk.remount("ro");
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Unusable { attempted: "create", .. }), "{error:?}");
    disk.remount("rw");
    drop(RedbStore::open(&path).unwrap());
    disk.remount("ro");
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Unusable { attempted: "open", .. }), "{error:?}");
}

#[tokio::test]
async fn a_store_that_is_opened_to_read_stays_as_it_is_also_where_a_crash_left_it() {
    let (store, directory) = empty_file();
    let path = directory.path().join("store.redb");
    store.keep_time(Timestamp::from_milliseconds(7)).await.unwrap();
    // As a crash leaves it: open, and marked so.
    let crashed = std::fs::read(&path).unwrap();
    store.close();
    for content in [std::fs::read(&path).unwrap(), crashed] {
        std::fs::write(&path, &content).unwrap();
        let store = RedbStore::open_to_read(&path).unwrap();
        assert_eq!(store.kept_time().await.unwrap(), Some(Timestamp::from_milliseconds(7)));
        assert!(matches!(refusal(&path), OpenError::InUse { .. }), "it is locked meanwhile");
        store.keep_time(Timestamp::from_milliseconds(8)).await.unwrap();
        store.close();
        assert!(content == std::fs::read(&path).unwrap(), "the file was touched");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_store_that_is_not_there_is_made_only_by_who_is_to_make_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    for opened in [RedbStore::open_existing(&path), RedbStore::open_to_read(&path)] {
        let Err(error) = opened else { panic!("it was made") };
        let told = format!("there is no store at {}; start the door first", path.display());
        assert!(matches!(error, OpenError::Absent { .. }) && error.to_string().starts_with(&told), "{error}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    drop(RedbStore::open(&path).unwrap());
    drop(RedbStore::open_existing(&path).unwrap());
}
