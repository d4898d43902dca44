//! A small file system of the test's own, filled up and emptied again. Needs to run as root, for `mount`.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::oci::Manifest;

/// A file system of a given size, until it is dropped.
pub(super) struct Disk(tempfile::TempDir);

impl Disk {
    pub fn new(size: &str) -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        disk.mount(&format!("size={size}"));
        disk
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes it `ro` or `rw`.
    pub fn remount(&self, mode: &str) {
        self.mount(&format!("remount,{mode}"));
    }

    fn mount(&self, options: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.path());
        let output = mount.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut filler = File::options().create(true).append(true).open(self.filler()).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while filler.write_all(&vec![1; size]).is_ok() {}
        }
    }

    /// Gives it back.
    fn clear(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a store that a failing test leaves open must not keep it.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn numbered(number: u64) -> Manifest {
    image(&format!("image {number} {}", "x".repeat(2_000)), &["base"])
}

/// One push; answers whether it was acknowledged, by a store that otherwise said `Unavailable`.
async fn try_push(store: &RedbStore, number: u64) -> bool {
    let manifest = numbered(number);
    let name = format!("t{number}");
    let write = Write::Put { digest: manifest.digest.clone(), tags: vec![tag(&name)] };
    let unavailable =
        |error: StoreError| assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    match store.begin(repository("r"), write, alice(), at(number)).await {
        Err(error) => {
            unavailable(error);
            false
        }
        Ok(intent) => {
            let outcome = Outcome::Applied(vec![put("r", &manifest, &[&name])]);
            store.settle(&intent, outcome, at(number)).await.map_err(unavailable).is_ok()
        }
    }
}

async fn holds(store: &RedbStore, pushed: &[u64]) {
    for number in pushed {
        let found = store.tag(&repository("r"), &tag(&format!("t{number}"))).await.unwrap();
        assert_eq!(found.unwrap().digest, numbered(*number).digest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_serves_reads_and_heals_by_itself() {
    let disk = Disk::new("16m");
    let path = disk.path().join("store.redb");
    let store = RedbStore::open(&path).unwrap();
    let mut pushed = Vec::new();
    let mut number = 0;
    for _ in 0..3 {
        for _ in 0..20 {
            number += 1;
            assert!(try_push(&store, number).await);
            pushed.push(number);
        }
        disk.fill();
        loop {
            number += 1;
            match try_push(&store, number).await {
                true => pushed.push(number),
                false => break,
            }
        }
        holds(&store, &pushed).await;
        let page = PageRequest { after: None, limit: 10_000 };
        assert!(store.tags(&repository("r"), page).await.unwrap().items.len() >= pushed.len());
        disk.clear();
        // Nobody asks for a write meanwhile.
        writable_again(&store).await;
        for intent in store.open_intents().await.unwrap() {
            store.settle(&intent, Outcome::Closed, at(2)).await.unwrap();
        }
    }
    holds(&store, &pushed).await;
    store.close();
    let store = RedbStore::open(&path).unwrap();
    assert!(store.open_intents().await.unwrap().is_empty());
    holds(&store, &pushed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_finds_no_room_is_refused_whole_and_leaves_nothing() {
    let disk = Disk::new("16m");
    let path = disk.path().join("store.redb");
    let store = Arc::new(RedbStore::open(&path).unwrap());
    assert!(try_push(&store, 0).await);
    disk.fill();
    let mut refused = 0;
    let mut acknowledged = Vec::new();
    for round in 0..50 {
        let pushes = (0..64).map(|place| {
            let (store, number) = (Arc::clone(&store), 1 + round * 64 + place);
            tokio::spawn(async move { (number, try_push(&store, number).await) })
        });
        for (number, done) in join_all(pushes).await.into_iter().map(Result::unwrap) {
            if done { acknowledged.push(number) } else { refused += 1 }
        }
        if refused > 0 {
            break;
        }
    }
    assert!(refused > 0, "the disk never got full");
    disk.clear();
    writable_again(&store).await;
    holds(&store, &acknowledged).await;
    // Each refused push failed at its beginning and left nothing, or at its end and left its intent.
    let open = store.open_intents().await.unwrap();
    assert!(open.len() <= refused);
    let in_memory: Vec<Sequence> = open.iter().map(|intent| intent.sequence).collect();
    assert!(try_push(&store, 0).await);
    store.close();
    let store = RedbStore::open(&path).unwrap();
    let in_file: Vec<Sequence> =
        store.open_intents().await.unwrap().iter().map(|intent| intent.sequence).collect();
    assert_eq!(in_memory, in_file);
    holds(&store, &acknowledged).await;
}
