//! Damaged pages: whatever is in the file, opening it ends in words or in a store, and a store goes on as far as it can.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::*;
use crate::store::{Doors, LeaseName, SweepKind, SweepUpdate};

const PAGE: usize = 4096;

/// So many files are damaged in an ordinary run; more with this variable.
const FILES: u32 = 50;
const MORE: &str = "PORTREEVE_DAMAGED_FILES";
/// The number of the first one.
const FIRST: &str = "PORTREEVE_DAMAGED_FIRST";

/// A store with something in every table that is read at the start, and with pages that point to pages.
async fn filled(path: &Path) {
    let store = Arc::new(RedbStore::open(path).unwrap());
    let any: Arc<dyn Store> = Arc::clone(&store) as _;
    for number in 0..60 {
        let name = format!("r{}", number % 7);
        push(&any, &name, &image(&format!("image {number}"), &["base", "more"]), &[&format!("t{number}")], 1)
            .await;
    }
    for number in 0..40 {
        store.begin(repository("r1"), put_write(&format!("u{number}")), alice(), at(2)).await.unwrap();
    }
    let lease = store.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    let update =
        SweepUpdate { checkpoint: vec![7; 5_000], forgets_marks: false, marks: (0..2_000).collect() };
    store.keep_sweep(lease, update.clone()).await.unwrap();
    store.request_sweep(SweepKind::Deep, at(1)).await.unwrap();
    store.end_sweep(lease, 1, update, vec![7; 100]).await.unwrap();
    let about = |number: u32| HintedReference {
        repository: repository("r2"),
        reference: Reference::Tag(tag(&format!("h{number}"))),
    };
    store.add_hints((0..100).map(about).collect()).await.unwrap();
    store.close();
}

fn is_in_use(page: &[u8]) -> bool {
    page.iter().any(|byte| *byte != 0)
}

/// Whether it is one of those that keep the record, rather than redb's own.
fn is_of_the_record(page: &[u8]) -> bool {
    page.windows(7).any(|word| word == b"sha256:")
}

/// Damages some pages.
fn damage(content: &mut [u8], which: fn(&[u8]) -> bool, random: &mut TestRng) -> String {
    let used: Vec<usize> =
        (0..content.len() / PAGE).filter(|page| which(&content[page * PAGE..(page + 1) * PAGE])).collect();
    let mut any = |below: usize| random.next_u64() as usize % below;
    let mut said = String::new();
    for _ in 0..=any(3) {
        let page = used[any(used.len())] * PAGE;
        match any(6) {
            0 => content[page..page + PAGE].fill(0),
            1 => content[page..page + PAGE].fill(0xff),
            2 => {
                let from = used[any(used.len())] * PAGE;
                content.copy_within(from..from + PAGE, page);
            }
            // The beginning of a page says how the rest is to be read.
            3 | 4 => content[page + any(64)] = any(256) as u8,
            _ => content[page + any(PAGE)] ^= 1 << any(8),
        }
        said += &format!("{page} ");
    }
    said
}

/// Reads all there is, and writes a little. Whatever comes of it, it comes.
async fn use_all(store: &Arc<RedbStore>) -> Vec<StoreError> {
    let mut errors = Vec::new();
    macro_rules! note {
        ($asked:expr) => {
            match tokio::time::timeout(Duration::from_secs(60), $asked).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => errors.push(error),
                Err(_) => panic!("no answer to {}", stringify!($asked)),
            }
        };
    }
    note!(store.statistics());
    note!(store.repositories(None, PageRequest { after: None, limit: 1_000 }));
    for number in 0..7 {
        let name = repository(&format!("r{number}"));
        note!(store.tags(&name, PageRequest { after: None, limit: 1_000 }));
        note!(store.manifests(&name, PageRequest { after: None, limit: 1_000 }));
        note!(store.repository(&name));
    }
    note!(store.events(None, PageRequest { after: None, limit: 1_000 }));
    note!(store.events(Some(&repository("r1")), PageRequest { after: None, limit: 1_000 }));
    note!(store.hints(PageRequest { after: None, limit: 1_000 }));
    note!(store.kept_sweep());
    note!(store.sweep_report());
    note!(store.accounts(AccountKind::User, PageRequest { after: None, limit: 1_000 }));
    for number in 0..5 {
        let name = format!("r{number}");
        note!(store.begin(repository(&name), put_write("new"), alice(), at(5)));
        let changes = vec![put(&name, &image(&format!("image {number}"), &["base", "more"]), &["new"])];
        let guard = Guard { reference: None, since: Sequence::new(1_000_000), lease: None };
        note!(store.record(changes, Source::Swept, guard, at(5)));
        let gone = Change::RepositoryGone { repository: repository(&name) };
        let guard = Guard { reference: None, since: Sequence::new(1_000_000), lease: None };
        note!(store.record(vec![gone], Source::Swept, guard, at(5)));
    }
    note!(store.statistics());
    errors
}

/// Opens and uses many files, each with other pages damaged. Answers how many were refused, and how often a damaged page
/// was met in one that was not.
async fn damaged_files(checked: u64, which: fn(&[u8]) -> bool) -> (u32, u32) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    filled(&path).await;
    let whole = fs::read(&path).unwrap();
    let number_in = |variable, otherwise| {
        std::env::var(variable).map_or(otherwise, |number| number.parse::<u32>().unwrap())
    };
    let first = number_in(FIRST, 0);
    let (mut refused, mut corrupt) = (0, 0);
    for number in first..first + number_in(MORE, FILES) {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let mut content = whole.clone();
        let pages = damage(&mut content, which, &mut TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        fs::write(&path, &content).unwrap();
        // Shown when the process ends in the midst of it.
        std::io::stdout().write_all(format!("file {number}: {pages}\n").as_bytes()).unwrap();
        match RedbStore::open_checked(&path, checked) {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            }
            Ok(store) => {
                let store = Arc::new(store);
                for error in use_all(&store).await {
                    match error {
                        StoreError::Corrupt { .. } => corrupt += 1,
                        StoreError::Unavailable { .. } => {}
                        error @ (StoreError::Closed | StoreError::Fenced | StoreError::Conflict) => {
                            panic!("file {number}: {error}")
                        }
                    }
                }
                store.close();
            }
        }
    }
    (refused, corrupt)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_anywhere_is_told_in_words_at_the_start() {
    let (refused, corrupt) = damaged_files(u64::MAX, is_in_use).await;
    assert!(refused > 0);
    assert_eq!(corrupt, 0, "what is served was checked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_that_is_met_while_serving_is_called_so_and_the_writer_lives_on() {
    let (_, corrupt) = damaged_files(0, is_of_the_record).await;
    assert!(corrupt > 0);
}

#[tokio::test]
async fn a_whole_file_is_not_called_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    filled(&path).await;
    for _ in 0..3 {
        let store = Arc::new(RedbStore::open(&path).unwrap());
        assert!(use_all(&store).await.is_empty());
        // As a crash leaves it: nothing is written at its end.
        let left = directory.path().join("left.redb");
        fs::copy(&path, &left).unwrap();
        let left = Arc::new(RedbStore::open(&left).unwrap());
        assert!(use_all(&left).await.is_empty());
        store.close();
    }
}
