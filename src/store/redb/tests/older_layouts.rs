//! What an earlier version wrote is all there in today's layout.

use redb::{Database, ReadableTable as _, ReadableTableMetadata as _, WriteTransaction};

use super::super::older_layouts::{BYTES, DOCUMENTS, HOLDERS};
use super::super::tables::{ACCOUNTS, AUTH_EVENTS, CONTENTS, HINTS, META, META_LAYOUT, SWEEP};
use super::*;
use crate::store::sample::manifest_deleted;

/// Makes a closed store one of an older layout.
fn set_back(path: &std::path::Path, layout: u64) {
    let database = Database::open(path).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(META).unwrap().insert(META_LAYOUT, layout).unwrap();
    if layout < 3 {
        assert!(write.delete_table(ACCOUNTS).unwrap() & write.delete_table(AUTH_EVENTS).unwrap());
    }
    if layout < 2 {
        assert!(write.delete_table(HINTS).unwrap() & write.delete_table(SWEEP).unwrap());
    }
    part_contents(&write);
    write.commit().unwrap();
}

fn part_contents(write: &WriteTransaction) {
    let (mut documents, mut bytes) = (write.open_table(DOCUMENTS).unwrap(), write.open_table(BYTES).unwrap());
    let mut holders = write.open_table(HOLDERS).unwrap();
    for entry in write.open_table(CONTENTS).unwrap().iter().unwrap() {
        let (digest, content) = entry.unwrap();
        let (count, document, content) = content.value();
        documents.insert(digest.value(), document).unwrap();
        bytes.insert(digest.value(), content).unwrap();
        holders.insert(digest.value(), count).unwrap();
    }
    assert!(write.delete_table(CONTENTS).unwrap());
}

#[tokio::test]
async fn a_store_of_an_older_layout_is_brought_up_to_date_with_all_that_is_in_it() {
    for layout in 1..=3 {
        let (store, directory) = empty_file();
        let path = directory.path().join("store.redb");
        let any: Arc<dyn Store> = Arc::clone(&store) as _;
        let (shared, own) = (image("shared", &["base"]), image("own", &["base", "more"]));
        push(&any, "a", &shared, &["t"], 1).await;
        push(&any, "b", &shared, &["t", "u"], 2).await;
        push(&any, "b", &own, &["v"], 3).await;
        let before = content(&store, [&shared, &own]).await;
        drop(any);
        store.close();

        set_back(&path, layout);
        let store = RedbStore::open(&path).unwrap();

        assert_eq!(content(&store, [&shared, &own]).await, before, "layout {layout}");
        store.add_hints(vec![]).await.unwrap();
        assert_eq!(store.kept_sweep().await.unwrap(), None);
        // The holders were counted on: what two repositories have goes with the second.
        for (name, is_left) in [("a", true), ("b", false)] {
            let gone = vec![manifest_deleted(name, &shared)];
            let since = store.sequence().await.unwrap();
            let guard = Guard { reference: None, since };
            store.record(gone, Source::Swept, guard, at(4)).await.unwrap();
            assert_eq!(store.manifest_content(&shared.digest).await.unwrap().is_some(), is_left, "{name}");
        }
        store.close();
        let database = Database::open(&path).unwrap();
        assert_eq!(database.begin_read().unwrap().open_table(CONTENTS).unwrap().len().unwrap(), 1);
    }
}

/// All that the store says about these, as text.
async fn content(store: &RedbStore, manifests: [&Manifest; 2]) -> String {
    let mut text = format!("{:?} {:?}", store.statistics().await, store.sequence().await);
    for name in ["a", "b"] {
        for manifest in manifests {
            text += &format!("{:?}", store.manifest(&repository(name), &manifest.digest).await);
        }
    }
    for manifest in manifests {
        text += &format!("{:?}", store.manifest_content(&manifest.digest).await);
    }
    text
}
