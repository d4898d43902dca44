//! Opening a large store after a crash.
//!
//! Another process of this program fills the store and keeps writing to it as a busy door does; it is killed at some
//! moment, and the time until the store is open again is taken. Several times, on the same store.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use portreeve::clock::Timestamp;
use portreeve::oci::{Manifest, MediaType, RepositoryName, Tag};
use portreeve::store::{
    Actor, Change, Guard, Ledger as _, Outcome, PageRequest, Recorded, Records as _, RedbStore, Source, Write,
};
use serde::Serialize;

use crate::Fault;
use crate::content::manifest;

/// How many repositories there are, and how many tags in each: 1,000,000 together.
const REPOSITORIES: usize = 1_000;
const TAGS_EACH: usize = 1_000;

/// How many tags share a manifest.
const TAGS_PER_MANIFEST: usize = 10;

/// How often the writer is killed.
const CRASHES: u32 = 5;

/// How many writes are under way when the writer is killed.
const WRITES_AT_ONCE: usize = 32;

/// The longest that a writer which nobody kills goes on.
const LONGEST: Duration = Duration::from_secs(60);

/// What a writer says when it begins with what it is killed in.
const WRITING: &str = "writing";

/// How long the store took to open.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Opening {
    /// How many tags were in it.
    pub tags: u64,
    /// How many bytes its file has.
    pub file_bytes: u64,
    /// How often it was opened after a crash.
    pub crashes: u32,
    /// How many intents the crashes left open, at most.
    pub open_intents: u64,
    /// The median of the times, in milliseconds.
    pub median_milliseconds: f64,
    /// The longest of the times, in milliseconds.
    pub longest_milliseconds: f64,
}

/// Fills a store, crashes and opens it.
pub fn measure(directory: &Path) -> Result<Opening, Fault> {
    let path = directory.join("large.redb");
    let mut times = Vec::new();
    let mut opening = None;
    for crash in 0..CRASHES {
        crate::interruption::check()?;
        let mut writer = Writer::start(&path)?;
        // Not always at the same moment of a commit.
        thread::park_timeout(Duration::from_millis(250) + Duration::from_micros(1_370) * crash);
        writer.kill()?;

        let begun = Instant::now();
        let store = RedbStore::open(&path)?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        let statistics =
            tokio::runtime::Builder::new_current_thread().build()?.block_on(store.statistics())?;
        if statistics.tags < (REPOSITORIES * TAGS_EACH) as u64 {
            return Err(format!("after a crash the store has {} tags only", statistics.tags).into());
        }
        let opened = opening.get_or_insert(Opening {
            tags: 0,
            file_bytes: 0,
            crashes: CRASHES,
            open_intents: 0,
            median_milliseconds: 0.0,
            longest_milliseconds: 0.0,
        });
        opened.tags = statistics.tags;
        opened.open_intents = opened.open_intents.max(statistics.open_intents);
    }
    times.sort_by(f64::total_cmp);
    let mut opening = opening.ok_or("no crash was tried")?;
    opening.file_bytes = std::fs::metadata(&path)?.len();
    opening.median_milliseconds = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
    opening.longest_milliseconds = times.last().copied().unwrap_or(f64::NAN);
    std::fs::remove_file(&path)?;
    Ok(opening)
}

/// The process that writes. Dropping it kills it.
struct Writer(Child);

impl Writer {
    /// Starts one, and waits until the store is full and it is writing.
    fn start(path: &Path) -> Result<Self, Fault> {
        let child = Command::new(std::env::current_exe()?)
            .args(["--bench", "--write-store"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut writer = Self(child);
        let output = writer.0.stdout.take().ok_or("the writer has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.trim_end() == WRITING {
            Ok(writer)
        } else {
            Err("the writer of the store ended early".into())
        }
    }

    /// SIGKILL. Fails if it had ended before.
    fn kill(&mut self) -> Result<(), Fault> {
        if let Some(status) = self.0.try_wait()? {
            return Err(format!("the writer of the store ended ({status}) before it was killed").into());
        }
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait().map(drop)) {
            eprintln!("cannot end the writer of the store (process {}): {error}", self.0.id());
        }
    }
}

/// What the other process does: fills the store unless it is full, says so, and writes until it is killed.
pub fn write(path: &Path) -> Result<(), Fault> {
    let store = Arc::new(RedbStore::open(path)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let first = PageRequest { after: None, limit: 1 };
        if store.repositories(None, first).await?.items.is_empty() {
            for number in 0..REPOSITORIES {
                fill(&store, &repository(number)?).await?;
            }
        }
        println!("{WRITING}");
        std::io::stdout().flush()?;

        let until = Instant::now() + LONGEST;
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..WRITES_AT_ONCE {
            writers.spawn(push_on(Arc::clone(&store), repository(number)?, until));
        }
        while let Some(finished) = writers.join_next().await {
            finished??;
        }
        Ok(())
    })
}

fn repository(number: usize) -> Result<RepositoryName, Fault> {
    Ok(RepositoryName::parse(&format!("team-{}/service-{number}", number % 50))?)
}

fn image(revision: &str) -> Result<Arc<Manifest>, Fault> {
    let bytes = Bytes::from(manifest(revision));
    Ok(Arc::new(Manifest::parse(bytes, Some(MediaType::from(MediaType::OCI_MANIFEST)))?))
}

/// Records all tags of a repository, as a sweep does.
async fn fill(store: &RedbStore, repository: &RepositoryName) -> Result<(), Fault> {
    let mut changes = Vec::new();
    for number in (0..TAGS_EACH).step_by(TAGS_PER_MANIFEST) {
        let manifest = image(&format!("{repository} {number}"))?;
        let tags = (number..number + TAGS_PER_MANIFEST).map(|number| Tag::parse(&format!("1.0.{number}")));
        let tags = tags.collect::<Result<_, _>>()?;
        changes.push(Change::ManifestPut { repository: repository.clone(), manifest, tags });
    }
    let guard = Guard { reference: None, since: store.sequence().await?, lease: None };
    match store.record(changes, Source::Swept, guard, Timestamp::now()).await? {
        Recorded::Changed(_) => Ok(()),
        other => Err(format!("the store did not record the tags of {repository}: {other:?}").into()),
    }
}

/// Pushes one tag after the other, as the door does: an intent, then its outcome.
async fn push_on(store: Arc<RedbStore>, repository: RepositoryName, until: Instant) -> Result<(), Fault> {
    let mut number = 0_u64;
    while Instant::now() < until {
        number += 1;
        let now = Timestamp::now();
        let manifest = image(&format!("{repository} {} {number}", now.as_milliseconds()))?;
        let tags = vec![Tag::parse(&format!("build-{number}"))?];
        let write = Write::Put { digest: manifest.digest.clone(), tags: tags.clone() };
        let intent = store.begin(repository.clone(), write, Actor::default(), now).await?;
        let change = Change::ManifestPut { repository: repository.clone(), manifest, tags };
        store.settle(&intent, Outcome::Applied(vec![change]), Timestamp::now()).await?;
    }
    Ok(())
}
