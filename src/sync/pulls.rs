//! Pulls, counted in memory and written to the record now and then: no pull ever waits for the store, and a crash loses
//! the counts of some seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Timestamp;
use crate::oci::{RepositoryName, Tag};
use crate::store::{Pull, Store};

/// How often the counts are written.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// The most names that are counted between two flushes. Pulls of further ones are not counted, and that is.
const MAXIMUM: usize = 65_536;

/// How many are written at once, so that no client's write waits long behind them.
const PART: usize = 1_000;

/// How often, and when last, by repository and tag; without a tag by digest.
type Counts = HashMap<(RepositoryName, Option<Tag>), (u64, Timestamp)>;

/// Counts by what was pulled.
#[derive(Default)]
pub struct PullCounts {
    counts: Mutex<Counts>,
    /// It is half full.
    crowded: Notify,
}

impl PullCounts {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A manifest was pulled, by tag or by digest.
    pub fn note(&self, repository: RepositoryName, tag: Option<Tag>, now: Timestamp) {
        self.add(Pull { repository, tag, count: 1, last: now });
    }

    fn add(&self, pull: Pull) {
        let Pull { repository, tag, count, last } = pull;
        let mut counts = self.counts();
        if counts.len() == MAXIMUM / 2 {
            self.crowded.notify_one();
        }
        let is_full = counts.len() >= MAXIMUM;
        let key = (repository, tag);
        match counts.get_mut(&key) {
            Some(sum) => *sum = (sum.0.saturating_add(count), sum.1.max(last)),
            None if is_full => metrics::counter!("portreeve_pulls_not_counted_total").increment(count),
            None => {
                counts.insert(key, (count, last));
            }
        }
    }

    /// Writes what was counted to the record. What cannot be written is kept for the next time.
    async fn flush(&self, store: &dyn Store) {
        let counts = std::mem::take(&mut *self.counts());
        if counts.is_empty() {
            return;
        }
        let pull = |((repository, tag), (count, last))| Pull { repository, tag, count, last };
        let pulls: Vec<Pull> = counts.into_iter().map(pull).collect();
        let mut parts = pulls.chunks(PART);
        while let Some(part) = parts.next() {
            if let Err(error) = store.record_pulls(part.to_vec()).await {
                tracing::warn!(%error, "pulls cannot be recorded now; they are kept");
                part.iter().chain(parts.flatten()).cloned().for_each(|pull| self.add(pull));
                return;
            }
        }
    }
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

    fn note(counts: &PullCounts, repository: &str, now: u64) {
        let tag = Some(Tag::parse("t").unwrap());
        counts.note(RepositoryName::parse(repository).unwrap(), tag, Timestamp::from_milliseconds(now));
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
        let first = (RepositoryName::parse("r0").unwrap(), Some(Tag::parse("t").unwrap()));
        assert_eq!(counts.counts()[&first].0, 2);
    }
}
