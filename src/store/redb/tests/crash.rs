//! SIGKILL at any moment: what was acknowledged is there.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::*;
use crate::oci::{Digest, Manifest};

/// Where the child finds its store; absent in an ordinary run.
const STORE: &str = "PORTREEVE_CRASH_TEST_STORE";

const ROUNDS: usize = 20;
const WRITERS: u64 = 8;

fn numbered(writer: u64, number: u64) -> Manifest {
    image(&format!("writer {writer} image {number}"), &["base"])
}

/// The child: pushes as fast as it can, and says on its standard output what was acknowledged, until it is killed. Does
/// nothing in an ordinary run.
#[test]
fn a_child_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(RedbStore::open(path).unwrap());
        let writers = (0..WRITERS).map(|writer| tokio::spawn(write_for_ever(Arc::clone(&store), writer)));
        join_all(writers).await;
    });
}

async fn write_for_ever(store: Arc<RedbStore>, writer: u64) {
    let name = format!("t{writer}");
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    let known = store.tag(&repository("r"), &tag(&name)).await.unwrap();
    let mut number = known.and_then(|known| known.pushed_at).map_or(0, Timestamp::as_milliseconds);
    loop {
        number += 1;
        let manifest = numbered(writer, number);
        let write = Write::Put { digest: manifest.digest.clone(), tags: vec![tag(&name)] };
        let intent = store.begin(repository("r"), write, alice(), at(number)).await.unwrap();
        say(format!("\nbegun {writer} {}\n", intent.sequence));
        let changes = vec![put("r", &manifest, &[&name])];
        store.settle(&intent, Outcome::Applied(changes), at(number)).await.unwrap();
        say(format!("\nsettled {writer} {number}\n"));
    }
}

/// The last that each writer was told.
#[derive(Default)]
struct Acknowledged {
    /// The intent that was begun and not settled.
    begun: BTreeMap<u64, u64>,
    settled: BTreeMap<u64, u64>,
}

impl Acknowledged {
    /// Reads what the child said, and kills it after so many lines; then reads what it had said until then.
    fn gather(&mut self, mut child: Child, lines: u64) {
        let mut seen = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |word: &str| word.parse::<u64>().unwrap();
            match words[..] {
                ["begun", writer, sequence] => {
                    self.begun.insert(number(writer), number(sequence));
                }
                ["settled", writer, last] => {
                    self.begun.remove(&number(writer));
                    self.settled.insert(number(writer), number(last));
                }
                _ => continue,
            }
            seen += 1;
            if seen == lines {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= lines, "the child ended by itself");
    }
}

fn child(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::redb::tests::crash::a_child_writes_until_it_is_killed", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let seed: [u8; 32] =
        std::array::from_fn(|place| (Timestamp::now().as_milliseconds() >> (place % 8)) as u8);
    // Libtest shows it when the test fails.
    std::io::stdout().write_all(format!("seed {}\n", hex::encode(seed)).as_bytes()).unwrap();
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let mut settled = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut told = Acknowledged { settled, ..Acknowledged::default() };
        told.gather(child(&path), 1 + u64::from(random.next_u32() % 400));

        let opening = Instant::now();
        let store = RedbStore::open(&path).unwrap();
        assert!(opening.elapsed().as_secs() < 2, "round {round} took {:?}", opening.elapsed());
        settled = check(&store, &told, round).await;
    }
    assert!(settled.values().sum::<u64>() > 0);
}

/// Compares the store with what was told. Answers what the next child goes on from.
async fn check(store: &RedbStore, told: &Acknowledged, round: usize) -> BTreeMap<u64, u64> {
    let mut reached = BTreeMap::new();
    let open = store.open_intents().await.unwrap();
    assert!(open.iter().all(|intent| intent.state.is_unknown()));
    for (writer, last) in &told.settled {
        let name = tag(&format!("t{writer}"));
        let record = store.tag(&repository("r"), &name).await.unwrap().unwrap();
        let number = record.pushed_at.unwrap().as_milliseconds();
        // What was under way may be there as well.
        assert!((*last..=last + 1).contains(&number), "round {round}: {name} is {number}, was told {last}");
        reached.insert(*writer, number);
        let digest: Digest = numbered(*writer, number).digest;
        assert_eq!(record.digest, digest);
        assert!(store.manifest_content(&repository("r"), &digest).await.unwrap().is_some());
        if let Some(sequence) = told.begun.get(writer) {
            let is_open = open.iter().any(|intent| intent.sequence.get() == *sequence);
            assert_eq!(is_open, number == *last, "round {round}: the intent goes exactly with its outcome");
        }
    }
    let statistics = store.statistics().await.unwrap();
    let known = store.repository(&repository("r")).await.unwrap();
    let (tags, manifests) = known.map_or((0, 0), |known| (known.tags, known.manifests));
    assert_eq!((statistics.tags, statistics.manifests), (tags, manifests));
    assert_eq!(statistics.events, manifests, "every push here made one manifest and one event");
    for intent in open {
        store.settle(&intent, Outcome::Closed, at(0)).await.unwrap();
    }
    reached
}
