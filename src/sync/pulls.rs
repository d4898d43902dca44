//! Pulls, counted in memory and written to the record now and then: no pull ever waits for the store, and a crash loses
//! the counts of some seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::Counter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::oci::{Reference, RepositoryName};
use crate::store::{Pull, Store, StoreError};
use crate::telemetry::{CounterFamily, FailureLog};

pub(super) static PULLS: CounterFamily =
    CounterFamily { name: "portreeve_pulls_total", help: "Manifests that clients have pulled", labels: &[] };

pub(super) static PULLS_NOT_COUNTED: CounterFamily = CounterFamily {
    name: "portreeve_pulls_not_counted_total",
    help: "Pulls that were too many different ones to be counted in the record",
    labels: &[],
};

/// How often the counts are written.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// The most names that are counted between two flushes. Pulls of further ones are not counted, and that is.
const MAXIMUM: usize = 65_536;

/// How many are written at once, so that no client's write waits long behind them.
const PART: usize = 1_000;

/// What was pulled.
type Pulled = (RepositoryName, Reference);

/// How often, and when last.
type Counts = HashMap<Pulled, (u64, Timestamp)>;

/// Counts by what was pulled.
pub struct PullCounts {
    counts: Mutex<Counts>,
    /// It is half full.
    crowded: Notify,
    clock: Clock,
    /// All of them.
    pulls: Counter,
    failures: FailureLog,
}

impl Default for PullCounts {
    fn default() -> Self {
        Self {
            counts: Mutex::default(),
            crowded: Notify::default(),
            clock: Clock::default(),
            pulls: PULLS.with([]),
            failures: FailureLog::new(),
        }
    }
}

impl PullCounts {
    /// Counts whose times are those of this clock.
    pub fn by(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    /// The time by the door's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A manifest was pulled.
    pub fn note(&self, repository: RepositoryName, reference: Reference, now: Timestamp) {
        self.pulls.increment(1);
        self.add((repository, reference), 1, now);
    }

    /// Somebody tells of a pull: it moves the time of the last one, and is not counted.
    pub fn hear(&self, repository: RepositoryName, reference: Reference, when: Timestamp) {
        self.add((repository, reference), 0, when);
    }

    fn add(&self, pulled: Pulled, count: u64, last: Timestamp) {
        let mut counts = self.counts();
        if counts.len() == MAXIMUM / 2 {
            self.crowded.notify_one();
        }
        let is_full = counts.len() >= MAXIMUM;
        match counts.get_mut(&pulled) {
            Some(sum) => *sum = (sum.0.saturating_add(count), sum.1.max(last)),
            None if is_full => PULLS_NOT_COUNTED.with([]).increment(count.max(1)),
            None => {
                counts.insert(pulled, (count, last));
            }
        }
    }

    /// Writes what was counted to the record. What cannot be written is kept for the next time.
    async fn flush(&self, store: &dyn Store) {
        let counts = std::mem::take(&mut *self.counts());
        let counts: Vec<_> = counts.into_iter().collect();
        let mut parts = counts.chunks(PART);
        while let Some(part) = parts.next() {
            if let Err(error) = record(store, part).await {
                if self.failures.failed(&error) {
                    tracing::warn!(%error, "pulls cannot be recorded now; they are kept");
                }
                for (pulled, (count, last)) in part.iter().chain(parts.flatten()).cloned() {
                    self.add(pulled, count, last);
                }
                return;
            }
        }
        if !counts.is_empty() && self.failures.worked() {
            tracing::info!("pulls are recorded again");
        }
    }
}

/// Records some pulls, all at once. A pull by digest counts for the repository, and is the last pull of the tags that
/// point to it now: some clients ask which digest a tag has, and then pull that.
async fn record(store: &dyn Store, counts: &[(Pulled, (u64, Timestamp))]) -> Result<(), StoreError> {
    let mut pulls = Vec::with_capacity(counts.len());
    for ((repository, reference), (count, last)) in counts {
        let pull = |tag, count| Pull { repository: repository.clone(), tag, count, last: *last };
        match reference {
            Reference::Tag(tag) => pulls.push(pull(Some(tag.clone()), *count)),
            Reference::Digest(digest) => {
                pulls.push(pull(None, *count));
                let tags = store.tags_of(repository, digest).await?;
                pulls.extend(tags.into_iter().map(|tag| pull(Some(tag), 0)));
            }
        }
    }
    store.record_pulls(pulls).await
}

/// Writes the counts to the record again and again, and a last time when told to stop.
pub async fn flush_pulls(counts: Arc<PullCounts>, store: Arc<dyn Store>, stop: CancellationToken) {
    // Never cut while it writes.
    loop {
        tokio::select! {
            () = tokio::time::sleep(FLUSH_EVERY) => {}
            () = counts.crowded.notified() => {}
            () = stop.cancelled() => {}
        }
        counts.flush(store.as_ref()).await;
        if stop.is_cancelled() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Digest, Manifest, MediaType, Tag};
    use crate::store::{Change, Guard, Ledger as _, MemoryStore, Records as _, Source};

    fn latest() -> Reference {
        Reference::parse("latest").unwrap()
    }

    fn note(counts: &PullCounts, repository: &str, now: u64) {
        let repository = RepositoryName::parse(repository).unwrap();
        counts.note(repository, latest(), Timestamp::from_milliseconds(now));
    }

    #[test]
    fn pulls_of_one_name_add_up_and_the_last_time_counts() {
        let counts = PullCounts::default();
        for now in [5, 9, 7] {
            note(&counts, "a", now);
        }
        let sums: Vec<_> = counts.counts().values().copied().collect();
        assert_eq!(sums, [(3, Timestamp::from_milliseconds(9))]);
    }

    #[test]
    fn names_beyond_the_most_are_not_kept() {
        let counts = PullCounts::default();
        for number in 0..MAXIMUM + 10 {
            note(&counts, &format!("r{number}"), 1);
        }
        note(&counts, "r0", 2);
        assert_eq!(counts.counts().len(), MAXIMUM);
        let first = (RepositoryName::parse("r0").unwrap(), latest());
        assert_eq!(counts.counts()[&first].0, 2);
    }

    #[tokio::test]
    async fn a_pull_by_digest_is_the_last_pull_of_the_tags_that_point_to_it_and_of_no_other() {
        let store = MemoryStore::default();
        let name = RepositoryName::parse("team/app").unwrap();
        let put = |content: &'static [u8], tags: &[&str]| Change::ManifestPut {
            repository: name.clone(),
            manifest: Arc::new(Manifest::unread(content.into(), MediaType::from_header("x/y"))),
            tags: tags.iter().map(|tag| Tag::parse(tag).unwrap()).collect(),
        };
        let changes = vec![put(b"{}", &["v1", "latest"]), put(b"[]", &["v2"])];
        let guard = Guard { reference: None, since: store.sequence().await.unwrap(), lease: None };
        store.record(changes, Source::Swept, guard, Timestamp::from_milliseconds(1)).await.unwrap();
        let counts = PullCounts::default();
        let (pulled, heard) = (Timestamp::from_milliseconds(7), Timestamp::from_milliseconds(8));
        counts.note(name.clone(), Reference::Digest(Digest::sha256(b"{}")), pulled);
        counts.hear(name.clone(), Reference::parse("v1").unwrap(), heard);
        counts.flush(&store).await;
        let mut found = Vec::new();
        for tag in ["latest", "v1", "v2"] {
            let record = store.tag(&name, &Tag::parse(tag).unwrap()).await.unwrap().unwrap();
            found.push((record.last_pull, record.pulls));
        }
        assert_eq!(found, [(Some(pulled), 0), (Some(heard), 0), (None, 0)]);
        let repository = store.repository(&name).await.unwrap().unwrap();
        assert_eq!((repository.pulls, repository.last_pull), (1, Some(heard)));
    }
}
